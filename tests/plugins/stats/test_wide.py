"""A data set of 300 columns: every answer stays within `max_result_bytes`, and names what it leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

Served = Callable[..., AbstractAsyncContextManager[Client]]

pytestmark = pytest.mark.anyio

COLUMNS = 300
ROWS = 40


@pytest.fixture
def wide(folder: Path) -> dict[str, Any]:
    """The settings for a data set of 300 columns: numbers, texts, dates, and the last row without values."""
    names = [f"column_with_a_long_name_{n}" for n in range(COLUMNS)]
    lines = [",".join(names)]
    for row in range(ROWS - 1):
        cells = [(f"{row * n}", f"text {row % 7} {n}", f"2024-01-{row % 28 + 1:02}")[n % 3] for n in range(COLUMNS)]
        lines.append(",".join(cells))
    (folder / "wide.csv").write_text("\n".join([*lines, "," * (COLUMNS - 1)]) + "\n")
    return {"wide": "wide.csv"}


def size(value: object) -> int:
    return len(json.dumps(value, indent=2).encode())


async def test_a_description_of_300_columns_is_within_the_bytes_and_names_the_rest(
    served: Served, wide: dict[str, Any]
) -> None:
    async with served(datasets=wide, max_result_bytes=60_000) as client:
        result = await client.call_tool("describe_dataset", {"dataset": "wide"})
        found = result.structured_content
        assert found is not None, result.content
        described = [column["name"] for column in found["columns"]]
        left = [column["name"] for column in found["not_described"]]
        assert described + left == [f"column_with_a_long_name_{n}" for n in range(COLUMNS)]
        assert len(described) > 20
        assert size(found) <= 60_000
        assert all(len(getattr(content, "text", "").encode()) <= 60_000 for content in result.content)
        assert (found["columns"][3]["max"], found["columns"][3]["nulls"]) == (3 * (ROWS - 2), 1)
        rest = await client.call_tool("describe_dataset", {"dataset": "wide", "columns": left[:1]})
    assert rest.structured_content is not None
    assert [column["name"] for column in rest.structured_content["columns"]] == left[:1]


async def test_a_query_and_a_sample_of_300_columns_are_within_the_bytes(served: Served, wide: dict[str, Any]) -> None:
    async with served(datasets=wide, max_result_bytes=60_000) as client:
        queried = await client.call_tool("query_dataset", {"sql": "FROM wide"})
        sample = await client.read_resource("stats://datasets/wide/sample?rows=40")
        schema = await client.read_resource("stats://datasets/wide/schema")
    found = queried.structured_content
    assert found is not None, queried.content
    assert found["truncated"]
    assert 1 < found["row_count"] < ROWS
    assert found["rows"][1][:3] == [0, "text 1 1", "2024-01-02"]
    assert size(found) <= 60_000
    text = getattr(sample.contents[0], "text", "")
    assert len(text.encode()) <= 60_000
    assert len(json.loads(text)["columns"]) == COLUMNS
    assert len(json.loads(getattr(schema.contents[0], "text", ""))["columns"]) == COLUMNS
