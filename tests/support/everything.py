"""An MCP server with one of everything that can be forwarded. As a script, it serves stdio, or HTTP at a port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import mcp.types as types
from mcp.server import Server, ServerRequestContext
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

server = MCPServer("everything", version="1.2.3", instructions="Use it well.")


class Sum(BaseModel):
    total: int
    note: str | None = None


class Person(BaseModel):
    name: str


@server.tool(title="Adder", annotations=types.ToolAnnotations(read_only_hint=True), meta={"author": "me"})
def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(total=a + b)


@server.tool()
def show(value: Any = None) -> str:
    """Show a value as it came."""
    return repr(value)


@server.tool()
def fail(how: str = "tool") -> str:
    """Fail."""
    if how == "tool":
        raise ValueError("it went wrong")
    raise MCPError(-31999, "an own error", {"why": how})


@server.tool()
async def count(context: Context, to: int = 20) -> str:
    """Report progress."""
    for number in range(to):
        await context.report_progress(number, to, f"step {number}")
    return "counted"


@server.tool()
async def speak(context: Context) -> str:
    """Send log messages."""
    await context.info("spoken")
    return "said"


@server.tool()
async def ask(context: Context) -> str:
    """Ask the user in the middle of the call (handshake versions)."""
    result = await context.elicit("Who are you?", Person)
    return f"{result.action} {result.data.name if result.action == 'accept' else ''}".strip()


@server.tool()
async def ask_twice(context: Context) -> str:
    """Ask one question after the other."""
    first = await context.elicit("First?", Person)
    second = await context.elicit("Second?", Person)
    assert first.action == second.action == "accept"
    return f"{first.data.name} {second.data.name}"


@server.tool()
async def ask_at_once(context: Context) -> str:
    """Ask two questions at the same time."""
    answers = await asyncio.gather(context.elicit("First?", Person), context.elicit("Second?", Person))
    return " ".join(answer.data.name for answer in answers if answer.action == "accept")


async def _who() -> Elicit[Person]:
    return Elicit("Who are you?", Person)


@server.tool()
async def resolved(person: Annotated[Person, Resolve(_who)]) -> str:
    """Ask the user in every protocol version."""
    return f"hello {person.name}"


@server.tool()
async def sample(context: Context) -> str:
    """Have the client's model write something (handshake versions)."""
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="hello"))
    result = await context.session.create_message([message], max_tokens=10)
    assert isinstance(result.content, types.TextContent)
    return result.content.text


@server.tool()
async def roots(context: Context) -> str:
    """List the client's roots (handshake versions)."""
    return ", ".join(str(root.uri) for root in (await context.session.list_roots()).roots)


@server.tool()
async def hang(file: str) -> str:
    """Write into the file when it has begun, and when it is cancelled."""
    Path(file).write_text("begun")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        Path(file).write_text("cancelled")
        raise
    return ""


@server.tool()
def meta(context: Context) -> dict[str, Any]:
    """Return the `_meta` of the request."""
    return {key: value for key, value in (context.request_context.meta or {}).items() if "io.model" not in key}


@server.tool()
async def grow(context: Context) -> str:
    """Add a tool, and report it."""
    server.add_tool(lambda: "new", name="grown", description="It is new.")
    if context.protocol_version == "2026-07-28":
        await context.notify_tools_changed()
    else:
        await context.session.send_tool_list_changed()
    return "grown"


@server.tool()
async def touch(context: Context) -> str:
    """Report that a resource has changed."""
    if context.protocol_version == "2026-07-28":
        await context.notify_resource_updated("thing://fixed")
    else:
        await context.session.send_resource_updated("thing://fixed")
    return "touched"


@server.resource("thing://fixed", mime_type="text/markdown", meta={"kept": True})
def fixed() -> str:
    """A text."""
    return "# fixed"


@server.resource("thing://bytes", mime_type="application/x-thing")
def raw() -> bytes:
    return b"\x00\xff"


@server.resource("thing://of/{name}")
def of(name: str) -> str:
    return f"thing of {name}"


@server.resource("thing://up/{+path}")
def up(path: str) -> str:
    return path


@server.prompt()
def greet(name: str, tone: str = "warm") -> str:
    """Greet somebody."""
    return f"Greet {name}, {tone}."


@server.completion()  # type: ignore[no-untyped-call,untyped-decorator]
async def complete(ref: Any, argument: Any, context: Any) -> types.Completion:
    subject = ref.name if isinstance(ref, types.PromptReference) else ref.uri
    return types.Completion(values=[f"{subject}/{argument.name}/{argument.value}"], total=7, has_more=True)


async def _list(ctx: ServerRequestContext[Any, Any], params: Any) -> types.ListToolsResult:
    schema = {"type": "object", "x-vendor": {"a": None}}
    return types.ListToolsResult(tools=[types.Tool(name="low", description="Low.", input_schema=schema)])


async def _call(ctx: ServerRequestContext[Any, Any], params: types.CallToolRequestParams) -> types.CallToolResult:
    text = types.TextContent(type="text", text=f"{params.name} {params.arguments}")
    return types.CallToolResult(content=[text], structured_content={"n": None}, _meta={"kept": 1})


low_level = Server("low", on_list_tools=_list, on_call_tool=_call)


def make(who: str, times: int = 1) -> MCPServer:
    """Make a server from settings."""
    made = MCPServer("made")
    made.add_tool(lambda: who * times, name="who", description="Say who.")
    return made


async def make_later(who: str) -> Server[Any]:
    """Make a low-level server in a coroutine."""
    await asyncio.sleep(0)
    return low_level


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
