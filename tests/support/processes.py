"""`mcp-host` as a separate process: run to its end, or read line by line while it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import IO, Any, AnyStr, Generic

from watchfiles import watch

LONGEST = 60.0
"""Seconds after which a test stops waiting for a process and fails."""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Child(Generic[AnyStr]):
    """A running program with pipes at its stdin and stdout. It is killed after `longest` seconds."""

    def __init__(self, process: subprocess.Popen[AnyStr], errors: Path, longest: float) -> None:
        self.errors = errors
        self.process: subprocess.Popen[AnyStr] = process
        self._longest = longest
        self._watchdog = threading.Timer(longest, process.kill)
        self._watchdog.start()

    @property
    def stdin(self) -> IO[AnyStr]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[AnyStr]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def err(self) -> str:
        return self.errors.read_text(encoding="utf-8", errors="replace")

    def wait(self) -> int:
        """Wait until the process ends, and return its exit code."""
        return self.process.wait(self._longest)

    def close(self) -> None:
        """Kill the process if it still runs, and close its pipes."""
        self._watchdog.cancel()
        if self.alive:
            self.process.kill()
        self.process.wait()
        for stream in (self.stdin, self.stdout):
            stream.close()


class Process(Child[str]):
    """A running program, whose stdout is read line by line."""

    def __init__(
        self, args: list[str], folder: Path, env: Mapping[str, str], errors: Path, *, longest: float = LONGEST
    ) -> None:
        with errors.open("wb") as file:
            process = subprocess.Popen(
                args, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )
        super().__init__(process, errors, longest)
        self._deadline = time.monotonic() + longest
        self.lines: list[str] = []
        self.url = ""

    def until(self, text: str) -> str:
        """Read stdout up to the line that contains the text, and return that line."""
        for line in self.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"no {text!r} in {self.lines} before the end; stderr:\n{self.err}")

    def until_logged(self, text: str) -> None:
        """Wait until stderr has the text."""
        for _ in watch(self.errors, step=10, debounce=10, rust_timeout=200, yield_on_timeout=True):
            if text in self.err:
                return
            assert time.monotonic() < self._deadline, f"no {text!r} in {self.err!r}"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until the process ends, close its pipes, and return its exit code."""
        try:
            return super().wait()
        finally:
            self.close()


TO_A_PIPE = ("bash", "-c", 'exec "$@" 2> >(exec cat >&2)', "bash")
"""Starts a command whose stderr is a pipe, as clients make it."""


@dataclass(frozen=True)
class Cli:
    """A folder with an mcp-host.toml, and `mcp-host` commands run in it with the plugins of `site` installed.

    `through` is the command that starts them, where another one does, and `program` is `mcp-host` itself.
    """

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    longest: float = LONGEST
    through: tuple[str, ...] = ()
    program: tuple[str, ...] = (sys.executable, "-m", "mcp_host")

    def config(self, text: str, name: str = "mcp-host.toml") -> Path:
        path = self.folder / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    @property
    def command(self) -> list[str]:
        return [*self.through, *self.program]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**self.env, **(extra or {})}

    def run(self, *args: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [*self.command, *args],
            cwd=self.folder,
            env=self.environment(env),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=self.longest,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def start(self, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
        """Start a command, and kill it at the end of the block if it still runs."""
        errors = self.folder / f"stderr-{len(list(self.folder.glob('stderr-*')))}.txt"
        command = [*self.command, *args]
        process = Process(command, self.folder, self.environment(env), errors, longest=self.longest)
        try:
            yield process
        finally:
            process.close()

    @contextmanager
    def serve(self, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
        """Serve over HTTP on a free port. The block runs when connections are accepted."""
        with self.start("run", "--transport", "http", "--port", "0", *args, env=env) as process:
            process.stdin.close()
            process.url = process.until("Serving ").split(" at ")[1].strip()
            process.until("Ctrl+C")
            yield process


def environment_of(site: Path, home: Path) -> dict[str, str]:
    """Return the environment of this process without variables of mcp-host, with the folder `site` on its path."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MCP_", "GOOD_", "PYTHONPATH"))}
    return {**env, "PYTHONPATH": str(site), "HOME": str(home), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def run_together(commands: Sequence[Sequence[str]]) -> None:
    """Run programs at the same time. Each writes `ready`, and goes on when it has read a line. All must succeed."""
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in commands
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
