"""The other server of these tests: `support.everything`, in pages of one item, with more of what a client can see.

    other.py [http]

It serves stdio, or HTTP at a free port, which it prints.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import Annotated, Any

import mcp.types as types
import uvicorn
from mcp.server import ServerRequestContext
from mcp.server.mcpserver import Context, ListRoots, Resolve, Sample

from support.everything import server

URI = "thing://fixed"
_A_PAGE = 1
_LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}
_steps: asyncio.Queue[None] = asyncio.Queue()
_stopped = asyncio.Event()
_shown = {"late": False}


async def _in_pages(ctx: ServerRequestContext[Any, Any], call_next: Any) -> Any:
    """Give a list in pages, without what `change` has taken away."""
    result = await call_next(ctx)
    key = _LISTS.get(ctx.method)
    if key is None:
        return result
    items = [item for item in result[key] if _shown.get(item["name"], True)]
    start = int((ctx.params or {}).get("cursor") or 0)
    end = start + _A_PAGE
    more = {"nextCursor": str(end)} if end < len(items) else {}
    return {**result, key: items[start:end], **more}


server.middleware.append(_in_pages)


@server.tool(
    title="Content",
    annotations=types.ToolAnnotations(destructive_hint=False, open_world_hint=True),
    icons=[types.Icon(src="data:image/png;base64,AA==", mime_type="image/png", sizes=["1x1"])],
)
def content() -> types.CallToolResult:
    """Return content of every kind."""
    note = types.Annotations(audience=["user"], priority=0.5, last_modified="2026-01-01T00:00:00Z")
    text = types.TextResourceContents(uri="thing://text", text="text", mime_type="text/plain")
    blob = types.BlobResourceContents(uri="thing://blob", blob="AP8=", mime_type="application/x-thing")
    return types.CallToolResult(
        content=[
            types.TextContent(type="text", text="ünï \u2028 text", annotations=note, _meta={"part": 1}),
            types.ImageContent(type="image", data="AAEC/w==", mime_type="image/png"),
            types.AudioContent(type="audio", data="/wIBAA==", mime_type="audio/wav"),
            types.ResourceLink(type="resource_link", uri=URI, name="fixed", description="A link.", size=7),
            types.EmbeddedResource(type="resource", resource=text, annotations=note),
            types.EmbeddedResource(type="resource", resource=blob),
        ],
        _meta={"whole": {"null": None}},
    )


@server.tool()
async def walk(context: Context, steps: int) -> str:
    """Report progress, and after each report wait for a call of `go`."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
        await _steps.get()
    return "walked"


@server.tool()
def go() -> str:
    """Let `walk` go on."""
    _steps.put_nowait(None)
    return "gone"


@server.tool()
async def hold(context: Context) -> str:
    """Report progress once, and run until the call is cancelled."""
    await context.report_progress(0, 1, "begun")
    try:
        await asyncio.Event().wait()
    finally:
        _stopped.set()
    return ""


@server.tool()
async def held() -> str:
    """Wait until a call of `hold` was cancelled."""
    await _stopped.wait()
    _stopped.clear()
    return "cancelled"


@server.tool()
async def visit(context: Context) -> str:
    """Ask the user to open a page (handshake versions)."""
    return (await context.elicit_url("Look at this.", "https://example.com/page", "visit-1")).action


async def _written() -> Sample:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="hello"))
    return Sample([message], max_tokens=10, system_prompt="Be kind.", temperature=0.5, stop_sequences=["end"])


@server.tool()
async def resolved_sample(written: Annotated[types.CreateMessageResult, Resolve(_written)]) -> str:
    """Have the client's model write something, in every protocol version."""
    assert isinstance(written.content, types.TextContent)
    return f"{written.model}: {written.content.text}"


async def _rooted() -> ListRoots:
    return ListRoots()


@server.tool()
async def resolved_roots(listed: Annotated[types.ListRootsResult, Resolve(_rooted)]) -> str:
    """List the client's roots, in every protocol version."""
    return ", ".join(f"{root.name} {root.uri}" for root in listed.roots)


@server.tool()
async def change(context: Context) -> str:
    """Show or hide a tool, a resource and a prompt, and announce it."""
    _shown["late"] = not _shown["late"]
    if context.protocol_version == "2026-07-28":
        await context.notify_tools_changed()
        await context.notify_resources_changed()
        await context.notify_prompts_changed()
    else:
        await context.session.send_tool_list_changed()
        await context.session.send_resource_list_changed()
        await context.session.send_prompt_list_changed()
    return "shown" if _shown["late"] else "hidden"


@server.tool(name="late")
def late_tool() -> str:
    return "late"


@server.resource("thing://late", name="late")
def late_resource() -> str:
    return "late"


@server.prompt(name="late")
def late_prompt() -> str:
    return "late"


@server.prompt(title="Pose")
def pose() -> list[Any]:
    """Return messages of several kinds."""
    text = types.TextResourceContents(uri=URI, text="# fixed", mime_type="text/markdown")
    return [
        {"role": "user", "content": types.ImageContent(type="image", data="AAEC/w==", mime_type="image/png")},
        {"role": "assistant", "content": types.EmbeddedResource(type="resource", resource=text)},
    ]


def main() -> None:
    logging.disable()
    if sys.argv[1:] != ["http"]:
        server.run()
        return
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
        uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning")).run([listening])


if __name__ == "__main__":
    main()
