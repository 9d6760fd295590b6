from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mcp_host import HostError, HostFacts, PluginContext
from mcp_plugin_stats.app import lifespan
from mcp_plugin_stats.checks import files_are_there
from mcp_plugin_stats.settings import DatasetFile, Settings


def test_a_path_is_the_short_form_of_a_table_with_a_path() -> None:
    settings = Settings.model_validate({"datasets": {"sales": "data/sales.parquet"}})
    assert settings.datasets == {"sales": DatasetFile(path="data/sales.parquet")}
    assert settings.datasets["sales"].read_as == "parquet"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"digit": 2}, "Extra inputs"),
        ({"digits": -1}, "greater than or equal to 0"),
        ({"max_rows": 0}, "greater than or equal to 1"),
        ({"query_timeout": 0}, "greater than 0"),
        ({"memory_limit": "lots"}, "such as 256MiB or 2GB"),
        ({"memory_limit": "1MB"}, "at least 128MB"),
        ({"datasets": {"a b": "x.csv"}}, "String should match pattern"),
        ({"datasets": {"../x": "x.csv"}}, "String should match pattern"),
        ({"datasets": {"1st": "x.csv"}}, "String should match pattern"),
        ({"datasets": {"x": "x.xls"}}, "the suffix .xls is unknown"),
        ({"datasets": {"x": "sales"}}, "the path has no suffix"),
        ({"datasets": {"x": {"path": "x.csv", "encoding": "utf-99"}}}, "no encoding that Python knows"),
        ({"datasets": {"x": {"path": "x.csv", "types": {"a": "BLOB"}}}}, "String should match pattern"),
        ({"datasets": {"x": {"path": "x.csv", "decimal": ",", "thousands": ","}}}, "they must be different"),
        ({"datasets": {"x": {"path": "x.parquet", "skip": 1}}}, "skip: not for the format parquet"),
        ({"datasets": {"x": {"path": "x.csv", "table": "t"}}}, "table: not for the format csv"),
        ({"datasets": {"x": {"path": "x", "format": "xml"}}}, "Input should be 'csv'"),
        ({"datasets": {"x": {"path": "x.csv", "sep": ";"}}}, "Extra inputs"),
        ({"datasets": {"Sales": "a.csv", "sales": "b.csv"}}, "the same name in SQL"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate(values)


def test_every_setting_is_described_in_the_schema() -> None:
    schema = Settings.model_json_schema()
    for properties in (schema["properties"], schema["$defs"]["DatasetFile"]["properties"]):
        assert all(prop["description"] for prop in properties.values())
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("name", "read_as"),
    [("a.CSV", "csv"), ("a.tsv", "tsv"), ("a.b.ndjson", "jsonl"), ("a.json.gz", "json"), ("a.parquet", "parquet")],
)
def test_the_suffix_decides_the_format(name: str, read_as: str) -> None:
    assert DatasetFile(path=name).read_as == read_as


def test_the_check_names_the_files_that_are_missing_or_empty(tmp_path: Path) -> None:
    import logging

    (tmp_path / "empty.csv").touch()
    (tmp_path / "good.csv").write_text("a\n1\n")
    files = {"a": "gone.csv", "b": "empty.csv", "c": "good.csv"}

    def context(datasets: dict[str, str]) -> PluginContext[Settings]:
        host = HostFacts(name="h", version="0", transport="stdio", base_dir=tmp_path)
        settings = Settings.model_validate({"datasets": datasets})
        return PluginContext("stats", settings, logging.getLogger("stats"), host, tmp_path / "private")

    assert files_are_there(context(files)) == "a: gone.csv: there is no such file; b: empty.csv is empty"
    assert files_are_there(context({"c": "good.csv"})) is None


@pytest.mark.anyio
@pytest.mark.parametrize("own", ["keys.json", "."])
async def test_a_data_set_that_belongs_to_the_host_itself_is_not_served(tmp_path: Path, own: str) -> None:
    host = HostFacts("h", "0", "stdio", tmp_path, _own_paths=lambda: (tmp_path / own,))
    settings = Settings.model_validate({"datasets": {"keys": "keys.json"}})
    context = PluginContext("stats", settings, logging.getLogger("stats"), host, tmp_path / "private")
    with pytest.raises(HostError, match=r"the data set keys is a file of mcp-host itself: keys\.json"):
        await lifespan(context).__aenter__()
