"""Starts the worker and asks it. Any thread of the host may ask, and each gets its own answer."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.worker.messages import Answer, Request, Setup, receive, send

VARIABLES = (
    "PATH",
    "SYSTEMROOT",
    "VIRTUAL_ENV",
    "LANG",
    "LC_ALL",
    "TZ",
    "HOME",
    "TMPDIR",
    "TEMP",
    "TMP",
    "MPLCONFIGDIR",
)
PREFIXES = ("PYTHON", "LD_", "DYLD_")

ENDING = 5.0
"""Seconds that the worker has to end by itself."""


class WorkerEndedError(Exception):
    """The worker has ended before it answered."""


class NotTakenError(WorkerEndedError):
    """The worker had ended before it got the request."""


class FatalError(Exception):
    """DuckDB in the worker cannot be used any more. The text is for the caller."""


class Worker:
    """A running worker. Its methods block."""

    def __init__(self, setup: Setup) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Answer]] = {}
        self._sending = threading.Lock()
        self._reads = True
        self._unusable = False
        self._process = subprocess.Popen(
            # -P: without it, modules in the current folder could be imported.
            [sys.executable, "-P", "-m", "mcp_plugin_stats.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
        )
        send(self._stdin, setup)
        self._reader = threading.Thread(target=self._read, name="stats worker", daemon=True)
        self._reader.start()

    @property
    def _stdin(self) -> Any:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def pid(self) -> int:
        """The id of the worker's process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process has ended, or must be replaced: DuckDB in it has failed, or had not enough memory.

        Where memory was not enough once, any step of Python can fail, too, also without an answer.
        """
        return self._unusable or self._process.poll() is not None

    @property
    def idle(self) -> bool:
        """Whether no work runs."""
        return not self._waiting

    def unanswered(self, number: int) -> bool:
        """Return whether some work still runs."""
        return number in self._waiting

    def number(self) -> int:
        """Return a new number for some work."""
        return next(self._numbers)

    def call(self, number: int, work: Callable[[Any, Any], Any]) -> Any:
        """Return the result of `work(desk, task)` in the worker.

        Raises:
            DataError: The work was refused; the text is for the caller.
            FileNotFoundError: A file is missing.
            FatalError: The worker must be replaced.
            WorkerEndedError: The worker has ended. If the request has not reached it, this is a NotTakenError.
        """
        future: Future[Answer] = Future()
        self._waiting[number] = future
        try:
            with self._sending:
                send(self._stdin, Request(number, work))
        except (OSError, ValueError):
            self._waiting.pop(number, None)
            raise NotTakenError from None
        if not self._reads and self._waiting.pop(number, None) is not None:
            raise NotTakenError
        answer = future.result()
        match answer.kind:
            case "done":
                return answer.value
            case "refused":
                raise DataError(answer.value)
            case "missing":
                raise FileNotFoundError(answer.value)
            case "fatal":
                self._unusable = True
                raise FatalError(answer.value)
            case "exhausted":
                self._unusable = True
                raise DataError(answer.value)
            case "failed":
                raise RuntimeError(answer.value)

    def stop(self, number: int) -> None:
        """Interrupt some work."""
        with contextlib.suppress(OSError, ValueError), self._sending:
            send(self._stdin, Request(number, None))

    def kill(self) -> None:
        """End the worker at once. All work fails."""
        self._process.kill()

    def close(self) -> None:
        """End the worker: politely at first."""
        with contextlib.suppress(OSError, ValueError), self._sending:
            self._stdin.close()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        stream: Any = self._process.stdout
        with contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                answer: Answer = receive(stream)
                future = self._waiting.pop(answer.number, None)
                if future is not None:
                    future.set_result(answer)
        # Each side first sets its own state and then reads the other's, so no request is left without an answer.
        self._reads = False
        while self._waiting:
            _, future = self._waiting.popitem()
            future.set_exception(WorkerEndedError())


def _environment() -> dict[str, str]:
    """Return the variables that the worker needs. Secrets in this process's environment are left out."""
    kept = {name: value for name, value in os.environ.items() if name in VARIABLES or name.startswith(PREFIXES)}
    # The host may have been started with other folders of modules than the interpreter has by itself.
    own = str(Path(__file__).parents[2])
    return kept | {"PYTHONPATH": os.pathsep.join([*filter(None, sys.path), own])}
