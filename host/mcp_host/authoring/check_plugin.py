"""`mcp-host check --plugin`: checks a plugin against the contract, for its author."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mcp_host.cli.common import command_stdout
from mcp_host.cli.output import json_text, problem_text, table, write
from mcp_host.cli.requests import read_arguments
from mcp_host.config.layers import Draft
from mcp_host.errors import HostError, InvalidConfigError

if TYPE_CHECKING:
    from mcp_host.authoring.plugincheck import ContractReport
    from mcp_host.config import HostConfig


def check_contract(
    plugin: str, config: HostConfig, given: Sequence[str] = (), *, strict: bool = False, as_json: bool = False
) -> int:
    """Check a plugin, or each plugin of a project, against the contract. Print the report and return the exit code.

    The plugin's settings are from its table in the configuration, if it has one; it need not be enabled. The settings
    `given` as KEY=VALUE win. With `strict`, the exit code is 1 if there are warnings.
    """
    with command_stdout() as stdout:
        reports = run_contract(plugin, config, settings_of(given))
        ok = not any(report.problems for report in reports)
        warned = strict and any(report.warnings for report in reports)
        if as_json:
            text = json_text({"ok": ok and not warned, "plugins": [report.to_json() for report in reports]})
        else:
            text = "\n\n".join("\n".join(report_lines(report, stdout)) for report in reports)
            text += "\n\nThe contract is kept." if ok else "\n\nThe contract is broken."
            text += " There are warnings, which --strict does not allow." if ok and warned else ""
        write(text, stdout)
        return 2 if not ok else 1 if warned else 0


def settings_of(given: Sequence[str]) -> dict[str, Any]:
    """Return settings as tables from KEY=VALUE and KEY:=JSON. A key may be a path: `database.url=...`.

    Raises:
        HostError: One of them has another form, or two contradict each other.
    """
    # The plugin's model converts a text to what it needs.
    texts = {pair.partition("=")[0]: {"type": "string"} for pair in given}
    try:
        pairs = read_arguments(given, {"properties": texts})
    except HostError as error:
        raise HostError(error.what, where="command line: --set", hint="--set key=value") from None
    draft = Draft({})
    for key, value in pairs.items():
        draft.put(tuple(key.split(".")), value, "command line: --set")
    if draft.problems:
        raise InvalidConfigError(draft.problems)
    return draft.data


def run_contract(
    plugin: str | Path, config: HostConfig | None = None, given: Mapping[str, Any] | None = None
) -> tuple[ContractReport, ...]:
    """Return a report for the named plugin, or for each plugin in a project's folder.

    The settings `given` are put over those of the plugin's table.
    """
    from mcp_host.authoring.plugincheck import contract
    from mcp_host.authoring.plugincheck.targets import find_targets

    tables = config.plugins if config is not None else {}
    base_dir = config.base_dir if config is not None else None
    reports = []
    for target in find_targets(plugin):
        draft = Draft(copy.deepcopy(tables[target.name].settings) if target.name in tables else {})
        for key, value in (given or {}).items():
            draft.put((key,), value, "command line: --set")
        reports.append(contract(target, settings=draft.data, base_dir=base_dir))
    return tuple(reports)


def report_lines(report: ContractReport, out: TextIO) -> Iterator[str]:
    """Yield a table of the rules, and then each finding with its place and its hint."""
    took = f", imported in {report.import_ms:.0f} ms" if report.import_ms is not None else ""
    yield f"plugin {report.plugin} ({report.source}){took}\n"
    rows = [(each.rule.id, each.answer, each.not_checked or each.rule.sentence) for each in report.results]
    yield table(("rule", "answer", "what"), rows, out)
    for finding in report.findings:
        yield "\n" + problem_text(finding.problem, f"{finding.severity} {finding.rule.id}")
