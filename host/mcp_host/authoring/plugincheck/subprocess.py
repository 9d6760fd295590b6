"""Examines a plugin in parallel fresh interpreters: starts them, runs in them, and reads their results."""

from __future__ import annotations

import importlib
import json
import logging
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
    "from mcp_host.authoring.plugincheck.subprocess import main; main(*sys.argv[2:])"
)
_LOUD = ("PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONVERBOSE", "PYTHONPROFILEIMPORTTIME", "PYTHONSTARTUP")
"""Variables that make Python itself print. The output would look like the plugin's."""

PRELOADED = ("mcp_host.context", "mcp_host.authoring.plugincheck.lifecycle", "mcp.server.mcpserver")
"""Modules that a running host imports before its first plugin. The plugin is not the cause of their effects."""


@dataclass(frozen=True)
class Seen:
    """What one process observed. `ended` is how it ended, if that was too early."""

    observations: Observations
    ended: str = ""


def look_at(subjects: Sequence[Subject], *, path: Sequence[str], folder: Path, timeout: float) -> tuple[Seen, ...]:
    """Examine each subject in its own interpreter. They run in parallel, each with a different hash seed.

    `path` is their `sys.path`. `folder` is for their files. `timeout` is the seconds for all of them together.
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
        ended = "its process did not end and was killed"
    try:
        observations = Observations.model_validate_json(_result(folder, number).read_bytes())
    except (OSError, ValidationError):
        observations = Observations()
    if observations.stage is Stage.DONE:
        return Seen(observations)
    lines = _output(folder, number).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {lines[-1][:LONGEST_TEXT]}" if lines else ""
    return Seen(observations, f"{ended} while {observations.stage}{last}")


def _result(folder: Path, number: int) -> Path:
    return folder / f"result-{number}.json"


def _output(folder: Path, number: int) -> Path:
    return folder / f"output-{number}.txt"


# What runs in the fresh interpreter


def main(subject_file: str, result_file: str) -> None:
    """Read a `Subject`, and write its `Observations` again after each step."""
    subject = Subject.model_validate_json(Path(subject_file).read_text(encoding="utf-8"))
    seen = Observations()
    result = Path(result_file)

    def save() -> None:
        # Replaced as a whole: this process may be killed at any moment.
        draft = result.with_suffix(".draft")
        draft.write_text(seen.model_dump_json(), encoding="utf-8")
        draft.replace(result)

    for module in PRELOADED:
        importlib.import_module(module)
    logging.getLogger().addHandler(logging.NullHandler())
    save()

    from mcp_host.authoring.plugincheck.imports import watch_import
    from mcp_host.authoring.plugincheck.lifecycle import examine

    if subject.watch_import and subject.installed is not None:
        module = subject.installed.value.partition("[")[0].partition(":")[0].strip()
        # If it fails, loading imports it again and reports the host's own message.
        seen.imported = watch_import(module)
    seen.stage = Stage.LOADING
    examine(subject, seen, save)
