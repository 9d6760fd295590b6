"""The estimate of what tools cost a model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import Tool

from mcp_host.cli.tokens import estimate_tokens, tool_tokens

ADD = {
    "type": "object",
    "properties": {"a": {"title": "A", "type": "integer"}, "b": {"title": "B", "type": "integer"}},
    "required": ["a", "b"],
    "title": "addArguments",
}
QUERY = {
    "type": "object",
    "properties": {
        "dataset": {"type": "string", "description": "Name of the data set, as stats://datasets lists them."},
        "limit": {"type": "integer", "default": 100, "minimum": 1, "maximum": 1000, "description": "Most rows."},
        "order": {"anyOf": [{"enum": ["asc", "desc"], "type": "string"}, {"type": "null"}], "default": None},
    },
    "required": ["dataset"],
}


@pytest.mark.parametrize(
    ("name", "description", "schema", "counted"),
    [
        # Counted with the tokenizer o200k_base, of the same JSON.
        ("add", "Add two whole numbers.", ADD, 55),
        ("query_rows", "Return rows of a data set, in the order of the file unless another is given.", QUERY, 114),
        ("统计", "计算数据集每一列的平均值和标准差。", {"type": "object", "properties": {}}, 33),
    ],
)
def test_the_estimate_is_within_a_third_of_what_a_tokenizer_counts(
    name: str, description: str, schema: dict[str, Any], counted: int
) -> None:
    tool = Tool(name=name, description=description, input_schema=schema)
    assert tool_tokens(tool) == pytest.approx(counted, rel=1 / 3)


def test_only_what_a_model_sees_is_counted() -> None:
    tool = Tool(name="add", input_schema=ADD)
    seen = json.dumps({"name": "add", "input_schema": ADD}, separators=(",", ":"))
    assert tool_tokens(tool) == estimate_tokens(seen)
    more = tool.model_copy(update={"title": "Add", "output_schema": ADD, "meta": {"mcp-host/plugin": {"name": "good"}}})
    assert tool_tokens(more) == tool_tokens(tool)
    assert tool_tokens(tool.model_copy(update={"description": "Adds."})) > tool_tokens(tool)


@given(st.text(st.characters(exclude_categories=())), st.text())
def test_more_text_never_costs_less(text: str, more: str) -> None:
    assert estimate_tokens(text) <= estimate_tokens(text + more)
    assert (estimate_tokens(text) == 0) == (text == "")
