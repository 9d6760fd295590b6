"""Tries out an entry of a client's: does with it what the client will do, and says what came of it."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_host.cli.output import write
from mcp_host.errors import HostError, Problem, text_of
from mcp_host.system.logs import printable

if TYPE_CHECKING:
    from mcp_host.manage.clients.clientconfig import Entry

START_TIMEOUT = 60.0
"""Seconds that the entry's command gets to answer in; clients wait about as long."""


@dataclass(frozen=True)
class Outcome:
    """What a client sees: how many tools there are, and which plugins are not among them."""

    tools: int
    failed: list[str]


def try_out(entry: Entry, *, config: str, where: str) -> Outcome:
    """Do what the client will do with an entry: start its command, or reach its URL, and list the tools.

    `config` and `where` are named in the error: the mcp-host.toml, and the file that the entry is for.

    Raises:
        HostError: That failed.
    """
    from mcp_host.manage.clients.clientconfig import entry_url

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            return asyncio.run(_ask(entry, log))
        except Exception as error:
            cause: BaseException = error
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            reason = f"no answer within {START_TIMEOUT:g} s" if isinstance(cause, TimeoutError) else text_of(cause)
            log.seek(0)
            said = _last_lines(log.read(), entry.get("env", {}).values())
    if said:
        write(printable(f"The server said:\n{said}"), sys.stderr)
    url = entry_url(entry)
    if url is not None:
        what, hint = f"cannot reach {url}: {reason}", "mcp-host run   (starts it), or --no-verify"
    else:
        what = f"the server does not start as the client would start it: {reason}"
        hint = f"mcp-host check --config {shlex.quote(config)}; -v KEY=VALUE if it misses a variable; or --no-verify"
    raise HostError(f"{what}; nothing was written", where=where, hint=hint)


def _last_lines(text: str, hide: Iterable[str], count: int = 20) -> str:
    for value in sorted(hide, key=len, reverse=True):
        # Shorter ones are words of any text.
        text = text.replace(value, "***") if len(value) > 3 else text
    return "\n".join(text.strip().splitlines()[-count:])


async def _ask(entry: Entry, log: Any) -> Outcome:
    import anyio
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    from mcp_host.manage.clients.clientconfig import entry_url
    from mcp_host.plugins.builtin import PLUGINS_URI

    server: Any = entry_url(entry)
    if server is None:
        # Clients start servers in folders of their own choice; one that is nobody's stands for them.
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
            failed: list[str] = []
            if client.server_capabilities.resources is not None:
                uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
                if PLUGINS_URI in uris:
                    contents = (await client.read_resource(PLUGINS_URI)).contents
                    failed = _failed(json.loads(getattr(contents[0], "text", "{}")))
            return Outcome(tools, failed)


def _failed(data: Mapping[str, Any]) -> list[str]:
    lines = []
    for record in data.get("plugins", ()):
        if problem := record.get("problem"):
            lines.append(Problem(**problem).text(f"plugin {record['name']}", one_line=True))
    return lines
