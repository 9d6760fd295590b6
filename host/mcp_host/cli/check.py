"""`mcp-host check`: loads and starts all plugins, and reports what the tools cost and what is wrong."""

from __future__ import annotations

import asyncio
import inspect
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import anyio
import anyio.to_thread
import typer

from mcp_host.cli import completion
from mcp_host.cli.common import (
    ConfigOption,
    DisableOption,
    JsonOption,
    LogLevelOption,
    command_stdout,
    load_host,
    read_config,
)
from mcp_host.cli.output import coloured, json_text, problem_text, records_row, table, write
from mcp_host.cli.registry import COMMANDS, find
from mcp_host.config import python_file
from mcp_host.config.ownfiles import secret_files
from mcp_host.errors import HostError, Problem, RefusedError, str_of, text_of

if TYPE_CHECKING:
    from mcp_host.api import Check, PluginContext
    from mcp_host.catalog.served import ServedTool
    from mcp_host.config import HostConfig
    from mcp_host.plugins.plugin import LoadedPlugin
    from mcp_host.plugins.records import ConnectionState, PluginRecord
    from mcp_host.server.host import Host

PluginOption = Annotated[
    str | None,
    typer.Option(
        "--plugin",
        metavar="DIR_OR_NAME",
        help="Check one plugin against the contract instead: the folder of its project, or its name.",
        autocompletion=completion.plugins,
    ),
]

LARGEST = 3
"""The number of tools that the warning about the budget names."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one of a plugin's own checks (`mcp_checks`)."""

    plugin: str
    name: str
    problem: str | None


@dataclass(frozen=True)
class ToolCost:
    """The estimated tokens that one tool takes of a model's context."""

    name: str
    plugin: str
    tokens: int


@dataclass(frozen=True)
class Summary:
    """Everything that a check found. `tools` starts with the largest. `warnings` are not about a single plugin."""

    config: str | None
    records: Sequence[PluginRecord]
    results: Sequence[CheckResult]
    refusal: HostError | None
    tools: Sequence[ToolCost]
    token_budget: int
    warnings: Sequence[Problem]

    @property
    def failed(self) -> bool:
        return (
            self.refusal is not None
            or any(record.failed for record in self.records)
            or any(result.problem is not None for result in self.results)
        )

    @property
    def all_warnings(self) -> list[Problem]:
        return [*(warning for record in self.records for warning in record.warnings), *self.warnings]

    @property
    def tokens(self) -> int:
        return sum(tool.tokens for tool in self.tools)

    def tokens_of(self, plugin: str) -> int:
        return sum(tool.tokens for tool in self.tools if tool.plugin == plugin)

    def exit_code(self, *, strict: bool) -> int:
        if self.failed:
            return 2
        return 1 if strict and self.all_warnings else 0

    def to_json(self, *, strict: bool) -> dict[str, Any]:
        return {
            "ok": self.exit_code(strict=strict) == 0,
            "config": self.config,
            "plugins": [record.to_json() for record in self.records],
            "checks": [asdict(result) for result in self.results],
            "refusal": asdict(self.refusal.problem) if self.refusal else None,
            "warnings": [asdict(warning) for warning in self.warnings],
            "tokens": {
                "total": self.tokens,
                "budget": self.token_budget,
                "plugins": {record.name: self.tokens_of(record.name) for record in self.records},
                "tools": [asdict(tool) for tool in self.tools],
            },
        }


def check(
    config: ConfigOption = None,
    plugin: PluginOption = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="With --plugin, a setting of the plugin; a.b=VALUE for one in a table. KEY:=JSON passes a JSON value. "
            "May be repeated.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 if there are warnings.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show import times, names, and what each tool costs.")
    ] = False,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
    disable: DisableOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Start no other servers; use what they listed when they last ran.")
    ] = False,
) -> int:
    """Load and start all plugins, and show what is wrong.

    Does what `run` does before it serves, starts all other servers, then runs each plugin's own checks. The tokens are
    an estimate of how much of a model's context the tools take. With --plugin, it checks one plugin (an installed one,
    or a project's) against the contract for authors, with the settings of --set and of its table. A
    project's own mcp-host.toml is used if it has one.
    """
    if plugin is not None:
        own = Path(plugin, "mcp-host.toml")
        settings = read_config(own if config is None and own.is_file() else config, disable=disable)
        check_contract = find("mcp_host.authoring.check_plugin:check_contract")
        return int(check_contract(plugin, settings, given or (), strict=strict, as_json=as_json))
    if given:
        raise HostError("--set is for --plugin", where="command line: --set", hint="mcp-host check --plugin NAME --set")
    settings = read_config(config, disable=disable)
    with command_stdout() as stdout:
        # The report shows each problem once, at the end. The log would only repeat it.
        host = load_host(settings, log_level=log_level or os.environ.get("MCP_LOG_LEVEL") or "critical")
        summary = asyncio.run(summary_of(host, offline=offline))
        if as_json:
            text = json_text(summary.to_json(strict=strict))
        else:
            text = "\n\n".join(blocks_of(summary, stdout, strict=strict, verbose=verbose))
        write(text, stdout)
        return summary.exit_code(strict=strict)


# Showing


def blocks_of(summary: Summary, out: TextIO, *, strict: bool, verbose: bool) -> Iterator[str]:
    """Yield the blocks of the report; an empty line separates them. The problems and the verdict are last."""
    yield _plugins(summary, out, verbose=verbose)
    code = [
        (record.name, what.removesuffix("s"), name)
        for record in summary.records
        for what in ("middleware", "observers", "routes")
        for name in getattr(record.contributed, what)
    ]
    if verbose and code:
        yield table(("plugin", "contributes", "name"), code, out)
    if verbose and summary.tools:
        rows = [(tool.name, tool.plugin, f"{tool.tokens:,}") for tool in summary.tools]
        yield table(("tool", "plugin", "tokens"), rows, out)
    connected = [(record.name, record.connection) for record in summary.records if record.connection is not None]
    if connected:
        states = [(name, state.server or "-", state.protocol_version or "-", state.phrase) for name, state in connected]
        yield table(("plugin", "server", "protocol", "connection"), states, out)
    if summary.results:
        rows = [(r.plugin, r.name, "ok" if r.problem is None else f"NO: {r.problem}") for r in summary.results]
        yield table(("plugin", "check", "answer"), rows, out)
    if summary.tools:
        yield f"Tools: {len(summary.tools)}, about {summary.tokens:,} tokens of a model's context."
    for record in summary.records:
        if record.problem is not None:
            yield _problem(record.problem, "error", f" in plugin {record.name}", out)
        for warning in record.warnings:
            yield _problem(warning, "warning", f" about plugin {record.name}", out)
    for warning in summary.warnings:
        yield _problem(warning, "warning", "", out)
    if summary.refusal is not None:
        yield _problem(summary.refusal.problem, "error", ": mcp-host run would refuse to start", out)
    yield _verdict(summary, out, strict=strict)


def _plugins(summary: Summary, out: TextIO, *, verbose: bool) -> str:
    if not summary.records:
        if summary.config is None:
            return (
                "There is no mcp-host.toml here: mcp-host init PLUGIN writes one, mcp-host plugins lists the plugins."
            )
        return f"No plugins are enabled: mcp-host enable NAME, or [plugins.NAME] in {summary.config}"
    columns = ("plugin", "from", "stage", "contributes", "tokens", *(("import",) if verbose else ()))
    rows = []
    for record in summary.records:
        tokens = summary.tokens_of(record.name)
        row = (*records_row(record), f"{tokens:,}" if tokens else "-")
        took = f"{record.import_ms:.0f} ms" if record.import_ms is not None else "-"
        rows.append((*row, took) if verbose else row)
    return table(columns, rows, out)


def _problem(problem: Problem, severity: str, about: str, out: TextIO) -> str:
    text = problem_text(problem, f"{severity}{about}")
    return coloured(severity, "red" if severity == "error" else "yellow", out) + text.removeprefix(severity)


def _verdict(summary: Summary, out: TextIO, *, strict: bool) -> str:
    count = len(summary.all_warnings)
    warnings = f"{count} warning{'s' if count != 1 else ''}"
    code = summary.exit_code(strict=strict)
    if code == 2:
        return coloured("Something is wrong.", "red", out)
    if code == 1:
        return coloured(f"There {'is' if count == 1 else 'are'} {warnings}, which --strict does not allow.", "red", out)
    return coloured(f"Nothing is wrong; {warnings}." if count else "All is well.", "green", out)


# Checking


async def summary_of(host: Host, *, offline: bool = False) -> Summary:
    """Start a host's plugins, run their own checks, and return everything that was found.

    With `offline`, no other server is started.
    """
    from mcp_host.cli.tokens import tool_tokens

    if offline:
        _keep_offline(host)
    refusal, results, connections = await _start(host, offline=offline)
    for plugin in host.plugins:
        if plugin.contributions.commands and plugin.name in COMMANDS:
            what = f"its commands cannot be run: mcp-host {plugin.name} is a command of mcp-host itself"
            plugin.warn(what, hint="give the plugin another name, in its entry point")
    served = list(host.catalog.tools.values())
    costs = {tool.name: tool_tokens(tool.wire) for tool in served}
    served.sort(key=lambda tool: -costs[tool.name])
    return Summary(
        config=str(host.config.path) if host.config.path else None,
        records=[replace(record, connection=connections.get(record.name)) for record in host.records],
        results=results,
        refusal=refusal,
        tools=[ToolCost(tool.name, tool.plugin.name, costs[tool.name]) for tool in served],
        token_budget=host.config.host.token_budget,
        warnings=[*host.config.warnings, *_open_to_others(host.config), *_over_budget(host, served, costs)],
    )


def _open_to_others(config: HostConfig) -> Iterator[Problem]:
    """Yield a warning for each own file whose permissions let other users change what runs, or read a secret."""
    if os.name != "posix":
        return
    if config.path is not None and python_file(config.path) is None and _mode(config.path) & stat.S_IWOTH:
        yield Problem(
            "every user of this machine may write this file, which decides what code runs",
            where=str(config.path),
            hint=f"chmod o-w {shlex.quote(str(config.path))}",
        )
    for path in secret_files(config):
        if _mode(path) & (stat.S_IROTH | stat.S_IWOTH):
            yield Problem(
                "every user of this machine may read or write this file, which has a secret",
                where=str(path),
                hint=f"chmod o-rw {shlex.quote(str(path))}",
            )


def _mode(path: Path) -> int:
    """Return a file's permissions, or none if it is missing or in a folder that others cannot enter."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _over_budget(host: Host, costliest: Sequence[ServedTool], costs: dict[str, int]) -> Iterator[Problem]:
    from mcp_host.catalog.filters import deny_line

    total, budget = sum(costs.values()), host.config.host.token_budget
    if total <= budget:
        return
    named = ", ".join(f"{tool.name} ({costs[tool.name]:,})" for tool in costliest[:LARGEST])
    first = costliest[0]
    yield Problem(
        f"the tools take about {total:,} tokens of every model's context, more than the {budget:,} of the budget; "
        f"the largest: {named}",
        where=host.config.where("host", "token_budget"),
        hint=f"{deny_line(first.plugin, 'tools', first.name)}   (or tools.allow with the ones you use), "
        f"or [host] token_budget = {total}",
    )


def _keep_offline(host: Host) -> None:
    for plugin in host.plugins:
        if plugin.connection is not None:
            # The checks of a plugin in a process of its own start that process.
            plugin.contributions = replace(plugin.contributions, lifespan=lambda: None, checks=())
            given = plugin.contributions
            if not (given.tools or given.resources or given.prompts):
                plugin.warn("what it lists is not known, because it has not run yet", hint="mcp-host check")


async def _start(
    host: Host, *, offline: bool
) -> tuple[HostError | None, list[CheckResult], dict[str, ConnectionState]]:
    from mcp_host.server.hostserver import HostServer

    try:
        host.require()
        HostServer(host)  # raises if [auth] does not work
        if host.config.transport.kind == "http":
            from mcp_host.server.http.headers import refuse_open

            refuse_open(host.config)
        async with host.running():
            results = [] if offline else await _connect(host)
            results += await _run_checks(host)
            alive = [plugin for plugin in host.plugins if plugin.alive and plugin.connection is not None]
            return None, results, {plugin.name: plugin.connection() for plugin in alive if plugin.connection}
    except HostError as error:
        return error, [], {}


async def _connect(host: Host) -> list[CheckResult]:
    """Start the other servers that are not up, all at the same time."""

    async def connect(plugin: LoadedPlugin) -> CheckResult:
        assert plugin.connect is not None
        try:
            await plugin.connect()
        except RefusedError as error:
            return CheckResult(plugin.name, "server answers", host.redactor.redact(str(error)))
        return CheckResult(plugin.name, "server answers", None)

    return await asyncio.gather(*(connect(plugin) for plugin in host.plugins if plugin.alive and plugin.connect))


async def _run_checks(host: Host) -> list[CheckResult]:
    results = []
    timeout = host.config.host.start_timeout
    for plugin in host.plugins:
        for check in plugin.contributions.checks if plugin.alive else ():
            try:
                with anyio.fail_after(timeout):
                    answer = await _run_check(check, plugin.own_context)
            except TimeoutError:
                answer = f"no answer within {timeout:g} s"
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
                    raise
                answer = text_of(error)
            # The text may quote the plugin's settings.
            problem = None if answer is None else host.redactor.redact(answer)
            results.append(CheckResult(plugin.name, str_of(check.name), problem))
    return results


async def _run_check(check: Check, context: PluginContext[Any]) -> str | None:
    run = partial(check.fn, context) if inspect.signature(check.fn).parameters else check.fn
    # In a thread, so that a check that hangs can be abandoned.
    answer: Any = await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
    if inspect.isawaitable(answer):
        answer = await answer
    return None if answer is None else str(answer)
