"""The rules about importing a plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mcp_host.authoring.plugincheck import rules
from mcp_host.authoring.plugincheck.observations import Event, Imported
from mcp_host.authoring.plugincheck.report import Verdicts
from mcp_host.authoring.plugincheck.rules import Rule, Severity
from mcp_host.errors import Problem

LONGEST_QUOTE = 80
"""Characters of what was printed that a finding repeats."""

_RULES: Mapping[str, Rule] = {
    "opens": rules.IMPORT_OPENS,
    "starts": rules.IMPORT_STARTS,
    "changes": rules.IMPORT_CHANGES,
}
_MENDS: Mapping[str, str] = {
    "opens": "do it in the lifespan, and end it there",
    "starts": "do it in the lifespan, and end it there",
    "changes": "leave that to the host: take values from settings, and log with plugin.log",
}


def judge_import(seen: Imported, plugin: str, budget: float, verdicts: Verdicts) -> None:
    """Apply the rules about the import, which may take `budget` seconds."""
    verdicts.checked(*_RULES.values())
    for event in seen.events:
        severity = Severity.WARNING if event.dependency else None
        verdicts.broken(_RULES[event.kind], _problem(event), severity)
    where = f"plugin {plugin}"
    for what in seen.left_open or ():
        verdicts.broken(rules.IMPORT_OPENS, Problem(f"importing it leaves {what} open", where, _MENDS["opens"]))
    if seen.left_open is None:
        verdicts.skipped("descriptors left open: this system does not list them", rules.IMPORT_OPENS)
    for what in seen.changed:
        verdicts.broken(rules.IMPORT_CHANGES, Problem(f"importing it changes {what}", where, _MENDS["changes"]))
    verdicts.extend(rules.IMPORT_SILENT, _printed(seen, where))
    verdicts.extend(rules.IMPORT_TIME, _slow(seen, where, budget))


def _problem(event: Event) -> Problem:
    if event.dependency:
        return Problem(
            f"{event.dependency}, which is imported with it, {event.what}",
            event.place,
            f"import {event.dependency} inside the functions that use it",
        )
    return Problem(f"importing it {event.what}", event.place, _MENDS[event.kind])


def _printed(seen: Imported, where: str) -> Iterator[Problem]:
    for stream, text in seen.printed.items():
        line = (text.strip().splitlines() or [""])[0][:LONGEST_QUOTE]
        yield Problem(
            f"importing it prints {line!r} to {stream}", where, "log with plugin.log, in a hook or the lifespan"
        )


def _slow(seen: Imported, where: str, budget: float) -> Iterator[Problem]:
    if seen.milliseconds > budget * 1000:
        yield Problem(
            f"importing it takes {seen.milliseconds:.0f} ms, more than {budget * 1000:.0f} ms; it delays every start",
            where,
            "import heavy libraries inside the functions that use them (python -X importtime shows which)",
        )
