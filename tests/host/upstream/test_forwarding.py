"""Calls of other servers: in every pairing of the client's protocol era with the server's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import mcp.types as types
import pytest
from mcp import Client, MCPError

from mcp_host.config import parse_config
from mcp_host.testing import connect
from support import everything

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]

SERVER = [sys.executable, everything.__file__]

each_pair = pytest.mark.parametrize(
    ("mode", "era"),
    [("auto", "auto"), ("auto", "legacy"), ("legacy", "auto"), ("legacy", "legacy")],
    ids=["new-new", "new-old", "old-new", "old-old"],
)


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    return {"command": SERVER, "env": {"PYTHONPATH": str(Path(everything.__file__).parent.parent)}}


@asynccontextmanager
async def serving(table: dict[str, Any], folder: Path, mode: str, **client: Any) -> AsyncIterator[Client]:
    """Connect a client to a host with one other server."""
    tables = {"host": {"data_dir": str(folder / "data")}, "plugins": {"other": table}}
    config = parse_config("", source=folder / "mcp-host.toml", overrides=tables, environ={})
    async with connect(config, mode=mode, **client) as connected:
        yield connected


async def answer(context: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"name": params.message})


def text(result: types.CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, types.TextContent)
    return block.text


@each_pair
async def test_what_is_listed_is_what_the_server_listed(
    table: dict[str, Any], tmp_path: Path, mode: str, era: str
) -> None:
    async with serving({**table, "era": era, "prefix": "o_"}, tmp_path, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        add = tools["o_add"]
        assert add.title == "Adder"
        assert add.description == "Add two numbers."
        assert add.annotations == types.ToolAnnotations(read_only_hint=True)
        assert add.meta is not None
        assert add.meta["author"] == "me"
        assert add.meta["mcp-host/plugin"]["name"] == "other"
        assert add.output_schema is not None
        assert sorted(add.output_schema["properties"]) == ["note", "total"]
        resources = {str(item.uri): item for item in (await client.list_resources()).resources}
        assert resources["thing://fixed"].mime_type == "text/markdown"
        templates = [item.uri_template for item in (await client.list_resource_templates()).resource_templates]
        assert templates == ["thing://of/{name}", "thing://up/{+path}"]
        (prompt,) = (await client.list_prompts()).prompts
        assert prompt.name == "o_greet"
        assert [(argument.name, argument.required) for argument in prompt.arguments or ()] == [
            ("name", True),
            ("tone", False),
        ]


@each_pair
async def test_calls_and_results_pass_unchanged(table: dict[str, Any], tmp_path: Path, mode: str, era: str) -> None:
    async with serving({**table, "era": era}, tmp_path, mode) as client:
        added = await client.call_tool("add", {"a": 1, "b": 2})
        assert added.structured_content == {"total": 3, "note": None}
        assert not added.is_error
        assert (
            text(await client.call_tool("show", {"value": {"a": None, "b": [1, "x"]}})) == "{'a': None, 'b': [1, 'x']}"
        )
        unfit = await client.call_tool("add", {"a": "x", "b": 2})
        assert unfit.is_error
        failed = await client.call_tool("fail", {})
        assert failed.is_error
        assert "it went wrong" not in text(failed)  # the server's own SDK masks it
        with pytest.raises(MCPError, match="an own error") as raised:
            await client.call_tool("fail", {"how": "protocol"})
        assert (raised.value.code, raised.value.error.data) == (-31999, {"why": "protocol"})
        with pytest.raises(MCPError, match="did you mean 'add'"):
            await client.call_tool("ad", {})
        meta: Any = {"mine": "yes"}
        result = await client.call_tool("meta", {}, meta=meta)
        assert result.structured_content == {"mine": "yes"}


@each_pair
async def test_resources_keep_their_uri_type_and_meta(
    table: dict[str, Any], tmp_path: Path, mode: str, era: str
) -> None:
    async with serving({**table, "era": era}, tmp_path, mode) as client:
        (part,) = (await client.read_resource("thing://fixed")).contents
        assert isinstance(part, types.TextResourceContents)
        assert (str(part.uri), part.text, part.mime_type, part.meta) == (
            "thing://fixed",
            "# fixed",
            "text/markdown",
            {"kept": True},
        )
        (blob,) = (await client.read_resource("thing://bytes")).contents
        assert isinstance(blob, types.BlobResourceContents)
        assert (blob.blob, blob.mime_type) == ("AP8=", "application/x-thing")
        (of,) = (await client.read_resource("thing://of/a%20b")).contents
        assert isinstance(of, types.TextResourceContents)
        assert (str(of.uri), of.text) == ("thing://of/a%20b", "thing of a b")
        with pytest.raises(MCPError):  # it is the server that refuses the path
            await client.read_resource("thing://up/../../etc/passwd")
        with pytest.raises(MCPError, match="Unknown resource"):
            await client.read_resource("thing://nowhere")


@each_pair
async def test_prompts_and_completions(table: dict[str, Any], tmp_path: Path, mode: str, era: str) -> None:
    async with serving({**table, "era": era, "prefix": "o_"}, tmp_path, mode) as client:
        prompt = await client.get_prompt("o_greet", {"name": "Eva"})
        (message,) = prompt.messages
        assert isinstance(message.content, types.TextContent)
        assert message.content.text == "Greet Eva, warm."
        completed = await client.complete(types.PromptReference(name="o_greet"), {"name": "name", "value": "E"})
        assert completed.completion.values == ["greet/name/E"]
        assert (completed.completion.total, completed.completion.has_more) == (7, True)
        template = types.ResourceTemplateReference(uri="thing://of/{name}")
        completed = await client.complete(template, {"name": "name", "value": "x"})
        assert completed.completion.values == ["thing://of/{name}/name/x"]


@each_pair
async def test_progress_comes_in_order_and_before_the_result(
    table: dict[str, Any], tmp_path: Path, mode: str, era: str
) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with serving({**table, "era": era}, tmp_path, mode) as client:
        assert text(await client.call_tool("count", {}, progress_callback=report)) == "counted"
    assert seen == [(float(number), 20.0, f"step {number}") for number in range(20)]


@each_pair
async def test_log_messages_reach_the_client_that_called(
    table: dict[str, Any], tmp_path: Path, mode: str, era: str
) -> None:
    seen: list[Any] = []
    came = asyncio.Event()

    async def logged(params: types.LoggingMessageNotificationParams) -> None:
        seen.append((params.level, params.data))
        came.set()

    async with serving({**table, "era": era}, tmp_path, mode, logging_callback=logged, log_level="info") as client:
        await client.call_tool("speak", {})
        async with asyncio.timeout(10):
            await came.wait()
    assert seen == [("info", "spoken")]


@each_pair
async def test_a_cancelled_call_is_cancelled_at_the_server(
    table: dict[str, Any], tmp_path: Path, mode: str, era: str
) -> None:
    from watchfiles import awatch

    file = tmp_path / "calls" / "hang"
    file.parent.mkdir()
    async with serving({**table, "era": era, "tools": {"timeouts": {"hang": 1.5}}}, tmp_path, mode) as client:
        result = await client.call_tool("hang", {"file": str(file)})
        assert result.is_error
        assert "did not finish within 1.5 s" in text(result)
        async with asyncio.timeout(20):
            async for _ in awatch(file.parent, yield_on_timeout=True, rust_timeout=100):
                if file.read_text() == "cancelled":
                    break


# Questions


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_server_of_the_handshake_asks_in_the_middle_of_a_call(
    table: dict[str, Any], tmp_path: Path, mode: str
) -> None:
    async with serving({**table, "era": "legacy"}, tmp_path, mode, elicitation_callback=answer) as client:
        assert text(await client.call_tool("ask", {})) == "accept other: Who are you?"
        assert text(await client.call_tool("ask_twice", {})) == "other: First? other: Second?"
        assert text(await client.call_tool("ask_at_once", {})) == "other: First? other: Second?"


@each_pair
async def test_a_question_of_every_version(table: dict[str, Any], tmp_path: Path, mode: str, era: str) -> None:
    async with serving({**table, "era": era}, tmp_path, mode, elicitation_callback=answer) as client:
        assert text(await client.call_tool("resolved", {})) == "hello other: Who are you?"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_sampling_and_roots(table: dict[str, Any], tmp_path: Path, mode: str) -> None:
    async def write(context: Any, params: Any) -> types.CreateMessageResult:
        content = types.TextContent(type="text", text=f"{params.messages[0].content.text} yourself")
        return types.CreateMessageResult(role="assistant", content=content, model="m")

    async def list_roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult.model_validate({"roots": [{"uri": "file:///a"}, {"uri": "file:///b"}]})

    callbacks = {"sampling_callback": write, "list_roots_callback": list_roots}
    async with serving({**table, "era": "legacy"}, tmp_path, mode, **callbacks) as client:
        assert text(await client.call_tool("sample", {})) == "hello yourself"
        assert text(await client.call_tool("roots", {})) == "file:///a, file:///b"


@each_pair
async def test_a_client_that_cannot_be_asked(table: dict[str, Any], tmp_path: Path, mode: str, era: str) -> None:
    async with serving({**table, "era": era}, tmp_path, mode) as client:
        if (mode, era) == ("legacy", "legacy"):
            # How a server words it that got an error for its question is its own business.
            with suppress(MCPError):
                assert (await client.call_tool("resolved", {})).is_error
        else:
            with pytest.raises(MCPError) as raised:
                await client.call_tool("resolved", {})
            assert raised.value.code == -32021
            assert raised.value.error.data["requiredCapabilities"].keys() == {"elicitation"}
        # Nothing is left that hinders the next call.
        assert text(await client.call_tool("show", {"value": 1})) == "1"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_does_not_fail_because_its_server_looks_for_roots(
    table: dict[str, Any], tmp_path: Path, mode: str
) -> None:
    async with serving({**table, "era": "legacy"}, tmp_path, mode) as client:
        # The server alone decides what follows for its call: this one passes the error on, in its own words.
        with pytest.raises(MCPError, match="roots") as raised:
            await client.call_tool("roots", {})
        assert raised.value.code == types.METHOD_NOT_FOUND


@each_pair
async def test_a_table_refuses_questions(table: dict[str, Any], tmp_path: Path, mode: str, era: str) -> None:
    asked: list[Any] = []

    async def never(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params)
        return types.ElicitResult(action="decline")

    async with serving({**table, "era": era, "ask": False}, tmp_path, mode, elicitation_callback=never) as client:
        try:
            result = await client.call_tool("resolved", {})
        except MCPError:
            pass
        else:
            assert result.is_error
    assert not asked


@pytest.mark.parametrize("action", ["decline", "cancel"])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_user_who_does_not_answer(table: dict[str, Any], tmp_path: Path, mode: str, action: Any) -> None:
    async def refuse(context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action=action)

    async with serving({**table, "era": "legacy"}, tmp_path, mode, elicitation_callback=refuse) as client:
        assert text(await client.call_tool("ask", {})) == action


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_time_of_a_person_does_not_count(table: dict[str, Any], tmp_path: Path, mode: str) -> None:
    async def slow(context: Any, params: Any) -> types.ElicitResult:
        await asyncio.sleep(1.5)  # longer than the call may take
        return types.ElicitResult(action="accept", content={"name": "slow"})

    timed = {**table, "era": "legacy", "timeout": 1.0}
    async with serving(timed, tmp_path, mode, elicitation_callback=slow) as client:
        assert text(await client.call_tool("ask", {})) == "accept slow"


async def test_an_answer_to_nothing_does_not_run_the_call_again(table: dict[str, Any], tmp_path: Path) -> None:
    async with serving({**table, "era": "legacy"}, tmp_path, "auto", elicitation_callback=answer) as client:
        first = await client.session.call_tool("ask", {}, allow_input_required=True)
        assert isinstance(first, types.InputRequiredResult)
        (key,) = first.input_requests or {}
        responses: Any = {key: types.ElicitResult(action="accept", content={"name": "me"})}
        given: Any = {"input_responses": responses, "request_state": first.request_state}
        assert text(await client.session.call_tool("ask", {}, **given)) == "accept me"
        with pytest.raises(MCPError) as raised:
            await client.session.call_tool("ask", {}, **given)
        assert raised.value.code == -32602


# Changes


@each_pair
async def test_new_tools_and_changed_resources_are_reported(
    table: dict[str, Any], tmp_path: Path, mode: str, era: str
) -> None:
    notices: list[str] = []
    came = asyncio.Condition()

    async def noticed(message: Any) -> None:
        async with came:
            notices.append(type(message).__name__)
            came.notify_all()

    async with serving({**table, "era": era}, tmp_path, mode, message_handler=noticed) as client, came:
        if mode == "legacy":
            await client.session.subscribe_resource("thing://fixed")
            await _until_noticed(client, came, notices)
        else:
            async with client.listen(tools_list_changed=True, resource_subscriptions=["thing://fixed"]):
                await _until_noticed(client, came, notices)
        assert "grown" in [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]
        assert text(await client.call_tool("grown", {})) == "new"


async def _until_noticed(client: Client, came: asyncio.Condition, notices: list[str]) -> None:
    grow = asyncio.ensure_future(client.call_tool("grow", {}))
    async with asyncio.timeout(20):
        await came.wait_for(lambda: "ToolListChangedNotification" in notices)
        await grow
        while "ResourceUpdatedNotification" not in notices:
            # The subscription reaches the server a moment later than the client's request is answered.
            touch = asyncio.ensure_future(client.call_tool("touch", {}))
            try:
                async with asyncio.timeout(1):
                    await came.wait_for(lambda: "ResourceUpdatedNotification" in notices)
            except TimeoutError:
                continue
            finally:
                await touch
