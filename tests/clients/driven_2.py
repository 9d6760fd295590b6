"""The Python client 2.x, driven as `driven.mjs` is. Arguments: the mode; the URL of a server, or a command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from contextlib import AsyncExitStack
from typing import Any

import mcp.types as types
from mcp import Client, MCPDeprecationWarning, MCPError, StdioServerParameters

warnings.simplefilter("ignore", MCPDeprecationWarning)


def _raw(model: Any) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Driven:
    """One client, and what came to it during the request that runs."""

    def __init__(self, mode: str, target: list[str]) -> None:
        server: Any = target[0]
        if not server.startswith("http:"):
            server = StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
        self.seen: list[Any] = []
        self.answers: list[Any] = []
        self.arrived = asyncio.Event()
        self.subscription = AsyncExitStack()
        self.client = Client(
            server,
            mode=mode,
            cache=None,
            elicitation_callback=self.elicit,
            sampling_callback=self.sample,
            list_roots_callback=self.roots,
            logging_callback=self.logged,
            message_handler=self.noticed,
        )

    def note(self, name: str, params: Any) -> None:
        self.seen.append([name, params])
        self.arrived.set()

    # What the server sends

    async def elicit(self, context: Any, params: Any) -> types.ElicitResult:
        self.note("elicitation/create", _raw(params))
        return types.ElicitResult.model_validate(self.answers.pop(0))

    async def sample(self, context: Any, params: Any) -> types.CreateMessageResult:
        self.note("sampling/createMessage", _raw(params))
        return types.CreateMessageResult.model_validate(self.answers.pop(0))

    async def roots(self, context: Any) -> types.ListRootsResult:
        self.note("roots/list", {})
        return types.ListRootsResult.model_validate(self.answers.pop(0))

    async def logged(self, params: types.LoggingMessageNotificationParams) -> None:
        self.note("notifications/message", _raw(params))

    async def noticed(self, message: Any) -> None:
        method = getattr(message, "method", "")
        if method.endswith("list_changed") or method == "notifications/resources/updated":
            self.note(method, _raw(message.params) if message.params else {})

    # What the test asks for

    async def send(self, method: str, params: dict[str, Any], options: dict[str, Any]) -> Any:
        client = self.client
        meta: Any = params.get("_meta")
        match method:
            case "tools/list":
                return await self.pages(client.list_tools, "tools")
            case "resources/list":
                return await self.pages(client.list_resources, "resources")
            case "resources/templates/list":
                return await self.pages(client.list_resource_templates, "resource_templates")
            case "prompts/list":
                return await self.pages(client.list_prompts, "prompts")
            case "tools/call":
                return _raw(await client.call_tool(params["name"], params["arguments"], meta=meta, **options))
            case "resources/read":
                return _raw(await client.read_resource(params["uri"]))
            case "prompts/get":
                return _raw(await client.get_prompt(params["name"], params["arguments"]))
            case "completion/complete":
                kind = params["ref"]["type"].removeprefix("ref/")
                model = types.PromptReference if kind == "prompt" else types.ResourceTemplateReference
                chosen = params.get("context", {}).get("arguments")
                return _raw(await client.complete(model.model_validate(params["ref"]), params["argument"], chosen))
            case "logging/setLevel":
                return _raw(await client.set_logging_level(params["level"]))
            case "resources/subscribe" if client.protocol_version == "2026-07-28":
                listening = client.listen(
                    tools_list_changed=True,
                    prompts_list_changed=True,
                    resources_list_changed=True,
                    resource_subscriptions=[params["uri"]],
                )
                await self.subscription.enter_async_context(listening)
                return {}
            case "resources/subscribe":
                return _raw(await client.subscribe_resource(params["uri"]))
            case "resources/unsubscribe" if client.protocol_version == "2026-07-28":
                await self.subscription.aclose()
                return {}
            case "resources/unsubscribe":
                return _raw(await client.unsubscribe_resource(params["uri"]))
            case _:
                return _raw(await client.send_ping())

    @staticmethod
    async def pages(list_page: Any, key: str) -> Any:
        page = await list_page()
        items, count = list(getattr(page, key)), 1
        while page.next_cursor is not None:
            page = await list_page(cursor=page.next_cursor)
            items += getattr(page, key)
            count += 1
        return {"items": [_raw(item) for item in items], "count": count}

    async def outcome(self, line: dict[str, Any]) -> dict[str, Any]:
        """Send one request, and return what came of it."""
        self.seen, self.answers = [], line["answers"]

        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            known = {"progress": progress, "total": total, "message": message}
            self.note("notifications/progress", {key: value for key, value in known.items() if value is not None})
            if line["progress"] == "cancels":
                sending.cancel()
            if line["progress"] == "goes on":
                await self.client.call_tool("go")

        options = {"progress_callback": progressed} if line["progress"] != "none" else {}
        sending = asyncio.ensure_future(self.send(line["method"], line["params"], options))
        done: dict[str, Any]
        try:
            done = {"result": await sending}
        except MCPError as error:
            done = {"error": _raw(error.error)}
        except asyncio.CancelledError:
            done = {"cancelled": True}
        self.note(next(iter(done)), {})
        while "result" in done and not set(line["until"]) <= {name for name, _ in self.seen}:
            self.arrived.clear()
            await self.arrived.wait()
        return {"events": self.seen, **done}


async def main() -> None:
    mode, *target = sys.argv[1:]
    driven = Driven(mode, target)
    async with driven.client as client:
        info = client.server_info
        assert info is not None
        connected = {
            "version": client.protocol_version,
            "server": [info.name, info.version],
            "instructions": client.instructions,
            "capabilities": _raw(client.server_capabilities),
        }
        print(json.dumps(connected), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await driven.outcome(json.loads(line))), flush=True)


asyncio.run(main())
