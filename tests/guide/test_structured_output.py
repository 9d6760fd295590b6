"""4. Structured results from a pydantic model, a TypedDict and a plain annotated class."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guide.servers.structured import plugin
from guide.talking import refusal, structured, text_of
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio

WEATHER = {"temperature": 22.5, "humidity": 45.0, "condition": "sunny", "wind_speed": 5.2}
LONDON = {"latitude": 51.5074, "longitude": -0.1278, "name": "London", "country": "UK"}
SETTINGS: dict[str, Any] = {"weather": {"London": WEATHER}, "places": {"London": [51.5074, -0.1278, "UK"]}}


async def test_a_pydantic_model_is_structured_content_and_its_fields_are_described(mode: str) -> None:
    async with connect(plugin, mode=mode, settings=SETTINGS) as client:
        assert await structured(client, "get_detailed_weather", city="London") == WEATHER
        (tool,) = [each for each in (await client.list_tools()).tools if each.name == "get_detailed_weather"]
    assert tool.output_schema is not None
    assert tool.output_schema["properties"]["temperature"]["description"] == "Temperature in Celsius"


async def test_a_typed_dict_is_structured_content(mode: str) -> None:
    async with connect(plugin, mode=mode, settings=SETTINGS) as client:
        assert await structured(client, "get_location", address="London") == LONDON


async def test_an_annotated_class_is_structured_content_and_its_text_is_the_same_json(mode: str) -> None:
    async with connect(plugin, mode=mode, settings=SETTINGS) as client:
        result = await client.call_tool("execute_query", {"sql": "SELECT 1 UNION SELECT 2"})
    assert result.structured_content is not None
    time = result.structured_content["execution_time"]
    assert time >= 0
    assert result.structured_content == {
        "query": "SELECT 1 UNION SELECT 2",
        "execution_time": time,
        "rows": 2,
        "success": True,
    }
    assert json.loads(text_of(result)) == result.structured_content


@pytest.mark.parametrize("tool", ["get_detailed_weather", "get_location", "execute_query"])
async def test_every_text_is_the_same_as_the_structured_content(mode: str, tool: str) -> None:
    argument = {"get_detailed_weather": "city", "get_location": "address", "execute_query": "sql"}[tool]
    value = "SELECT 1" if argument == "sql" else "London"
    async with connect(plugin, mode=mode, settings=SETTINGS) as client:
        result = await client.call_tool(tool, {argument: value})
    assert json.loads(text_of(result)) == result.structured_content


async def test_a_missing_result_is_an_error_for_the_model(mode: str) -> None:
    async with connect(plugin, mode=mode, settings=SETTINGS) as client:
        assert "some in London" in await refusal(client, "get_detailed_weather", city="Rome")
        assert "'Rome' is not on the map" in await refusal(client, "get_location", address="Rome")
        assert 'SQL error: near "SELEC": syntax error' in await refusal(client, "execute_query", sql="SELEC 1")
