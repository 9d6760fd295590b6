"""`mcp-host plugins` and `mcp-host check`: what is there, and what is wrong with it."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import anyio
import anyio.to_thread

from mcp_host.cli.common import ConfigOption, DisableOption, JsonOption, LogLevelOption, load_host, read_config
from mcp_host.cli.contract import PluginOption, check_contract
from mcp_host.cli.output import json_text, print_json, problem_lines, problem_text, records_table, table, write
from mcp_host.errors import HostError, text_of
from mcp_host.logs import printable
from mcp_host.records import Problem
from mcp_host.stdout import own_stdout

if TYPE_CHECKING:
    from mcp_host.api import Check, PluginContext
    from mcp_host.config import HostConfig
    from mcp_host.discovery import InstalledPlugin
    from mcp_host.host import Host
    from mcp_host.records import PluginRecord


@dataclass(frozen=True)
class Listed:
    """One line of `mcp-host plugins`: what metadata and the TOML say, with nothing imported."""

    name: str
    distribution: str | None
    version: str | None
    status: str
    why: str = ""
    mend: str = ""
    value: str = "-"


NOT_ENABLED = "not enabled"


def plugins(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the installed plugins and which are enabled.

    Imports none of them.
    """
    from mcp_host.discovery import discover

    settings = read_config(config)
    listed = _list(settings, discover())
    if as_json:
        print_json({"config": str(settings.path) if settings.path else None, "plugins": [asdict(x) for x in listed]})
        return
    if not listed:
        write("No plugins are installed.")
    else:
        rows = [(x.name, f"{x.distribution} {x.version}" if x.distribution else x.value, x.status) for x in listed]
        write(table(("plugin", "from", "status"), rows, sys.stdout))
    for entry in listed:
        if entry.why:
            problem = Problem(entry.why, settings.where("plugins", entry.name), entry.mend)
            write("\n" + problem_text(problem, f"plugin {entry.name}"))
    write("")
    if off := [x.name for x in listed if x.status == NOT_ENABLED]:
        write(printable(f"To enable a plugin, name it in the configuration: [plugins.{off[0]}]"))
    write(printable(f"Configuration: {settings.path or 'none (mcp-host init writes one)'}"))


def _list(config: HostConfig, installed: Sequence[InstalledPlugin]) -> list[Listed]:
    from mcp_host.discovery import by_name, check_compatible, find

    claims = by_name(installed)
    listed = []
    for name, section in config.plugins.items():
        status = "enabled" if section.enabled else "disabled"
        if section.object is not None:
            listed.append(Listed(name, None, None, status, value=section.object))
            continue
        claim = claims.get(name, ())
        distribution, version = (claim[0].distribution, claim[0].version) if claim else (None, None)
        try:
            check_compatible(find(name, installed))
            listed.append(Listed(name, distribution, version, status))
        except HostError as error:
            status = "cannot be loaded" if section.enabled else status
            listed.append(Listed(name, distribution, version, status, error.what, error.mend))
    for name, claim in claims.items():
        for plugin in claim if name not in config.plugins else ():
            listed.append(Listed(name, plugin.distribution, plugin.version, NOT_ENABLED, value=plugin.value))
    return listed


@dataclass(frozen=True)
class CheckResult:
    """The answer to one question of a plugin's `mcp_checks`."""

    plugin: str
    name: str
    problem: str | None


def check(
    config: ConfigOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
    disable: DisableOption = None,
) -> int:
    """Load and start all plugins, and show what is wrong.

    Does what `run` does up to serving, then asks each plugin for its own checks. With --plugin it holds one plugin,
    installed or the project you are in, against the contract that its author should keep.
    """
    settings = read_config(config, disable=disable)
    if plugin is not None:
        return check_contract(plugin, settings, as_json=as_json)
    with own_stdout() as stdout:
        # Every problem is shown once, at the end; the log would only say it twice.
        host = load_host(settings, log_level=log_level or os.environ.get("MCP_LOG_LEVEL") or "critical")
        refusal, results = asyncio.run(_check(host))
        records = host.records
        failed = refusal is not None or any(r.failed for r in records) or any(r.problem for r in results)
        if as_json:
            data: dict[str, Any] = {
                "ok": not failed,
                "config": str(settings.path) if settings.path else None,
                "plugins": [record.to_json() for record in records],
                "checks": [asdict(result) for result in results],
                "refusal": refusal.what if refusal else None,
            }
            text = json_text(data)
        else:
            text = "\n".join(_report(records, results, refusal, stdout))
            text += "\n\nSomething is wrong." if failed else "\n\nAll is well."
        write(text, stdout)
        return 2 if failed else 0


def _report(
    records: Sequence[PluginRecord], results: Sequence[CheckResult], refusal: HostError | None, out: TextIO
) -> Iterator[str]:
    yield (
        records_table(records, out) if records else "No plugins are enabled: name one in mcp-host.toml, [plugins.NAME]"
    )
    if results:
        yield ""
        yield table(
            ("plugin", "check", "answer"),
            [(r.plugin, r.name, f"NO: {r.problem}" if r.problem else "ok") for r in results],
            out,
        )
    for line in problem_lines(records):
        yield "\n" + line
    if refusal is not None:
        yield "\n" + problem_text(Problem.of(refusal), "mcp-host run would refuse to start")


async def _check(host: Host) -> tuple[HostError | None, list[CheckResult]]:
    from mcp_host.server.hostserver import HostServer

    try:
        host.require()
        HostServer(host)  # finds out whether [auth] can be had
        if host.config.transport.kind == "http":
            from mcp_host.server.http import guard_settings

            guard_settings(host.config.transport)
        async with host.running():
            return None, await _ask(host)
    except HostError as error:
        return error, []


async def _ask(host: Host) -> list[CheckResult]:
    results = []
    timeout = host.config.host.start_timeout
    for plugin in host.plugins:
        for question in plugin.contributions.checks if plugin.alive else ():
            try:
                with anyio.fail_after(timeout):
                    answer = await _answer(question, plugin.own_context)
            except TimeoutError:
                answer = f"no answer within {timeout:g} s"
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
                    raise
                answer = text_of(error)
            # It may quote the plugin's settings.
            problem = None if answer is None else host.redactor.redact(answer)
            results.append(CheckResult(plugin.name, question.name, problem))
    return results


async def _answer(question: Check, context: PluginContext[Any]) -> str | None:
    ask = partial(question.fn, context) if inspect.signature(question.fn).parameters else question.fn
    # In a thread, so that one which hangs can be left behind.
    answer: Any = await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
    if inspect.isawaitable(answer):
        answer = await answer
    return None if answer is None else str(answer)
