"""Verifies a client's entry: uses it as the client will, and returns what the client will see."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_host.cli.output import write
from mcp_host.config.references import MASK, is_worth_masking, looks_secret
from mcp_host.errors import HostError, text_of
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.manage.clients.clientconfig import Entry

_LAST_LINES = 20
"""The most lines of a server's log that are shown if it does not start."""

START_TIMEOUT = 60.0
"""Seconds within which the entry's server must answer. Clients wait about as long."""


@dataclass(frozen=True)
class Verification:
    """What a client sees: the number of tools, and why each failed plugin is not served."""

    tools: int
    failed: list[str]


@dataclass(frozen=True)
class _Answer:
    """What the server answers: the number of tools, and the records of the plugins that failed."""

    tools: int
    failed: list[Mapping[str, Any]]


def verified(entry: Entry, *, config: str, where: str) -> Verification:
    """Use an entry as the client will: start its command or connect to its URL, and list the tools.

    `config` and `where` are for the error: the path of the mcp-host.toml, and the file that the entry is for.

    Raises:
        HostError: One of these steps failed.
    """
    from mcp_host.manage.clients.clientconfig import entry_url

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            answer = asyncio.run(_ask(entry, log))
            log.seek(0)
            lines = _masked(log.read(), entry.get("env", {})).splitlines()
            return Verification(answer.tools, [_why(record, lines) for record in answer.failed])
        except Exception as error:
            cause: BaseException = error
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            reason = f"no answer within {START_TIMEOUT:g} s" if isinstance(cause, TimeoutError) else text_of(cause)
            log.seek(0)
            output = "\n".join(_masked(log.read(), entry.get("env", {})).strip().splitlines()[-_LAST_LINES:])
    if output:
        write(printable(f"The server wrote:\n{output}"), sys.stderr)
    url = entry_url(entry)
    if url is not None:
        what, hint = f"cannot reach {url}: {reason}", "mcp-host run   (starts it), or --no-verify"
    else:
        what = f"the server does not start as the client would start it: {reason}"
        hint = f"mcp-host check --config {shlex.quote(config)}; -v KEY=VALUE if a variable is missing; or --no-verify"
    raise HostError(f"{what}; nothing was written", where=where, hint=hint)


def _masked(text: str, env: Mapping[str, str]) -> str:
    """Return a server's output with the values of its variables masked, unless they are too short."""
    for key, value in sorted(env.items(), key=lambda item: len(item[1]), reverse=True):
        if is_worth_masking(value, is_secret=looks_secret(key)):
            text = text.replace(value, MASK)
    return text


async def _ask(entry: Entry, log: Any) -> _Answer:
    import anyio
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    from mcp_host.manage.clients.clientconfig import entry_url
    from mcp_host.plugins.builtin import PLUGINS_URI

    server: Any = entry_url(entry)
    if server is None:
        # A client may start the server in any folder, so this uses one that has nothing to do with the project.
        cwd = entry.get("cwd") or Path(sys.executable).anchor
        parameters = StdioServerParameters(
            command=entry["command"], args=entry["args"], env=dict(entry.get("env", {})), cwd=cwd
        )
        server = stdio_client(parameters, log)
    with anyio.fail_after(START_TIMEOUT):
        async with Client(server) as client:
            tools, cursor = 0, None
            while True:
                page = await client.list_tools(cursor=cursor)
                tools, cursor = tools + len(page.tools), page.next_cursor
                if cursor is None:
                    break
            failed: list[Mapping[str, Any]] = []
            if client.server_capabilities.resources is not None:
                uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
                if PLUGINS_URI in uris:
                    contents = (await client.read_resource(PLUGINS_URI)).contents
                    state = json.loads(getattr(contents[0], "text", "{}"))
                    failed = [record for record in state.get("plugins", ()) if record.get("problem")]
            return _Answer(tools, failed)


def _why(record: Mapping[str, Any], log: Sequence[str]) -> str:
    """Return why a plugin failed: the text with the error's id in the server's log, or the text for clients."""
    mark = f"plugin {record['name']} (error {record['error_id']}): "
    line = next((line for line in log if mark in line), "")
    # With [host] log_format = "json", the line is an object.
    message = json.loads(line)["message"] if line.startswith("{") else line
    return f"plugin {record['name']}: {message.partition(mark)[2] or record['problem']['what']}"
