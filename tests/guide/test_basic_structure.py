"""1. A tool, a resource and a prompt."""

from __future__ import annotations

import pytest
from mcp.types import TextContent

from guide.servers.greeting import plugin
from guide.talking import read, structured
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio


async def test_a_tool_is_called_with_its_arguments(mode: str) -> None:
    async with connect(plugin, mode=mode) as client:
        assert await structured(client, "add", a=1, b=2) == {"result": 3}


async def test_a_tool_is_listed_with_its_schema_its_description_and_its_hint(mode: str) -> None:
    async with connect(plugin, mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
    assert (tool.name, tool.description) == ("add", "Add two numbers.")
    assert set(tool.input_schema["properties"]) == set(tool.input_schema["required"]) == {"a", "b"}
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint


async def test_a_template_greets_the_given_name(mode: str) -> None:
    async with connect(plugin, mode=mode) as client:
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "greeting://{name}"
        assert (await read(client, "greeting://Ann")).text == "Hello, Ann!"


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        ({"name": "Ann"}, "Please write a warm, friendly greeting"),
        ({"name": "Ann", "style": "formal"}, "Please write a formal, professional greeting"),
        ({"name": "Ann", "style": "unheard of"}, "Please write a warm, friendly greeting"),
    ],
)
async def test_a_prompt_is_rendered_in_the_requested_style(mode: str, arguments: dict[str, str], begins: str) -> None:
    async with connect(plugin, mode=mode) as client:
        (message,) = (await client.get_prompt("greet_user", arguments)).messages
    assert isinstance(message.content, TextContent)
    assert message.content.text == f"{begins} for someone named Ann."
