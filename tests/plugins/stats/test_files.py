"""Data sets from real files in every format. They are loaded at first use, and a broken one does not affect others."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_host import ToolError
from mcp_plugin_stats.engine import Engine
from support.statswork import fail_inside

Served = Callable[..., AbstractAsyncContextManager[Client]]
Engines = Callable[..., AbstractAsyncContextManager[Engine]]
Parquet = Callable[[Path, str], None]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio

SAME = "SELECT 1 AS n, 'a' AS t UNION ALL SELECT 2, NULL"


@pytest.mark.parametrize(
    "name", ["d.csv", "d.tsv", "d.json", "d.jsonl", "d.ndjson", "d.parquet", "d.csv.gz", "D.CSV", "a [1] *é.csv"]
)
async def test_every_format_gives_the_same_rows(served: Served, folder: Path, parquet: Parquet, name: str) -> None:
    (folder / "data").mkdir()
    path = folder / "data" / name
    texts = {
        "csv": "n,t\n1,a\n2,NA\n",
        "tsv": "n\tt\n1\ta\n2\t\n",
        "json": '[{"n": 1, "t": "a"}, {"n": 2, "t": null}]',
        "jsonl": '{"n": 1, "t": "a"}\n{"n": 2}\n',
    }
    texts["ndjson"] = texts["jsonl"]
    if name.endswith(".parquet"):
        parquet(path, SAME)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(texts["csv"].encode()))
    else:
        path.write_text(texts[path.suffix[1:].lower()])
    async with served(datasets={"d": f"data/{name}"}) as client:
        result = await client.call_tool("query_dataset", {"sql": "SELECT n, t FROM d ORDER BY n"})
    assert result.structured_content is not None
    assert result.structured_content["rows"] == [[1, "a"], [2, None]]


async def test_the_format_and_the_missing_values_can_be_configured(served: Served, folder: Path) -> None:
    (folder / "export.dat").write_text("n|m\n1|-99\n3|5\n")
    file = {"path": str(folder / "export.dat"), "format": "csv", "null_values": ["-99"]}
    async with served(datasets={"d": file}) as client:
        result = await client.call_tool("query_dataset", {"sql": "SELECT n, m FROM d ORDER BY n"})
    assert result.structured_content is not None
    assert result.structured_content["rows"] == [[1, None], [3, 5]]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("gone.csv", None, "there is no such file"),
        ("folder.csv", "", "there are no csv files in it"),
        ("empty.csv", b"", "the file is empty"),
        ("no.parquet", b"this is no parquet file", "No magic bytes"),
        ("bad.json", b'{"a":', "Malformed JSON"),
        (
            "latin1.csv",
            "a,b\nMünchen,1\n".encode("latin-1"),
            'line 2: the byte FC is not UTF-8 text: set its encoding, such as encoding = "windows-1252"',
        ),
    ],
)
async def test_a_broken_file_is_named_with_the_reason_and_the_others_are_served(
    served: Served, refused: Refused, folder: Path, name: str, content: bytes | str | None, why: str
) -> None:
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    elif content is not None:
        (folder / name).mkdir()
    async with served(datasets={"bad": name}) as client:
        for _ in range(2):
            text = refused(await client.call_tool("describe_dataset", {"dataset": "bad"}))
            assert f"Data set 'bad' ({name}) cannot be used: " in text
            assert why in text
            assert str(folder) not in text
        assert not (await client.call_tool("describe_dataset", {"dataset": "penguins"})).is_error


async def test_a_fixed_file_is_read_at_the_next_call(served: Served, refused: Refused, folder: Path) -> None:
    async with served(datasets={"d": "d.csv"}) as client:
        refused(await client.call_tool("query_dataset", {"sql": "FROM d"}))
        (folder / "d.csv").write_text("a\n1\n")
        result = await client.call_tool("query_dataset", {"sql": "FROM d"})
    assert result.structured_content is not None
    assert result.structured_content["rows"] == [[1]]


async def test_a_data_set_without_rows_is_not_an_error(served: Served, folder: Path) -> None:
    (folder / "head.csv").write_text("a,b\n")
    async with served(datasets={"head": "head.csv"}) as client:
        described = await client.call_tool("describe_dataset", {"dataset": "head"})
        grouped = await client.call_tool("group_by", {"dataset": "head", "by": "a"})
        sample = await client.read_resource("stats://datasets/head/sample")
    assert described.structured_content is not None
    assert described.structured_content["rows"] == 0
    assert grouped.structured_content is not None
    assert grouped.structured_content["groups"] == []
    assert '"rows": []' in getattr(sample.contents[0], "text", "")


async def test_a_configured_data_set_replaces_the_shipped_one(served: Served, folder: Path) -> None:
    (folder / "p.csv").write_text("a\n1\n")
    async with served(datasets={"Penguins": "p.csv"}) as client:
        result = await client.call_tool("describe_dataset", {"dataset": "penguins"})
    assert result.structured_content is not None
    assert (result.structured_content["dataset"], result.structured_content["rows"]) == ("Penguins", 1)


async def test_the_shipped_data_set_can_be_switched_off(served: Served, refused: Refused) -> None:
    async with served(shipped=False) as client:
        text = refused(await client.call_tool("describe_dataset", {"dataset": "penguins"}))
    assert "Data sets: none." in text


async def test_one_query_can_join_data_sets(served: Served, folder: Path) -> None:
    (folder / "islands.json").write_text('[{"island": "Dream", "area": 1.5}]')
    async with served(datasets={"islands": "islands.json"}) as client:
        sql = "SELECT count(*), any_value(area) FROM penguins JOIN islands USING (island)"
        result = await client.call_tool("query_dataset", {"sql": sql})
    assert result.structured_content is not None
    assert result.structured_content["rows"] == [[124, 1.5]]


async def test_a_file_is_read_once_for_many_simultaneous_calls(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a\n1\n")
    async with engines(datasets={"d": "d.csv"}) as engine:
        first = await engine.dataset("d")
        (tmp_path / "d.csv").unlink()
        assert await engine.dataset("d") is first
        table, _ = await engine.query("FROM d")
        assert table.rows == [[1]]


async def test_duckdb_is_opened_again_after_an_internal_error(engines: Engines) -> None:
    async with engines() as engine:
        await engine.dataset("penguins")
        with pytest.raises(ToolError, match="DuckDB had an internal error"):
            await engine.run(fail_inside)
        table, _ = await engine.query("SELECT count(*) FROM penguins")
        assert table.rows == [[344]]


async def test_reading_a_slow_file_is_stopped(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a\n" + "1\n" * 100_000)
    async with engines(datasets={"d": "d.csv"}, load_timeout=1e-9) as engine:
        with pytest.raises(ToolError, match="reading it took longer than"):
            await engine.dataset("d")
