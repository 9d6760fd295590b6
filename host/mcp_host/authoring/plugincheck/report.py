"""The report of the contract: one result for each rule, with its findings or why it was not checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mcp_host.authoring.plugincheck.rules import RULES, Rule, Severity
from mcp_host.errors import Problem


class ContractBrokenError(AssertionError):
    """A plugin breaks rules of the contract. The text has each finding with its place and its hint."""


@dataclass(frozen=True)
class Finding:
    """One place where a plugin breaks a rule. Its severity is the rule's, or lower if another package is the cause."""

    rule: Rule
    severity: Severity
    problem: Problem

    def __str__(self) -> str:
        return self.problem.text(f"{self.severity} [{self.rule.id}]")


@dataclass(frozen=True)
class RuleResult:
    """The result of one rule. `not_checked` is why it was not checked, or only partly; it is empty otherwise."""

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
    """The results of all rules for one plugin. `import_ms` is wall-clock milliseconds, or None if not measured."""

    plugin: str
    source: str
    results: tuple[RuleResult, ...]
    import_ms: float | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for result in self.results for finding in result.findings)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.WARNING)

    @property
    def not_checked(self) -> tuple[RuleResult, ...]:
        """The results of the rules that were not checked, each with the reason."""
        return tuple(result for result in self.results if result.answer == "not checked")

    def result(self, rule: Rule | str) -> RuleResult:
        """Return the result of a rule, given the rule or its id."""
        id = rule if isinstance(rule, str) else rule.id
        return next(result for result in self.results if result.rule.id == id)

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
        lines += [f"not checked [{each.rule.id}] {each.not_checked}" for each in self.results if each.not_checked]
        return "\n".join([f"plugin {self.plugin} ({self.source})", *lines])

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready data. Within a major version, keys are only added."""
        return {
            "plugin": self.plugin,
            "source": self.source,
            "ok": not self.problems,
            "import_ms": self.import_ms,
            "rules": [
                {
                    "id": result.rule.id,
                    "sentence": result.rule.sentence,
                    "answer": result.answer,
                    "not_checked": result.not_checked,
                    "findings": [
                        {"severity": finding.severity.value, **asdict(finding.problem)} for finding in result.findings
                    ],
                }
                for result in self.results
            ],
        }


class Verdicts:
    """Collects the findings of a report. A rule that was never checked is reported as not checked, never as kept."""

    def __init__(self) -> None:
        self._findings: dict[str, list[Finding]] = {}
        self._checked: set[str] = set()
        self._skipped: dict[str, str] = {}

    def checked(self, *rules: Rule) -> None:
        """Record that these rules were checked. Without a finding, they are kept."""
        self._checked.update(rule.id for rule in rules)

    def skipped(self, reason: str, *rules: Rule) -> None:
        """Record why these rules were not checked. The first reason is kept."""
        for rule in rules:
            self._skipped.setdefault(rule.id, reason)

    def broken(self, rule: Rule, problem: Problem, severity: Severity | None = None) -> None:
        """Add a finding once. The default severity is the rule's."""
        finding = Finding(rule, severity or rule.severity, problem)
        found = self._findings.setdefault(rule.id, [])
        if finding not in found:
            found.append(finding)

    def extend(self, rule: Rule, problems: Iterable[Problem]) -> None:
        """Record that a rule was checked, and add its findings."""
        self.checked(rule)
        for problem in problems:
            self.broken(rule, problem)

    def results(self) -> Iterator[RuleResult]:
        """Yield one result for each rule, in the order of the rules."""
        for rule in RULES:
            unseen = "" if rule.id in self._checked or rule.id in self._findings else "nothing is known about it"
            yield RuleResult(rule, tuple(self._findings.get(rule.id, ())), self._skipped.get(rule.id, unseen))
