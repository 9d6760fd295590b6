"""An MCP server with faults, on raw JSON lines. It needs nothing but the standard library.

    faulty.py FOLDER [WORD ...]

FOLDER has what a test sets and sees: `lists.json` replaces its lists, `starts` gets the process id of each start, and
`seen` the method of each request, and the end of each stream of changes. With a file `broken`, it ends with status 4.
A WORD chooses the era (`modern`; the handshake is the default) or a fault:

- `dies`: it ends with status 3 after a line on stderr, before it answers anything. `dies=TEXT` is that line.
- `mute`: it reads and answers nothing.
- `held`: it answers nothing until the file `go` exists.
- `no-tools`: the list of tools is answered with an error.
- `ends-after-listing`: it ends when it has listed its prompts, which is the last list.
- `noise`: it prints what is no message before each answer.
- `mark`: it writes a byte order mark before its first answer.
- `flood`: it writes to stderr without an end.
- `stubborn`: it ignores the end of stdin, and SIGTERM.
- `family`: it starts a process that ignores SIGTERM, whose id is written to `child`. `holds`: with the same stdout.
  `apart`: in a process group of its own.
- `pages=N`: its list of tools has N pages. `loop`: each page names the same cursor.

The tools are faults, too. Each is called by its name in `TOOLS`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
WORDS = dict(word.partition("=")[::2] for word in sys.argv[2:])
MODERN = "modern" in WORDS
TOOLS = (
    "echo",
    "pid",
    "exit",
    "kill",
    "wait",
    "storm",
    "change",
    "update",
    "big",
    "long",
    "deaf",
    "closed",
    "variables",
    "fails",
)
URI = "faulty://text"
listeners: dict[Any, dict[str, Any]] = {}


def write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def send(**message: Any) -> None:
    if WORDS.pop("mark", None) is not None:
        write(b"\xef\xbb\xbf")
    if "noise" in WORDS:
        write(b'Hello!\n\n\xff\xfe\n[]\n42\n"text"\nnull\n{"id": 1}\n{"jsonrpc": "1.0", "id": 1, "result": 4}\n   \n')
        write(b'[{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}]\n{"jsonrpc": "2.0", "id": 1}\n{"a\n')
    write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def notify(method: str, **params: Any) -> None:
    if not MODERN:
        send(method=method, params=params)
        return
    wanted = {"uri": "resourceSubscriptions"}.get(next(iter(params), ""))
    kind = {"notifications/tools/list_changed": "toolsListChanged"}.get(method)
    for request_id, asked in list(listeners.items()):
        if (kind and asked.get(kind)) or (wanted and params["uri"] in (asked.get(wanted) or ())):
            meta = {"io.modelcontextprotocol/subscriptionId": request_id}
            send(method=method, params={**params, "_meta": meta})


def lists() -> dict[str, list[Any]]:
    schema = {"type": "object"}
    found: dict[str, list[Any]] = {
        "tools": [{"name": name, "inputSchema": schema} for name in TOOLS],
        "resources": [{"name": "text", "uri": URI}],
        "resourceTemplates": [{"name": "page", "uriTemplate": "faulty://pages/{name}"}],
        "prompts": [{"name": "ask", "arguments": [{"name": "what"}]}],
    }
    file = FOLDER / "lists.json"
    return found | (json.loads(file.read_text()) if file.exists() else {})


def page(key: str, cursor: str | None) -> dict[str, Any]:
    items = lists()[key]
    if key == "tools" and "loop" in WORDS:
        return {key: items if cursor is None else [], "nextCursor": "again"}
    if key == "tools" and "pages" in WORDS:
        number = int(cursor or 1)
        more = {"nextCursor": str(number + 1)} if number < int(WORDS["pages"]) else {}
        return {key: [{"name": f"tool{number}", "inputSchema": {"type": "object"}}], **more}
    return {key: items}


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def call(request_id: Any, name: str, given: dict[str, Any]) -> dict[str, Any] | None:
    if name == "pid":
        return text(str(os.getpid()))
    if name == "exit":
        print("these are my last words", file=sys.stderr, flush=True)
        os._exit(given.get("status", 7))
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "wait":
        (FOLDER / "waiting").touch()
        return None
    if name in ("storm", "change"):
        for _ in range(50 if name == "storm" else 1):
            notify("notifications/tools/list_changed")
    if name == "update":
        notify("notifications/resources/updated", uri=given.get("uri", URI))
    if name == "big":
        return text("x" * given["size"])
    if name == "long":
        long_answer(request_id, **given)
        return None
    if name == "deaf":
        os.close(0)
        return text("stdin is closed")
    if name == "closed":
        write(b"")
        os.close(1)
        time.sleep(3600)
    if name == "variables":
        return text(json.dumps(dict(os.environ)))
    return text(str(given.get("text", "")))


def long_answer(request_id: Any, size: int, at: str, decoy: Any = None) -> None:
    """Answer with one line of `size` bytes whose id is at its front or its end. `decoy` is an id inside of it."""
    own = json.dumps({"id": request_id})[1:-1]
    inner = json.dumps({"id": decoy, "name": 'a "quoted" {brace}'}) if decoy is not None else "{}"
    filling = "x" * size
    meta = f'{{"a": {inner}, "filling": "{filling}", "b": [{inner}]}}'
    result = f'{{"content": [], "_meta": {meta}, "resultType": "complete"}}'
    if at == "front":
        write(f'{{"jsonrpc": "2.0", {own}, "result": {result}}}\n'.encode())
    else:
        write(f'{{"jsonrpc": "2.0", "result": {result}, {own}}}\n'.encode())


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    method, params, request_id = message["method"], message.get("params") or {}, message["id"]
    capabilities = {
        "tools": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": True},
        "prompts": {},
        "completions": {},
    }
    info = {"name": "faulty", "version": "1.5"}
    if method == "initialize" and not MODERN:
        return {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info}
    if method == "server/discover" and MODERN:
        meta = {"io.modelcontextprotocol/serverInfo": info}
        return {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "_meta": meta}
    kind = {
        "tools/list": "tools",
        "resources/list": "resources",
        "resources/templates/list": "resourceTemplates",
        "prompts/list": "prompts",
    }.get(method)
    if kind == "tools" and "no-tools" in WORDS:
        raise LookupError("the list is lost")
    if kind is not None:
        return page(kind, params.get("cursor"))
    if method == "tools/call":
        return call(request_id, params["name"], params.get("arguments") or {})
    if method == "resources/read":
        return {"contents": [{"uri": params["uri"], "text": f"text of {params['uri']}"}]}
    if method == "prompts/get":
        return {"messages": [{"role": "user", "content": {"type": "text", "text": "asked"}}]}
    if method == "completion/complete":
        return {"completion": {"values": ["completed"]}}
    if method in ("resources/subscribe", "resources/unsubscribe", "ping"):
        return {}
    if method == "subscriptions/listen":
        listeners[request_id] = params["notifications"]
        meta = {"io.modelcontextprotocol/subscriptionId": request_id}
        acknowledged = {"notifications": params["notifications"], "_meta": meta}
        send(method="notifications/subscriptions/acknowledged", params=acknowledged)
        return None
    raise LookupError(f"Method not found: {method}")


def complete(method: str, result: dict[str, Any]) -> dict[str, Any]:
    if not MODERN:
        return result
    cached = {"ttlMs": 0, "cacheScope": "private"}
    return {"resultType": "complete", **(cached if method.endswith(("list", "read", "discover")) else {}), **result}


def seen(what: str) -> None:
    with (FOLDER / "seen").open("a") as file:
        file.write(f"{what}\n")


def flood() -> None:
    while True:
        sys.stderr.write("a line of noise\n" * 1000)


def begin() -> None:
    with (FOLDER / "starts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if "dies" in WORDS:
        print(WORDS["dies"] or "cannot find the database", file=sys.stderr, flush=True)
        os._exit(3)
    if (FOLDER / "broken").exists():
        print("it is broken", file=sys.stderr, flush=True)
        os._exit(4)
    if "stubborn" in WORDS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "family" in WORDS:
        ready = f"open({str(FOLDER / 'ready')!r}, 'w').close()"
        code = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {ready}; time.sleep(3600)"
        stdout = None if "holds" in WORDS else subprocess.DEVNULL
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdout=stdout, process_group=0 if "apart" in WORDS else None
        )
        while not (FOLDER / "ready").exists():
            time.sleep(0.01)
        (FOLDER / "child").write_text(str(child.pid))
    if "flood" in WORDS:
        threading.Thread(target=flood, daemon=True).start()


def main() -> None:
    begin()
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if listeners.pop((message.get("params") or {}).get("requestId"), None) is not None:
            seen("subscriptions/listen ended")
        if "id" not in message or "method" not in message:
            continue
        seen(message["method"])
        if "mute" in WORDS:
            continue
        while "held" in WORDS and not (FOLDER / "go").exists():
            time.sleep(0.01)
        given = (message.get("params") or {}).get("arguments") or {}
        if "code" in given:
            send(id=message["id"], error=given)
            continue
        try:
            result = answer(message)
        except LookupError as error:
            send(
                id=message["id"], error={"code": -32601 if "not found" in str(error) else -32000, "message": str(error)}
            )
            continue
        if result is not None:
            send(id=message["id"], result=complete(message["method"], result))
        while (message.get("params") or {}).get("name") == "deaf":
            time.sleep(3600)
        if message["method"] == "prompts/list" and "ends-after-listing" in WORDS:
            os._exit(0)
    while "stubborn" in WORDS:
        time.sleep(3600)


if __name__ == "__main__":
    main()
