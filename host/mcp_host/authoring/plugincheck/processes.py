"""Runs fresh interpreters that look at a plugin, side by side, and brings back what each saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mcp_host.authoring.plugincheck.observations import Observations, Stage, Subject
from mcp_host.errors import LONGEST_TEXT

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mcp_host.authoring.plugincheck.child import main; main(*sys.argv[2:])"
)
_LOUD = ("PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONVERBOSE", "PYTHONPROFILEIMPORTTIME", "PYTHONSTARTUP")
"""Variables that make Python itself print, which would look as if the plugin did."""


@dataclass(frozen=True)
class Seen:
    """What one process saw, and how it ended if it did not come to its end."""

    observations: Observations
    ended: str = ""


def look_at(subjects: Sequence[Subject], *, path: Sequence[str], folder: Path, timeout: float) -> tuple[Seen, ...]:
    """Look at each subject in an interpreter of its own, all at once, and each with another hash seed.

    `path` is their `sys.path`, `folder` a place for their files, `timeout` the seconds they all have.
    """
    deadline = time.monotonic() + timeout
    processes = [_start(subject, number, path, folder) for number, subject in enumerate(subjects, 1)]
    try:
        return tuple(_finish(process, number, folder, deadline) for number, process in enumerate(processes, 1))
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def _start(subject: Subject, number: int, path: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    subject_file = folder / f"subject-{number}.json"
    subject_file.write_text(subject.model_dump_json(), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in _LOUD}
    with _output(folder, number).open("wb") as output:
        return subprocess.Popen(
            # -P: the working directory is not on the path unless `path` says so.
            [
                sys.executable,
                "-P",
                "-c",
                _START,
                json.dumps(list(path)),
                str(subject_file),
                str(_result(folder, number)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**environment, "PYTHONHASHSEED": str(number)},
        )


def _finish(process: subprocess.Popen[bytes], number: int, folder: Path, deadline: float) -> Seen:
    try:
        code = process.wait(max(0.0, deadline - time.monotonic()))
        ended = f"its process ended with exit code {code}"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        ended = "its process came to no end and was killed"
    try:
        observations = Observations.model_validate_json(_result(folder, number).read_bytes())
    except (OSError, ValidationError):
        observations = Observations()
    if observations.stage is Stage.DONE:
        return Seen(observations)
    said = _output(folder, number).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {said[-1][:LONGEST_TEXT]}" if said else ""
    return Seen(observations, f"{ended} while {observations.stage}{last}")


def _result(folder: Path, number: int) -> Path:
    return folder / f"result-{number}.json"


def _output(folder: Path, number: int) -> Path:
    return folder / f"output-{number}.txt"
