"""What a client gets from `mcp-host run`: over stdio and HTTP, in both protocol eras."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import ElicitRequestFormParams, ElicitResult, PromptReference, ResourceTemplateReference

if TYPE_CHECKING:
    from support.processes import Cli, Process

pytestmark = pytest.mark.anyio

CONFIG = """
    [host]
    name = "everything"
    instructions = "Use them well."
    [plugins.good]
    settings.greeting = "Good day"
    [plugins.noisy]
    [plugins.broken]
"""


@pytest.fixture(scope="module")
def served(module_cli: Cli) -> Iterator[Process]:
    module_cli.config(CONFIG)
    with module_cli.serve() as process:
        yield process


async def _answer(context: Any, params: Any) -> ElicitResult:
    assert isinstance(params, ElicitRequestFormParams)
    return ElicitResult(action="accept", content={"colour": "blue"})


@pytest.fixture(scope="module", params=["stdio-auto", "stdio-legacy", "http-auto", "http-legacy"])
async def client(
    request: pytest.FixtureRequest, module_cli: Cli, served: Process, anyio_backend: str
) -> AsyncIterator[Client]:
    """A client of `mcp-host run`, once for each transport and era."""
    transport, _, mode = request.param.partition("-")
    if transport == "http":
        async with Client(served.url, mode=mode, elicitation_callback=_answer) as connected:
            yield connected
        return
    command, *args = module_cli.command
    parameters = StdioServerParameters(
        command=command, args=[*args, "run"], env=module_cli.environment(), cwd=module_cli.folder
    )
    with (module_cli.folder / f"{mode}.log").open("w") as log:
        async with Client(stdio_client(parameters, log), mode=mode, elicitation_callback=_answer) as connected:
            yield connected


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content)


async def test_tools_of_every_plugin_are_listed_with_where_they_come_from(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {"add", "greet", "noise", "noise_on_the_loop"} <= tools.keys()
    assert tools["add"].meta is not None
    assert tools["add"].meta["mcp-host/plugin"]["distribution"] == "mcp-plugin-good"
    assert tools["add"].annotations is not None
    assert tools["add"].annotations.read_only_hint is True


async def test_a_tool_is_called_with_the_settings_and_state_of_its_plugin(client: Client) -> None:
    assert (await client.call_tool("add", {"a": 20, "b": 22})).structured_content == {"result": 42}
    assert text(await client.call_tool("greet", {"name": "Ada"})) == "Good day, Ada!"
    assert text(await client.call_tool("state", {})) == "the state"


async def test_progress_of_a_tool_arrives_while_it_runs(client: Client) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    result = await client.call_tool("work", {"steps": 3}, progress_callback=on_progress)
    assert text(result) == "worked"
    assert seen == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def test_callers_get_the_text_of_a_tool_error_but_not_of_a_crash(client: Client) -> None:
    refused = await client.call_tool("refuse", {})
    assert refused.is_error
    assert "not on a Sunday" in text(refused)
    crashed = await client.call_tool("crash", {})
    assert crashed.is_error
    assert "inner workings" not in text(crashed)
    assert "error" in text(crashed)


async def test_a_tool_cannot_end_the_server(client: Client) -> None:
    assert (await client.call_tool("leave", {})).is_error
    assert not (await client.call_tool("add", {"a": 1, "b": 1})).is_error


async def test_wrong_arguments_are_named_without_their_values(client: Client) -> None:
    result = await client.call_tool("add", {"a": "s3cret", "b": 1})
    assert result.is_error
    assert "a:" in text(result)
    assert "s3cret" not in text(result)


async def test_an_unknown_tool_is_refused_with_a_suggestion(client: Client) -> None:
    with pytest.raises(MCPError, match="did you mean 'add'") as refused:
        await client.call_tool("addd", {})
    assert refused.value.error.code == -32602


async def test_resources_and_templates_are_listed_and_read(client: Client) -> None:
    assert "note://today" in [str(resource.uri) for resource in (await client.list_resources()).resources]
    templates = (await client.list_resource_templates()).resource_templates
    assert [template.uri_template for template in templates] == ["note://by/{author}"]
    assert (await client.read_resource("note://today")).contents[0].text == "buy milk"  # type: ignore[union-attr]
    by_ann = (await client.read_resource("note://by/ann")).contents[0]
    assert by_ann.text == "notes by ann"  # type: ignore[union-attr]
    with pytest.raises(MCPError, match="note://nowhere") as refused:
        await client.read_resource("note://nowhere")
    assert refused.value.error.code == -32602


async def test_prompts_are_listed_and_rendered(client: Client) -> None:
    assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["review", "noisy"]
    rendered = await client.get_prompt("review", {"topic": "cats"})
    assert rendered.messages[0].content.text == "Review cats in a kind tone."  # type: ignore[union-attr]
    with pytest.raises(MCPError, match="missing argument topic") as refused:
        await client.get_prompt("review", {})
    assert refused.value.error.code == -32602


async def test_arguments_of_prompts_and_templates_are_completed(client: Client) -> None:
    topics = await client.complete(PromptReference(name="review"), {"name": "topic", "value": "ca"})
    assert topics.completion.values == ["cats", "cars"]
    authors = await client.complete(
        ResourceTemplateReference(uri="note://by/{author}"), {"name": "author", "value": ""}
    )
    assert authors.completion.values == ["ann", "bob"]


async def test_a_tool_asks_for_what_it_needs_in_both_eras(client: Client) -> None:
    assert text(await client.call_tool("dye", {"thing": "wool"})) == "wool: blue"


@pytest.mark.parametrize("tool", ["noise", "noise_on_the_loop"])
async def test_a_tool_that_writes_to_stdout_does_not_disturb_the_protocol(client: Client, tool: str) -> None:
    result = await client.call_tool(tool, {})
    assert not result.is_error
    assert text(await client.call_tool("greet", {"name": "Ada"})) == "Good day, Ada!"


async def test_a_resource_and_a_prompt_that_write_to_stdout_do_not_disturb_the_protocol(client: Client) -> None:
    assert (await client.read_resource("noise://one")).contents[0].text == "quiet"  # type: ignore[union-attr]
    assert (await client.get_prompt("noisy")).messages


async def test_a_broken_plugin_beside_good_ones_is_named_in_the_instructions(client: Client) -> None:
    assert client.instructions is not None
    assert client.instructions.startswith("Use them well.")
    assert re.search(r": broken \(failed after compatible, error [0-9a-f]{8}\)\.", client.instructions)
    assert "no such engine" not in client.instructions


async def test_the_plugins_resource_reports_the_health_of_each_plugin(client: Client) -> None:
    contents = (await client.read_resource("mcp-host://plugins")).contents[0]
    plugins = {plugin["name"]: plugin for plugin in json.loads(contents.text)["plugins"]}  # type: ignore[union-attr]
    assert plugins["good"]["stage"] == "serving"
    assert plugins["good"]["problem"] is None
    assert plugins["broken"]["stage"] == "compatible"
    assert plugins["broken"]["error_id"] in plugins["broken"]["problem"]["what"]
    assert "no such engine" not in contents.text  # type: ignore[union-attr]
