"""Clients of several SDKs as processes, which a test drives one request after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from support import node
from support.processes import Process

LEGACY, MODERN = "2025-11-25", "2026-07-28"
HERE = Path(__file__).parent

Progress = Literal["none", "shown", "goes on", "cancels"]
"""What a client does with reports of progress. It calls `go` at each, or it cancels its request at the first."""


@dataclass(frozen=True)
class Kind:
    """A client: its program, which gets the server's URL or command as further arguments, and what it negotiates."""

    program: tuple[str, ...]
    version: str
    requirement: str = ""
    """What its program needs, if it is not what the tests run with."""

    @property
    def can_cancel(self) -> bool:
        """Whether its SDK reports to the server that a request was cancelled."""
        return not self.requirement

    def command(self, environments: Path) -> list[str]:
        """Return how it is started. An environment of its own is made in a folder, if it is not there."""
        if self.requirement:
            return [python_with(self.requirement, environments), *self.program]
        return [str(node.node()) if self.program[0].endswith(".mjs") else sys.executable, *self.program]


KINDS: Mapping[str, Kind] = {
    "typescript-1": Kind(("driven-1.mjs",), LEGACY),
    "typescript-2-legacy": Kind(("driven-2.mjs", "legacy"), LEGACY),
    "typescript-2": Kind(("driven-2.mjs", MODERN), MODERN),
    "python-2-legacy": Kind(("driven_2.py", "legacy"), LEGACY),
    "python-2": Kind(("driven_2.py", "auto"), MODERN),
    "python-1": Kind(("driven_1.py",), LEGACY, "mcp==1.30.0"),
}


def python_with(requirement: str, environments: Path) -> str:
    """Return the Python of an environment with a requirement from the package index."""
    folder = environments / requirement
    python = folder / "bin/python"
    if not python.exists():
        # The constraints of who runs the tests are not for what the tests install.
        env = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        subprocess.run(install, check=True, env=env)
    return str(python)


@dataclass(frozen=True)
class Step:
    """One request, what the user and the model answer during it, and the notifications to wait for after it."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    answers: Sequence[Mapping[str, Any]] = ()
    progress: Progress = "none"
    until: Sequence[str] = ()


class Driven:
    """A connected client."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.connected = self._line()

    def _line(self) -> Any:
        return json.loads(self._process.until("{"))

    def __call__(self, step: Step) -> Any:
        """Send a request, and return what came meanwhile as `events`, and its `result`, `error` or `cancelled`."""
        self._process.stdin.write(f"{json.dumps(vars(step))}\n")
        self._process.stdin.flush()
        return self._line()


@contextmanager
def driven(
    kind: Kind, target: Sequence[str], *, folder: Path, env: Mapping[str, str], longest: float
) -> Iterator[Driven]:
    """Connect a client to a URL or a command. It must end by itself at the end of the block."""
    errors = folder / f"client-{len(list(folder.glob('client-*')))}.log"
    process = Process([*kind.command(folder), *target], folder, env, errors, longest=longest)
    try:
        yield Driven(process)
        process.stdin.close()
        assert process.wait() == 0, process.err
    finally:
        process.close()
