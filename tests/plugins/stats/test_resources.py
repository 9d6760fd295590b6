from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

Served = Callable[..., AbstractAsyncContextManager[Client]]

pytestmark = pytest.mark.anyio


async def read(client: Client, uri: str) -> Any:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    return json.loads(content.text)


async def test_the_data_sets_are_listed_without_reading_their_files(served: Served) -> None:
    file = {"path": "gone.parquet", "description": "Sales by day."}
    async with served(datasets={"sales": file}) as client:
        listed = await read(client, "stats://datasets")
    assert [entry["name"] for entry in listed] == ["sales", "penguins"]
    assert listed[0] == {
        "name": "sales",
        "description": "Sales by day.",
        "format": "parquet",
        "source": "gone.parquet",
        "schema_uri": "stats://datasets/sales/schema",
        "sample_uri": "stats://datasets/sales/sample",
        "sample_rows": 100,
        "aggregate_uri": "stats://datasets/sales/aggregate",
        "warnings": [],
    }


async def test_the_schema_names_the_columns_and_their_types(served: Served) -> None:
    async with served() as client:
        schema = await read(client, "stats://datasets/penguins/schema")
    assert (schema["dataset"], schema["rows"]) == ("penguins", 344)
    assert schema["columns"][0] == {"name": "species", "type": "VARCHAR"}
    assert schema["columns"][5] == {"name": "body_mass_g", "type": "BIGINT"}


async def test_a_sample_has_the_requested_number_of_rows(served: Served) -> None:
    async with served() as client:
        sample = await read(client, "stats://datasets/penguins/sample")
        two = await read(client, "stats://datasets/penguins/sample?rows=2")
    assert len(sample["rows"]) == 10
    assert sample["rows"][3] == ["Adelie", "Torgersen", None, None, None, None, None, 2007]
    assert two["rows"] == sample["rows"][:2]


async def test_an_unknown_data_set_is_a_resource_not_found_error(served: Served) -> None:
    async with served() as client:
        with pytest.raises(MCPError, match="Did you mean 'penguins'") as caught:
            await client.read_resource("stats://datasets/penguin/schema")
    assert caught.value.error.code == -32602


@pytest.mark.parametrize("rows", [0, -1, 101])
async def test_a_sample_of_too_few_or_too_many_rows_is_refused(served: Served, rows: int) -> None:
    async with served() as client:
        with pytest.raises(MCPError, match="it must be from 1 to 100"):
            await client.read_resource(f"stats://datasets/penguins/sample?rows={rows}")


async def test_a_broken_data_set_is_an_error_with_the_reason_in_a_resource_too(served: Served, folder: Path) -> None:
    (folder / "e.csv").write_text("")
    async with served(datasets={"e": "e.csv"}) as client:
        with pytest.raises(MCPError, match="the file is empty") as caught:
            await client.read_resource("stats://datasets/e/schema")
    assert caught.value.error.code == -32603


async def test_the_prompt_names_the_data_set_and_the_question(served: Served) -> None:
    async with served() as client:
        prompt = await client.get_prompt("analyze_dataset", {"dataset": "Penguins", "question": "Which is {heaviest}?"})
        plain = await client.get_prompt("analyze_dataset", {"dataset": "penguins"})
        with pytest.raises(MCPError, match="There is no data set 'whales'") as caught:
            await client.get_prompt("analyze_dataset", {"dataset": "whales"})
    content = prompt.messages[0].content
    assert isinstance(content, TextContent)
    assert "Analyse the data set `penguins`. The Palmer penguins" in content.text
    assert content.text.endswith("The question is: Which is {heaviest}?")
    assert getattr(plain.messages[0].content, "text", "").endswith("Report what is unusual.")
    assert caught.value.error.code == -32602


async def test_names_of_data_sets_are_completed_in_the_prompt_and_in_the_resources(served: Served) -> None:
    files = {name: f"{name}.csv" for name in ("sales", "resales", "stock")}
    async with served(datasets=files) as client:
        for ref in (
            PromptReference(type="ref/prompt", name="analyze_dataset"),
            ResourceTemplateReference(type="ref/resource", uri="stats://datasets/{name}/schema"),
            ResourceTemplateReference(type="ref/resource", uri="stats://datasets/{name}/sample{?rows}"),
        ):
            argument = "dataset" if isinstance(ref, PromptReference) else "name"
            some = await client.complete(ref, {"name": argument, "value": "SA"})
            every = await client.complete(ref, {"name": argument, "value": ""})
            assert some.completion.values == ["sales", "resales"]
            assert every.completion.values == ["sales", "resales", "stock", "penguins"]
