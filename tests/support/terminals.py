"""A command on a pseudo-terminal: what it shows, and what is typed."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

LONGEST = 60.0
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl+C reaches the command
os.execv(sys.argv[1], sys.argv[1:])
"""


class Command(Protocol):
    """What can be started: the words of a command, its folder and its environment."""

    @property
    def command(self) -> list[str]: ...

    @property
    def folder(self) -> Path: ...

    def environment(self, more: Mapping[str, str]) -> dict[str, str]: ...


class Screen:
    """A process on a pseudo-terminal, and what it has shown so far."""

    def __init__(self, args: list[str], cli: Command, columns: int, env: Mapping[str, str]) -> None:
        self._master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {key: value for key, value in cli.environment(env).items() if key not in ("COLUMNS", "LINES")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *args],
            cwd=cli.folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self._watchdog = threading.Timer(LONGEST, self._process.kill)
        self._watchdog.start()
        self.shown = ""

    def until(self, text: str) -> None:
        """Read until the text is shown."""
        while text not in self.shown:
            more = self._read()
            assert more, f"no {text!r} in {self.shown!r}"

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        return self._process.wait(LONGEST)

    def close(self) -> None:
        self._watchdog.cancel()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    def _read(self) -> str:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # on Linux: no process has the terminal open any more
            return ""
        text = data.decode(errors="replace").replace("\r\n", "\n")
        self.shown += text
        return text or "\n"


@contextmanager
def screen(cli: Command, *args: str, columns: int = 100, env: Mapping[str, str] | None = None) -> Iterator[Screen]:
    started = Screen([*cli.command, *args], cli, columns, env or {})
    try:
        yield started
    finally:
        started.close()
