"""Runs the official conformance suite and reads its results."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from support import node

Result = Literal["passes", "warns", "fails", "empty"]

_LONGEST = 300.0
"""Seconds after which a run of the suite is stopped. On an idle machine, the longest run takes less than ten."""


@dataclass(frozen=True)
class Scenario:
    """The result of one scenario. The suite's own output counts only failures, this counts everything."""

    name: str
    checks: Sequence[dict[str, Any]]

    @property
    def result(self) -> Result:
        found = {check["status"] for check in self.checks}
        if "FAILURE" in found:
            return "fails"
        if "SUCCESS" not in found:
            return "empty"
        return "warns" if "WARNING" in found else "passes"

    def without_warnings_of(self, checks: Collection[str]) -> Scenario:
        """Return the scenario without the warnings of some checks."""
        kept = [check for check in self.checks if check["status"] != "WARNING" or check["id"] not in checks]
        return Scenario(self.name, kept)

    @property
    def problems(self) -> list[str]:
        return [
            f"{self.name}: {check['id']}: {check['status']}: {check.get('errorMessage', '')}"
            for check in self.checks
            if check["status"] not in ("SUCCESS", "INFO")
        ]

    @property
    def details(self) -> str:
        """Everything that the checks saw, as JSON."""
        return json.dumps([check.get("details") for check in self.checks])


def run(version: str, url: str, folder: Path, *options: str) -> dict[str, Scenario]:
    """Run one release of the suite against a server and return its scenarios by name.

    Raises:
        MissingError: The suite is not installed.
    """
    program = node.packages() / f"conformance-{version}/dist/index.js"
    done = subprocess.run(
        [node.node(), program, "server", "--url", url, "-o", folder, *options],
        env=node.environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=_LONGEST,
        check=False,
    )
    scenarios = {}
    for path in folder.glob("*/checks.json"):
        # server-NAME-2026-11-22T19-05-45-089Z
        name = re.sub(r"^server-|-\d{4}-\d\d-\d\dT[\d-]+Z$", "", path.parent.name)
        scenarios[name] = Scenario(name, json.loads(path.read_text(encoding="utf-8")))
    failed = [name for name, scenario in scenarios.items() if scenario.result == "fails"]
    assert scenarios, f"the suite checked nothing:\n{done.stdout}{done.stderr}"
    assert done.returncode == 0 or failed, f"the suite ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return scenarios


def run_steadily(
    version: str,
    url: str,
    folder: Path,
    options: Sequence[str],
    alone: Sequence[str],
    expected: Mapping[str, Result],
    timed: Collection[str],
) -> dict[str, Scenario]:
    """Run the suite, without the warnings of `timed` checks. Then run what has an unexpected result again, alone.

    Some checks give a server half a second to answer in, which a busy machine may take; what is wrong stays wrong.
    """

    def run_it(into: Path, *more: str) -> dict[str, Scenario]:
        found = run(version, url, into, *more)
        return {name: scenario.without_warnings_of(timed) for name, scenario in found.items()}

    scenarios = run_it(folder, *options)
    for name, scenario in list(scenarios.items()):
        if scenario.result != expected.get(name):
            scenarios |= run_it(folder / "again" / name, "--scenario", name, *alone)
    return scenarios


def required(version: str, revision: str) -> frozenset[str]:
    """Return the scenarios that a revision of the specification requires: a fixed list in the suite's package."""
    text = (node.packages() / f"conformance-{version}/requirements/{revision}.yaml").read_text(encoding="utf-8")
    section = re.search(r"^server:\n((?:  - .*\n)+)", text, re.MULTILINE)
    assert section is not None
    return frozenset(re.findall(r"^  - (\S+)$", section[1], re.MULTILINE))
