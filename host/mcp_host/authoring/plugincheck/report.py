"""What the contract found: one outcome a rule, with its findings, or why it could not be checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mcp_host.authoring.plugincheck.rules import RULES, Rule, Severity
from mcp_host.errors import Problem


class ContractBrokenError(AssertionError):
    """A plugin breaks rules of the contract; the text has each finding with its place and its hint."""


@dataclass(frozen=True)
class Finding:
    """One place where a plugin breaks one rule. Its severity is the rule's, or milder where the cause is another's."""

    rule: Rule
    severity: Severity
    problem: Problem

    def __str__(self) -> str:
        return self.problem.text(f"{self.severity} [{self.rule.id}]")


@dataclass(frozen=True)
class Outcome:
    """What became of one rule. `not_checked` is why nothing, or not everything, could be found out; else empty."""

    rule: Rule
    findings: tuple[Finding, ...] = ()
    not_checked: str = ""

    @property
    def answer(self) -> Literal["ok", "error", "warning", "not checked"]:
        severities = {finding.severity for finding in self.findings}
        if Severity.ERROR in severities:
            return "error"
        if severities:
            return "warning"
        return "not checked" if self.not_checked else "ok"


@dataclass(frozen=True)
class ContractReport:
    """Every rule's outcome for one plugin. `import_ms` is wall-clock milliseconds, None where it was not measured."""

    plugin: str
    source: str
    outcomes: tuple[Outcome, ...]
    import_ms: float | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for outcome in self.outcomes for finding in outcome.findings)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The errors: what a plugin must not do."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.WARNING)

    @property
    def not_checked(self) -> tuple[Outcome, ...]:
        """The rules that nothing is said about, each with the reason."""
        return tuple(outcome for outcome in self.outcomes if outcome.answer == "not checked")

    def outcome(self, rule: Rule | str) -> Outcome:
        """Return the outcome of a rule, given itself or its id."""
        id = rule if isinstance(rule, str) else rule.id
        return next(outcome for outcome in self.outcomes if outcome.rule.id == id)

    def raise_for_problems(self, *, warnings: bool = False) -> None:
        """Do nothing if the plugin keeps the contract.

        Raises:
            ContractBrokenError: There are errors, or with `warnings` set, errors or warnings.
        """
        found = self.findings if warnings else self.problems
        if found:
            text = "\n".join(map(str, found))
            raise ContractBrokenError(f"plugin {self.plugin} ({self.source}) breaks the contract\n{text}")

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings]
        lines += [f"not checked [{each.rule.id}] {each.not_checked}" for each in self.outcomes if each.not_checked]
        return "\n".join([f"plugin {self.plugin} ({self.source})", *lines])

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-ready data; keys only ever grow within a major version."""
        return {
            "plugin": self.plugin,
            "source": self.source,
            "ok": not self.problems,
            "import_ms": self.import_ms,
            "rules": [
                {
                    "id": outcome.rule.id,
                    "sentence": outcome.rule.sentence,
                    "answer": outcome.answer,
                    "not_checked": outcome.not_checked,
                    "findings": [
                        {"severity": finding.severity.value, **asdict(finding.problem)} for finding in outcome.findings
                    ],
                }
                for outcome in self.outcomes
            ],
        }


class Verdicts:
    """The report in the making. A rule that nobody has looked at by the end comes out as not checked, never as kept."""

    def __init__(self) -> None:
        self._findings: dict[str, list[Finding]] = {}
        self._checked: set[str] = set()
        self._skipped: dict[str, str] = {}

    def checked(self, *rules: Rule) -> None:
        """Say that these were looked at, so that without a finding they are kept."""
        self._checked.update(rule.id for rule in rules)

    def skipped(self, reason: str, *rules: Rule) -> None:
        """Say why these could not be looked at. The first reason stays."""
        for rule in rules:
            self._skipped.setdefault(rule.id, reason)

    def broken(self, rule: Rule, problem: Problem, severity: Severity | None = None) -> None:
        """Add a finding, of the rule's own severity unless told otherwise, once."""
        finding = Finding(rule, severity or rule.severity, problem)
        found = self._findings.setdefault(rule.id, [])
        if finding not in found:
            found.append(finding)

    def extend(self, rule: Rule, problems: Iterable[Problem]) -> None:
        """Say that a rule was looked at, and these were found."""
        self.checked(rule)
        for problem in problems:
            self.broken(rule, problem)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield one outcome a rule, in the order of the rules."""
        for rule in RULES:
            unseen = "" if rule.id in self._checked or rule.id in self._findings else "nothing could be found out"
            yield Outcome(rule, tuple(self._findings.get(rule.id, ())), self._skipped.get(rule.id, unseen))
