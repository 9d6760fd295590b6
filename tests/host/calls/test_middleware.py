"""A middleware runs around its own plugin's calls, or all with leave of the TOML, and never gets another's Context."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.types import TextContent
from pydantic import BaseModel

from mcp_host import Call, CallNext, Context, Plugin, PluginContext, ToolError
from mcp_host.config import parse_config
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])
ALL = {"plugins": {"guard": {"middleware": "all"}}}


class Settings(BaseModel):
    token: str = ""


def text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


def make_plugin(name: str) -> Plugin:
    """One item of each kind, each of which returns what its Context is of, and a state of its own."""

    @asynccontextmanager
    async def lifespan(plugin: PluginContext) -> AsyncIterator[str]:
        yield f"state of {plugin.name}"

    plugin = Plugin(settings=Settings, lifespan=lifespan)

    @plugin.tool(f"{name}_tool", structured_output=False)
    async def tool(ctx: Context[Settings, str], word: str = "") -> str:
        return " ".join((word, *whose(ctx))).strip()

    @plugin.tool(f"{name}_read", structured_output=False)
    async def read(uri: str, ctx: Context) -> str:
        return str(next(iter(await ctx.read_resource(uri))).content)

    @plugin.resource(f"{name}://item")
    async def resource(ctx: Context[Settings, str]) -> str:
        return " ".join(whose(ctx))

    @plugin.prompt(f"{name}_prompt")
    async def prompt(ctx: Context[Settings, str]) -> str:
        return " ".join(whose(ctx))

    return plugin


def whose(context: Context[Settings, str]) -> tuple[str, str, str, str]:
    """What a Context shows of the plugin that it is of."""
    state = context.request_context.lifespan_context
    return context.plugin.name, context.settings.token, str(context.state), str(state)


def own(name: str) -> tuple[str, str, str, str]:
    return name, f"token of {name}", f"state of {name}", f"state of {name}"


def settings(options: dict[str, Any] | None = None) -> dict[str, Any]:
    given = (options or {}).get("plugins", {})
    return {
        "plugins": {
            name: {**given.get(name, {}), "settings": {"token": f"token of {name}"}} for name in ("guard", "shop")
        }
    }


@asynccontextmanager
async def guarded(guard: Plugin, mode: str, options: dict[str, Any] | None = None) -> AsyncIterator[Client]:
    async with connect({"guard": guard, "shop": make_plugin("shop")}, mode=mode, options=settings(options)) as client:
        yield client


async def use_everything(client: Client, name: str) -> None:
    """Call, read, get the prompt, and read from inside of a tool; each sees the plugin that owns it."""
    wanted = " ".join(own(name))
    assert text(await client.call_tool(f"{name}_tool", {})) == wanted
    (content,) = (await client.read_resource(f"{name}://item")).contents
    assert getattr(content, "text", None) == wanted
    (message,) = (await client.get_prompt(f"{name}_prompt", {})).messages
    assert getattr(message.content, "text", None) == wanted
    assert text(await client.call_tool(f"{name}_read", {"uri": f"{name}://item"})) == wanted


@each_era
@pytest.mark.parametrize("options", [None, ALL], ids=["own", "all"])
async def test_a_middleware_gets_its_own_context_and_the_calls_that_the_toml_lets_it_see(
    mode: str, options: dict[str, Any] | None
) -> None:
    guard, seen = make_plugin("guard"), []

    @guard.middleware
    async def look(call: Call, call_next: CallNext) -> Any:
        seen.append((call.plugin, call.kind, call.name))
        assert whose(call.context) == own("guard")
        return await call_next(call)

    async with guarded(guard, mode, options) as client:
        for name in ("guard", "shop"):
            await use_everything(client, name)
    kinds = [("tool", "{}_tool"), ("resource", "{}://item"), ("prompt", "{}_prompt")]
    kinds += [("tool", "{}_read"), ("resource", "{}://item")]
    names = ("guard", "shop") if options else ("guard",)
    assert seen == [(name, kind, form.format(name)) for name in names for kind, form in kinds]


@each_era
async def test_layers_of_two_plugins_each_get_their_own_context_and_run_in_the_order_of_the_toml(mode: str) -> None:
    guard, shop, seen = make_plugin("guard"), make_plugin("shop"), []

    def layer(plugin: Plugin, word: str) -> None:
        @plugin.middleware
        async def look(call: Call, call_next: CallNext) -> Any:
            seen.append((word, *whose(call.context)))
            result = await call_next(call)
            seen.append((word, *whose(call.context)))
            return result

    layer(guard, "first")
    layer(guard, "second")
    layer(shop, "third")
    async with connect({"guard": guard, "shop": shop}, mode=mode, options=settings(ALL)) as client:
        await client.call_tool("shop_tool", {})
    inward = [("first", *own("guard")), ("second", *own("guard")), ("third", *own("shop"))]
    assert seen == [*inward, *reversed(inward)]


@each_era
async def test_what_a_plugin_changed_is_restored_before_the_code_of_the_next_one_runs(mode: str) -> None:
    guard, ran = make_plugin("guard"), list[str]()

    @guard.middleware
    async def around(call: Call, call_next: CallNext) -> Any:
        return await call_next(call)

    host = Host(
        parse_config('[plugins.guard]\nmiddleware = "all"\n[plugins.shop]\n', environ={}),
        objects={"guard": guard, "shop": make_plugin("shop")},
        after_plugin_code=lambda plugin: ran.append(plugin.name),
    )
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        for plugin, expected in (("shop", ["guard", "shop", "guard"]), ("guard", ["guard", "guard", "guard"])):
            ran.clear()
            await client.call_tool(f"{plugin}_tool", {})
            assert ran == expected


@each_era
async def test_only_a_crash_of_its_own_code_counts_as_a_failure_of_the_plugin_that_is_called(mode: str) -> None:
    guard, shop = make_plugin("guard"), make_plugin("shop")

    @guard.middleware
    async def around(call: Call, call_next: CallNext) -> Any:
        if call.arguments.get("where") == "before":
            raise OSError("before")
        result = await call_next(call)
        if call.arguments.get("where") == "after":
            raise OSError("after")
        return result

    @shop.tool(structured_output=False)
    async def crash(where: str) -> str:
        if where == "inside":
            raise OSError(where)
        return where

    host = Host(
        parse_config('[plugins.guard]\nmiddleware = "all"\n[plugins.shop]\n', environ={}),
        objects={"guard": guard, "shop": shop},
    )
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        for where, failures in (("before", 0), ("after", 0), ("inside", 1), ("before", 1), ("inside", 2)):
            assert (await client.call_tool("crash", {"where": where})).is_error
            counted = {plugin.name: plugin.bulkhead.breaker.circuit.failures for plugin in host.plugins}
            assert counted == {"guard": 0, "shop": failures}, where


@each_era
async def test_only_the_arguments_of_the_call_that_a_middleware_hands_on_count(mode: str) -> None:
    guard = make_plugin("guard")

    @guard.middleware
    async def change(call: Call, call_next: CallNext) -> Any:
        if call.name != "shop_tool":
            return await call_next(call)
        own_context = call.context
        arguments = {**call.arguments, "word": "changed"}
        return await call_next(
            dataclasses.replace(call, arguments=arguments, context=own_context, name="guard_tool", plugin="guard")
        )

    async with guarded(guard, mode, ALL) as client:
        assert text(await client.call_tool("shop_tool", {"word": "sent"})) == " ".join(("changed", *own("shop")))


@each_era
async def test_each_middleware_gets_the_arguments_that_the_one_around_it_passed_on(mode: str) -> None:
    guard, seen = make_plugin("guard"), []

    for number in (1, 2, 3):

        @guard.middleware
        async def add(call: Call, call_next: CallNext, number: int = number) -> Any:
            seen.append(call.arguments["word"])
            return await call_next(dataclasses.replace(call, arguments={"word": f"{call.arguments['word']}{number}"}))

    async with guarded(guard, mode) as client:
        answer = text(await client.call_tool("guard_tool", {"word": "w"}))
        assert answer.split()[0] == "w123"
        assert seen == ["w", "w1", "w12"]


@each_era
async def test_an_error_and_an_answer_of_a_middleware_are_the_calls(mode: str) -> None:
    guard = make_plugin("guard")

    @guard.middleware
    async def refuse(call: Call, call_next: CallNext) -> Any:
        if call.arguments.get("word") == "forbidden":
            raise ToolError("that word is forbidden")
        if call.arguments.get("word") == "twice":
            await call_next(call)
        return await call_next(call)

    async with guarded(guard, mode, ALL) as client:
        assert text(await client.call_tool("shop_tool", {"word": "forbidden"})) == "that word is forbidden"
        assert text(await client.call_tool("shop_tool", {"word": "twice"})).startswith("twice shop")


@each_era
async def test_what_a_middleware_reads_is_read_as_its_own_plugin(mode: str) -> None:
    guard, seen = make_plugin("guard"), []

    @guard.middleware
    async def read(call: Call, call_next: CallNext) -> Any:
        if call.kind == "tool":
            seen.append(str(next(iter(await call.context.read_resource("shop://item"))).content))
            assert whose(call.context) == own("guard")
        return await call_next(call)

    async with guarded(guard, mode, ALL) as client:
        await client.call_tool("shop_tool", {})
    assert seen == [" ".join(own("shop"))]


def test_a_record_names_what_a_plugin_contributes_beside_its_items() -> None:
    guard = make_plugin("guard")

    @guard.middleware
    async def look(call: Call, call_next: CallNext) -> Any:
        return await call_next(call)

    @guard.observer
    def note(event: object) -> None: ...

    @guard.route("/health")
    async def health(request: Any) -> Any: ...

    (record,) = make_host(guard, name="guard", options={"plugins": {"guard": {"middleware": "all"}}}).records
    contributed = record.to_json()["contributed"]
    assert (contributed["middleware"], contributed["observers"], contributed["routes"]) == (
        ("look",),
        ("note",),
        ("/health",),
    )
    assert record.to_json()["middleware"] == "all"
    assert record.contributes == (
        "2 tools, 1 resource, 1 prompt, 1 middleware, 1 observer, 1 route, middleware around all plugins"
    )
    (record,) = make_host(guard).records
    assert record.contributes == "2 tools, 1 resource, 1 prompt, 1 middleware, 1 observer, 1 route"


def test_a_middleware_that_could_never_run_is_a_warning() -> None:
    alone = Plugin()

    @alone.middleware
    async def look(call: Call, call_next: CallNext) -> Any:
        return await call_next(call)

    (record,) = make_host(alone).records
    assert [warning.what.partition(":")[0] for warning in record.warnings] == ["its middleware never runs"]
    (record,) = make_host(alone, options={"plugins": {"plugin": {"middleware": "all"}}}).records
    assert record.warnings == ()
