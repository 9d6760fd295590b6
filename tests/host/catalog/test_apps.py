"""MCP Apps (SEP-1865): tools with a page that renders their results, of several plugins at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID, Apps, ResourceCsp, client_supports_apps
from mcp.server.extension import Extension
from mcp.server.mcpserver import Context as SDKContext
from mcp.server.mcpserver import MCPServer
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCMessage, JSONRPCRequest, JSONRPCResponse, TextContent, TextResourceContents, Tool
from pydantic import TypeAdapter

from mcp_host import Context, Plugin, Resource, hookimpl
from mcp_host import Tool as ToolData
from mcp_host.config import parse_config
from mcp_host.plugins.kinds import TOOL
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])

PAGE = "<!doctype html><title>clock</title>"
RENDERS_APPS = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})


def clock(page: str = "ui://clock/view.html", **page_options: Any) -> Plugin:
    plugin = Plugin()

    @plugin.tool(ui=page)
    def now(ctx: Context) -> str:
        return "rendered" if client_supports_apps(ctx) else "as text"

    @plugin.tool
    def tick() -> str:
        return "tick"

    @plugin.resource(page, **page_options)
    def view() -> str:
        return PAGE

    return plugin


def adopted() -> MCPServer[Any]:
    apps = Apps()

    @apps.tool(resource_uri="ui://alarm/app.html", visibility=["model"], description="Ring.")
    def ring(ctx: SDKContext[Any]) -> str:
        return "rendered" if client_supports_apps(ctx) else "as text"

    apps.add_html_resource(
        "ui://alarm/app.html", PAGE, csp=ResourceCsp(connect_domains=["https://alarm.example"]), prefers_border=True
    )
    return MCPServer("alarm", extensions=[apps])


def ui_of(tool: Tool) -> Any:
    return (tool.meta or {}).get("ui")


async def uis(client: Client) -> dict[str, Any]:
    return {tool.name: ui_of(tool) for tool in (await client.list_tools()).tools if ui_of(tool)}


async def said(client: Client, tool: str) -> str:
    (block,) = (await client.call_tool(tool, {})).content
    assert isinstance(block, TextContent)
    return block.text


async def capabilities(server: HostServer, version: str) -> Mapping[str, Any]:
    """What `initialize` answers on the wire, before a client's own types leave anything out."""
    lowlevel = server._lowlevel_server
    request = JSONRPCRequest(
        jsonrpc="2.0",
        id=1,
        method="initialize",
        params={
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    )
    async with create_client_server_memory_streams() as ((read, write), streams), anyio.create_task_group() as tasks:
        tasks.start_soon(lowlevel.run, *streams, lowlevel.create_initialization_options())
        with anyio.fail_after(30):
            message: JSONRPCMessage = TypeAdapter(JSONRPCMessage).validate_python(request)
            await write.send(SessionMessage(message))
            received = await read.receive()
        tasks.cancel_scope.cancel()
    assert isinstance(received, SessionMessage)
    assert isinstance(received.message, JSONRPCResponse)
    found: Mapping[str, Any] = received.message.result["capabilities"]
    return found


def problem_of(plugin: object) -> str:
    (record,) = make_host(plugin).records
    assert record.problem is not None
    return f"{record.problem.what} | {record.problem.hint}"


@each_era
async def test_a_tool_names_its_page_and_the_page_is_served_as_an_app(mode: str) -> None:
    async with connect(clock(), mode=mode) as client:
        assert await uis(client) == {"now": {"resourceUri": "ui://clock/view.html"}}
        (listed,) = [r for r in (await client.list_resources()).resources if r.uri.startswith("ui:")]
        assert listed.mime_type == APP_MIME_TYPE
        (page,) = (await client.read_resource("ui://clock/view.html")).contents
        assert isinstance(page, TextResourceContents)
        assert page.mime_type == APP_MIME_TYPE
        assert page.text == PAGE


@each_era
async def test_a_tool_can_tell_whether_its_page_is_shown(mode: str) -> None:
    async with connect(clock(), mode=mode) as client:
        assert await said(client, "now") == "as text"
    async with connect(clock(), mode=mode, extensions=[RENDERS_APPS]) as client:
        assert await said(client, "now") == "rendered"


@each_era
async def test_what_the_page_may_do_is_said_in_the_listing_and_with_its_text(mode: str) -> None:
    ui = {"csp": {"connectDomains": ["https://time.example"]}, "permissions": {"geolocation": {}}}
    async with connect(clock(meta={"ui": ui}), mode=mode) as client:
        (listed,) = [r for r in (await client.list_resources()).resources if r.uri.startswith("ui:")]
        assert (listed.meta or {})["ui"] == ui
        (page,) = (await client.read_resource("ui://clock/view.html")).contents
        assert (page.meta or {})["ui"] == ui


@each_era
async def test_several_plugins_have_pages_at_once(mode: str) -> None:
    plugins = {"clock": clock(), "other": clock("ui://other/view.html"), "alarm": adopted()}
    options = {"plugins": {"other": {"prefix": "other_"}}}
    async with connect(plugins, mode=mode, options=options, extensions=[RENDERS_APPS]) as client:
        assert await uis(client) == {
            "now": {"resourceUri": "ui://clock/view.html"},
            "other_now": {"resourceUri": "ui://other/view.html"},
            "ring": {"resourceUri": "ui://alarm/app.html", "visibility": ["model"]},
        }
        for tool in ("now", "other_now", "ring"):
            assert await said(client, tool) == "rendered"
        (page,) = (await client.read_resource("ui://alarm/app.html")).contents
        assert page.mime_type == APP_MIME_TYPE
        assert (page.meta or {})["ui"] == {"csp": {"connectDomains": ["https://alarm.example"]}, "prefersBorder": True}


async def test_one_extension_is_announced_when_a_tool_has_a_page() -> None:
    async with connect({"clock": clock(), "alarm": adopted()}) as client:
        assert client.server_capabilities.extensions == {EXTENSION_ID: {}}
    without = Plugin()
    without.tool(name="x")(lambda: "x")
    async with connect(without) as client:
        assert client.server_capabilities.extensions is None


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2024-11-05"])
async def test_the_extension_is_in_initialize_too(version: str) -> None:
    found = await capabilities(HostServer(make_host(clock())), version)
    assert found["extensions"] == {EXTENSION_ID: {}}
    assert "extensions" not in await capabilities(HostServer(make_host(Plugin())), version)


async def test_the_extension_follows_a_reload() -> None:
    def read(text: str) -> Any:
        return parse_config(text, environ={})

    host = Host(read("[plugins.plain]"), objects={"plain": Plugin(), "clock": clock()}, adopt=adopt)
    fixed, reloading = HostServer(host), HostServer(host, reloads=True)
    async with host.running():
        async with Client(fixed) as client:
            assert client.server_capabilities.extensions is None
        async with Client(reloading) as client:
            # A client asks once: a plugin with a page may come.
            assert client.server_capabilities.extensions == {EXTENSION_ID: {}}
            await host.reload(read("[plugins.plain]\n[plugins.clock]"))
            assert await uis(client) == {"now": {"resourceUri": "ui://clock/view.html"}}
        async with Client(fixed) as client:
            assert client.server_capabilities.extensions == {EXTENSION_ID: {}}
        await host.reload(read("[plugins.plain]"))
        async with Client(fixed) as client:
            assert client.server_capabilities.extensions is None


async def test_a_tool_loses_its_page_when_the_user_leaves_the_page_out() -> None:
    options = {"plugins": {"plugin": {"resources": {"deny": ["ui://*"]}}}}
    async with connect(clock(), options=options, extensions=[RENDERS_APPS]) as client:
        assert await uis(client) == {}
        assert client.server_capabilities.extensions is None
        assert (await client.call_tool("now", {})).is_error is False
    async with connect(adopted(), options=options) as client:
        assert await uis(client) == {"ring": {"visibility": ["model"]}}
        assert client.server_capabilities.extensions is None


async def test_the_rest_of_the_ui_metadata_is_the_authors() -> None:
    class Hooks:
        @hookimpl
        def mcp_tools(self) -> list[ToolData]:
            return [ToolData(lambda: "x", name="x", ui="ui://x/a", meta={"ui": {"visibility": ["app"]}, "a": 1})]

        @hookimpl
        def mcp_resources(self) -> list[Resource]:
            return [Resource("ui://x/{page}", lambda page: PAGE)]

    async with connect(Hooks()) as client:
        (tool,) = (await client.list_tools()).tools
        assert ui_of(tool) == {"visibility": ["app"], "resourceUri": "ui://x/a"}
        assert (tool.meta or {})["a"] == 1


def test_a_page_that_is_not_contributed_fails_the_plugin() -> None:
    plugin = clock()
    plugin.tool(name="typo", ui="ui://clock/veiw.html")(lambda: "x")
    what = problem_of(plugin)
    assert "tool 'typo': its ui 'ui://clock/veiw.html' is not a resource of the plugin" in what
    assert "did you mean 'ui://clock/view.html'?" in what
    assert '@plugin.resource("ui://clock/veiw.html")' in what


def test_a_page_at_another_scheme_fails_the_plugin() -> None:
    assert "its ui 'https://clock/view.html' is not at ui://" in problem_of(clock("https://clock/view.html"))


def test_a_page_of_a_type_that_clients_do_not_render_fails_the_plugin() -> None:
    what = problem_of(clock(mime_type="text/html"))
    assert f"is served as 'text/html', and clients render only '{APP_MIME_TYPE}'" in what
    assert "leave mime_type out of the resource at ui://clock/view.html" in what


def test_hand_written_metadata_fails_nothing() -> None:
    plugin = Plugin()
    plugin.tool(name="a", meta={"ui": "anything"})(lambda: "x")
    plugin.tool(name="b", meta={"ui": {"resourceUri": "ui://elsewhere"}})(lambda: "x")
    host = make_host(plugin)
    assert host.records[0].problem is None
    assert [ui_of(tool) for tool in host.catalog.listed(TOOL)] == ["anything", {"resourceUri": "ui://elsewhere"}]


def test_an_adopted_servers_apps_are_taken_over_without_a_warning() -> None:
    assert make_host(adopted()).records[0].warnings == ()

    class Guard(Extension):
        identifier = "io.example/guard"

    (warning,) = make_host(MCPServer("guarded", extensions=[Guard()])).records[0].warnings
    assert "the extensions of the adopted server are not taken over" in warning.what
