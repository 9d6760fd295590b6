"""Verifies a client's entry: uses it as the client will, and finds what the client would miss."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_host.cli.live import status
from mcp_host.cli.output import write
from mcp_host.config.references import MASK, is_worth_masking, looks_secret
from mcp_host.errors import HostError, InvalidConfigError, NeedsTokenError, Problem, text_of
from mcp_host.manage.clientenv import client_environment
from mcp_host.manage.clients.launch import Launch
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.manage.clients.clientconfig import Entry

_LAST_LINES = 20
"""The most lines of a server's log that are shown if it does not start."""

START_TIMEOUT = 60.0
"""Seconds within which the entry's server must answer. Clients wait about as long."""

CHECK_TIMEOUT = 300.0
"""Seconds for all plugins to load, start and check themselves. A plugin's own server may be installed first."""


def verified(entry: Entry, *, config: str, where: str) -> int | None:
    """Use an entry as the client will, and return the number of tools that it serves. None: only a token shows them.

    Every enabled plugin must work. For a command, `mcp-host check` runs with its program and its environment, and then
    the command is started. For a URL, the running server is asked. `config` and `where` are for the error: the path of
    the configuration, and the file that the entry is for.

    Raises:
        HostError: The server does not answer, or a plugin fails.
    """
    from mcp_host.manage.clients.clientconfig import entry_url

    url, launch = entry_url(entry), Launch.of(entry)
    if launch is not None:
        with status("Checking the plugins as the client would start them ..."):
            problems = failures(launch, show=True)
        _refuse(problems, f"mcp-host check --config {shlex.quote(config)}", where)
    try:
        tools, problems = answer(entry)
    except NeedsTokenError:
        return None
    except HostError as error:
        hint = "mcp-host run   (starts it), or --no-verify" if url is not None else "--no-verify adds it anyway"
        raise HostError(f"{error.what}; nothing was written", where=where, hint=hint) from None
    _refuse(problems, "the server's log has the details, and mcp-host check", where)
    return tools


def _refuse(problems: Sequence[Problem], how: str, where: str) -> None:
    if problems:
        what = "the client would not get everything that is enabled; nothing was written"
        hint = f"correct it ({how}), or mcp-host disable NAME, or --no-verify"
        raise InvalidConfigError([*problems, Problem(what, where, hint)])


def failures(launch: Launch, *, environ: Mapping[str, str] | None = None, show: bool = False) -> list[Problem]:
    """Run `mcp-host check` as an entry would start mcp-host, and return what fails.

    Each problem names its plugin. `environ` replaces the environment that a client gives. With `show`, what it wrote
    goes to stderr if there is no report.
    """
    command = [*launch.words, "check", "--json"]
    command += ["--config", launch.config] if launch.config is not None else []
    # A client may start the server in any folder, so this uses one that has nothing to do with the project.
    cwd = launch.cwd or Path(sys.executable).anchor
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=client_environment(launch.env) if environ is None else environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=CHECK_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [Problem(f"no answer within {CHECK_TIMEOUT:g} s", where=shlex.join(launch.words))]
    except OSError as error:
        what = f"it cannot be started: {error.strerror or text_of(error)}"
        return [Problem(what, where=str(error.filename or command[0]))]
    try:
        found = list(_problems(json.loads(done.stdout)))
    except (ValueError, KeyError, TypeError, AttributeError):
        lines = _masked(done.stderr or done.stdout, launch.env).strip().splitlines()[-_LAST_LINES:]
        if show and lines:
            write(printable("\n".join(["The server wrote:", *lines])), sys.stderr)
        what = f"the server does not start as the client would start it: exit code {done.returncode}"
        why = next((line.strip() for line in lines if "error" in line.lower()), lines[-1] if lines else "")
        return [Problem(f"{what}: {why}" if why else what, where=shlex.join(launch.words))]
    return [replace(each, what=_masked(each.what, launch.env)) for each in found]


def _problems(report: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the failures in the JSON of `mcp-host check`."""
    if "plugins" not in report:
        # The configuration does not load.
        yield from (Problem(each["what"], each["where"], each["hint"]) for each in report["problems"])
        return
    for record in report["plugins"]:
        if problem := record["problem"]:
            yield Problem(f"plugin {record['name']}: {problem['what']}", problem["where"], problem["hint"])
    for result in report["checks"]:
        if result["problem"] is not None:
            yield Problem(f"plugin {result['plugin']}: its check {result['name']!r} failed: {result['problem']}")
    refusal = report["refusal"]
    if refusal and not any(record["problem"] for record in report["plugins"]):
        yield Problem(refusal["what"], refusal["where"], refusal["hint"])


def answer(entry: Entry) -> tuple[int, list[Problem]]:
    """Connect to an entry's server as a client, and return the number of its tools and which plugins failed.

    Raises:
        NeedsTokenError: It answers, at a URL, only to whoever has a token.
        HostError: It does not answer. If it wrote something, that was shown on stderr.
    """
    from mcp_host.manage.clients.clientconfig import entry_url

    env = entry.get("env", {})
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            return asyncio.run(_ask(entry, log))
        except Exception as error:
            cause: BaseException = error
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            if isinstance(cause, NeedsTokenError):
                raise cause from None
            reason = f"no answer within {START_TIMEOUT:g} s" if isinstance(cause, TimeoutError) else text_of(cause)
            log.seek(0)
            output = "\n".join(_masked(log.read(), env).strip().splitlines()[-_LAST_LINES:])
    if output:
        write(printable(f"The server wrote:\n{output}"), sys.stderr)
    url = entry_url(entry)
    what = f"cannot reach {url}" if url is not None else "the server does not start as the client would start it"
    raise HostError(f"{what}: {reason}")


def _masked(text: str, env: Mapping[str, str]) -> str:
    """Return a server's output with the values of its variables masked, unless they are too short."""
    for key, value in sorted(env.items(), key=lambda item: len(item[1]), reverse=True):
        if is_worth_masking(value, is_secret=looks_secret(key)):
            text = text.replace(value, MASK)
    return text


async def _ask(entry: Entry, log: Any) -> tuple[int, list[Problem]]:
    import anyio
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    from mcp_host.cli.client import Remote
    from mcp_host.manage.clients.clientconfig import entry_url
    from mcp_host.plugins.builtin import PLUGINS_URI

    url = entry_url(entry)
    if url is not None:
        server: Any = Remote(url).transport()
    else:
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
            problems: list[Problem] = []
            if client.server_capabilities.resources is not None:
                uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
                if PLUGINS_URI in uris:
                    contents = (await client.read_resource(PLUGINS_URI)).contents
                    problems = list(_down(json.loads(getattr(contents[0], "text", "{}"))))
            return tools, problems


def _down(state: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield why plugins are not served, from the resource that a running host has about its plugins."""
    for record in state.get("plugins", ()):
        name = f"plugin {record['name']}"
        if problem := record.get("problem"):
            yield Problem(f"{name}: {problem['what']}", where=problem["where"])
        elif (record.get("connection") or {}).get("state") == "waiting":
            yield Problem(f"{name}: its server does not start", where=f"[plugins.{record['name']}]")
    if problem := state.get("reload_problem"):
        yield Problem(f"the server could not reload its configuration: {problem['what']}", where=problem["where"])
