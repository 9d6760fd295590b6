"""`mcp-host plugins` and `mcp-host check`: what is there, and what is wrong with it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mcp_host.cli.common import ConfigOption, DisableOption, JsonOption, LogLevelOption, load_host, read_config
from mcp_host.cli.output import console, print_json, problem_lines, records_table, table
from mcp_host.errors import HostError, text_of
from mcp_host.stdout import own_stdout

if TYPE_CHECKING:
    from mcp_host.config import HostConfig
    from mcp_host.discovery import InstalledPlugin
    from mcp_host.host import Host


@dataclass(frozen=True)
class Listed:
    """One line of `mcp-host plugins`: what metadata and the TOML say, with nothing imported."""

    name: str
    distribution: str | None
    version: str | None
    status: str
    why: str = ""
    mend: str = ""


def plugins(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the installed plugins and which are enabled. Imports none of them."""
    from mcp_host.discovery import discover

    settings = read_config(config)
    listed = _list(settings, discover())
    if as_json:
        print_json({"config": str(settings.path) if settings.path else None, "plugins": [asdict(x) for x in listed]})
        return
    screen = console()
    if listed:
        rows = [(x.name, f"{x.distribution} {x.version}" if x.distribution else "-", x.status, x.why) for x in listed]
        screen.print(table(("plugin", "from", "status", ""), rows))
    else:
        screen.print("No plugins are installed.")
    for entry in listed:
        if entry.mend:
            screen.print(f"{entry.name}: {entry.mend}", markup=False)
    screen.print(f"\nConfiguration: {settings.path or 'none (mcp-host init writes one)'}", markup=False, soft_wrap=True)


def _list(config: HostConfig, installed: Sequence[InstalledPlugin]) -> list[Listed]:
    from mcp_host.discovery import by_name, check_compatible, find

    claims = by_name(installed)
    listed = []
    for name, section in config.plugins.items():
        status = "enabled" if section.enabled else "disabled"
        if section.object is not None:
            listed.append(Listed(name, None, None, status, f"object {section.object}"))
            continue
        claim = claims.get(name, ())
        distribution, version = (claim[0].distribution, claim[0].version) if claim else (None, None)
        try:
            check_compatible(find(name, installed))
            listed.append(Listed(name, distribution, version, status))
        except HostError as error:
            status = f"{status}, cannot load" if section.enabled else status
            listed.append(Listed(name, distribution, version, status, error.what, error.mend))
    for name, claim in claims.items():
        for plugin in claim if name not in config.plugins else ():
            listed.append(
                Listed(name, plugin.distribution, plugin.version, "not enabled", mend=f"[plugins.{name}] enables it")
            )
    return listed


@dataclass(frozen=True)
class CheckResult:
    """The answer to one question of a plugin's `mcp_checks`."""

    plugin: str
    name: str
    problem: str | None


def check(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
    disable: DisableOption = None,
) -> int:
    """Load and start everything as `run` would, show what a client would see, and every problem with its mend.

    Exit code 0: all is well (warnings allowed); 2: something is wrong.
    """
    settings = read_config(config, disable=disable)
    with own_stdout() as stdout:
        # Every problem is shown once, at the end; the log would only say it twice.
        host = load_host(settings, log_level=log_level or "critical")
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
            print_json(data, stdout)
            return 2 if failed else 0
        screen = console(stdout)
        screen.print(records_table(records) if records else "No plugins are enabled.")
        for result in results:
            mark = f"FAILED: {result.problem}" if result.problem else "ok"
            screen.print(f"check {result.plugin}: {result.name}: {mark}", markup=False)
        for line in problem_lines(records):
            screen.print("\n" + line, markup=False, soft_wrap=True)
        if refusal is not None:
            screen.print(f"\nmcp-host run would refuse to start: {refusal.what}", markup=False, soft_wrap=True)
        screen.print("\nSomething is wrong." if failed else "\nAll is well.")
        return 2 if failed else 0


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
    for plugin in host.plugins:
        for question in plugin.contributions.checks if plugin.alive else ():
            wants_context = bool(inspect.signature(question.fn).parameters)
            try:
                answer: Any = question.fn(plugin.context) if wants_context else question.fn()
                answer = await answer if inspect.isawaitable(answer) else answer
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError):
                    raise
                answer = text_of(error)
            results.append(CheckResult(plugin.name, question.name, answer))
    return results
