"""The TypeScript clients, 1.x and 2.x in both eras, use everything that a server serves, over stdio and HTTP."""

from __future__ import annotations

import base64
import json
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from clients.conftest import Shop

LEGACY, MODERN = "2025-11-25", "2026-07-28"
CLIENTS = [
    pytest.param(["sdk-1.mjs"], LEGACY, id="sdk 1.x"),
    pytest.param(["client-2.mjs", "legacy"], LEGACY, id="client 2.x legacy"),
    pytest.param(["client-2.mjs", MODERN], MODERN, id="client 2.x"),
]


def session(shop: Shop, script: list[str], *, http: bool) -> dict[str, dict[str, Any]]:
    """Run a session with a reload, and return its output by step. Questions are in `asked`."""
    with ExitStack() as stack:
        target, reload = shop.command, _nothing
        if http:
            server = stack.enter_context(shop.cli.serve())
            target, reload = [server.url], lambda: server.signal(signal.SIGHUP)
        client = stack.enter_context(shop.client(*script, *target))
        client.until("ready for a reload")
        shop.add_the_late_plugin()
        reload()
        client.until("closed")
        assert client.wait() == 0, client.err
        lines = [json.loads(line) for line in client.lines]
    questions = [line for line in lines if line["step"] == "asked"]
    return {line["step"]: line for line in lines} | {"asked": {"messages": [line["message"] for line in questions]}}


def _nothing() -> None:
    """The server itself watches its file."""


@pytest.mark.parametrize("http", [False, True], ids=["stdio", "http"])
@pytest.mark.parametrize(("script", "version"), CLIENTS)
def test_a_session_of(script: list[str], version: str, http: bool, shop: Shop) -> None:
    seen = session(shop, script, http=http)
    modern = version == MODERN

    connected = seen["connected"]
    # Over stdio, the SDK 1.x does not report the negotiated version.
    assert connected.get("version", version) == version
    assert (connected["server"], connected["instructions"]) == ("shop", "Be kind.")
    assert connected["capabilities"]["tools"]["listChanged"] is True
    assert connected["capabilities"]["resources"] == {"listChanged": True, "subscribe": True}

    lists = seen["lists"]
    assert {"add", "paint", "touch"} <= set(lists["tools"])
    assert "late" not in lists["tools"]
    assert lists["resources"] == ["mcp-host://plugins", "note://today", "pixel://one"]
    assert lists["templates"] == ["note://by/{author}"]
    assert lists["prompts"] == ["review"]

    assert seen["called"]["structured"] == {"result": 5}
    assert seen["refused"]["isError"] is True
    assert seen["refused"]["text"] == "Invalid arguments for tool add: b: Field required"
    assert seen["unknown"]["code"] == -32602
    assert "Unknown tool: ad (did you mean 'add'?)" in seen["unknown"]["message"]

    assert seen["progress"]["text"] == "walked"
    assert seen["progress"]["progress"] == [
        {"progress": step, "total": 3, "message": f"step {step}"} for step in (1, 2, 3)
    ]

    assert seen["resumed"]["text"] == "slept"

    assert seen["asked before it"]["text"] == "wool: blue"
    if modern:
        assert seen["asked"]["messages"] == ["Which colour?"]
        assert "protocol 2026-07-28 has no server-to-client requests" in seen["asked in the call"]["text"]
    else:
        assert seen["asked"]["messages"] == ["How shall a door be painted?", "Which colour?"]
        assert seen["asked in the call"]["text"] == "a door: 2 x blue, glossy"

    assert seen["completed"]["prompt"] == ["cats", "cars"]
    assert seen["completed"]["template"] == ["ann", "bob"]
    assert seen["read"]["fixed"] == "buy milk"
    assert seen["read"]["template"] == "notes by ann"
    assert seen["read"]["image"] == ["image/png", base64.b64encode(b"\x89PNG pixel").decode()]
    assert seen["prompted"]["text"] == ["Review cats in a kind tone."]

    assert seen["updated"]["uri"] == "note://today"
    assert seen["reloaded"]["lists"] == ["prompts", "resources", "tools"]
    assert seen["reloaded"]["tools"] == [*lists["tools"], "late"]
    assert seen["called the new"]["text"] == "here I am"
