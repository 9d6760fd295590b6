"""The Python SDK 1.x, driven as `driven.mjs` is. Arguments: the URL of a server, or a command that is one on stdio.

This SDK does not report to a server that a request was cancelled, so that cancelling is not tested.
"""

# mypy: ignore-errors
# It runs with another release of the SDK than everything else.

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

import mcp.types as types
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

seen: list[Any] = []
answers: list[Any] = []
going: list[Any] = []
arrived = asyncio.Event()


def raw(model: Any) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


def note(name: str, params: Any) -> None:
    seen.append([name, params])
    arrived.set()


async def elicit(context: Any, params: Any) -> types.ElicitResult:
    note("elicitation/create", raw(params))
    return types.ElicitResult.model_validate(answers.pop(0))


async def sample(context: Any, params: Any) -> types.CreateMessageResult:
    note("sampling/createMessage", raw(params))
    return types.CreateMessageResult.model_validate(answers.pop(0))


async def roots(context: Any) -> types.ListRootsResult:
    note("roots/list", {})
    return types.ListRootsResult.model_validate(answers.pop(0))


async def logged(params: Any) -> None:
    note("notifications/message", raw(params))


async def noticed(message: Any) -> None:
    inner = getattr(message, "root", None)
    method = getattr(inner, "method", "")
    if method.endswith("list_changed") or method == "notifications/resources/updated":
        note(method, raw(inner.params) if inner.params else {})


async def pages(list_page: Any, key: str) -> Any:
    items: list[Any] = []
    count, cursor = 0, None
    while count == 0 or cursor is not None:
        page = await list_page(params=types.PaginatedRequestParams(cursor=cursor))
        items += [raw(item) for item in getattr(page, key)]
        cursor, count = page.nextCursor, count + 1
    return {"items": items, "count": count}


async def send(session: ClientSession, method: str, params: dict[str, Any], on_progress: Any) -> Any:
    match method:
        case "tools/list":
            return await pages(session.list_tools, "tools")
        case "resources/list":
            return await pages(session.list_resources, "resources")
        case "resources/templates/list":
            return await pages(session.list_resource_templates, "resourceTemplates")
        case "prompts/list":
            return await pages(session.list_prompts, "prompts")
        case "tools/call":
            name, meta = params["name"], params.get("_meta")
            result: Any = await session.call_tool(name, params["arguments"], progress_callback=on_progress, meta=meta)
        case "resources/read":
            result = await session.read_resource(params["uri"])
        case "prompts/get":
            result = await session.get_prompt(params["name"], params["arguments"])
        case "completion/complete":
            kind = params["ref"]["type"].removeprefix("ref/")
            model = types.PromptReference if kind == "prompt" else types.ResourceTemplateReference
            chosen = params.get("context", {}).get("arguments")
            result = await session.complete(model.model_validate(params["ref"]), params["argument"], chosen)
        case "logging/setLevel":
            result = await session.set_logging_level(params["level"])
        case "resources/subscribe":
            result = await session.subscribe_resource(params["uri"])
        case "resources/unsubscribe":
            result = await session.unsubscribe_resource(params["uri"])
        case _:
            result = await session.send_ping()
    return raw(result)


async def outcome(session: ClientSession, line: dict[str, Any]) -> dict[str, Any]:
    """Send one request, and return what came of it."""
    seen.clear()
    answers[:] = line["answers"]

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        known = {"progress": progress, "total": total, "message": message}
        note("notifications/progress", {key: value for key, value in known.items() if value is not None})
        if line["progress"] == "goes on":
            # The SDK reads nothing while this function runs.
            going.append(asyncio.ensure_future(session.call_tool("go", {})))

    done: dict[str, Any]
    try:
        on_progress = progressed if line["progress"] != "none" else None
        done = {"result": await send(session, line["method"], line["params"], on_progress)}
    except McpError as error:
        done = {"error": raw(error.error)}
    note(next(iter(done)), {})
    while "result" in done and not set(line["until"]) <= {name for name, _ in seen}:
        arrived.clear()
        await arrived.wait()
    return {"events": list(seen), **done}


async def main() -> None:
    target = sys.argv[1:]
    async with AsyncExitStack() as stack:
        if target[0].startswith("http:"):
            streams: Any = (await stack.enter_async_context(streamable_http_client(target[0])))[:2]
        else:
            server = StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
            streams = await stack.enter_async_context(stdio_client(server))
        session = await stack.enter_async_context(
            ClientSession(
                *streams,
                elicitation_callback=elicit,
                sampling_callback=sample,
                list_roots_callback=roots,
                logging_callback=logged,
                message_handler=noticed,
            )
        )
        began = await session.initialize()
        connected = {
            "version": began.protocolVersion,
            "server": [began.serverInfo.name, began.serverInfo.version],
            "instructions": began.instructions,
            "capabilities": raw(began.capabilities),
        }
        print(json.dumps(connected), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await outcome(session, json.loads(line))), flush=True)


asyncio.run(main())
