"""Keeps stdin for the protocol from before the first plugin is imported, and lets it be ended from here."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class OwnStdin:
    """The real stdin, held back: until `give_back`, file descriptor 0 is empty for everyone, child processes too."""

    def __init__(self) -> None:
        self._real = os.dup(0)
        os.set_inheritable(self._real, False)
        self.is_terminal = os.isatty(self._real)
        self._null = os.open(os.devnull, os.O_RDWR)
        self._write: int | None = None
        os.dup2(self._null, 0)

    def give_back(self) -> None:
        """Put a pipe that the real stdin is copied into in its place.

        A reader of the real one cannot be stopped: a thread blocked in a read waits until the client writes.
        """
        read, self._write = os.pipe()
        os.dup2(read, 0)
        os.close(read)
        threading.Thread(target=self._copy, args=(self._write,), name="stdin", daemon=True).start()

    def end(self) -> None:
        """Let the reader see the end of the input, as if the client had left."""
        if self._write is not None:
            # Not closed: its number could be another file's by the time the copying thread writes to it.
            os.dup2(self._null, self._write)

    def close(self) -> None:
        """Put the real stdin back."""
        self.end()
        os.dup2(self._real, 0)

    def _copy(self, write: int) -> None:
        # Nobody reads any more once the server has ended.
        with suppress(OSError):
            while data := os.read(self._real, 65536):
                while data:
                    data = data[os.write(write, data) :]
        self.end()


@contextmanager
def own_stdin() -> Iterator[OwnStdin]:
    """Hold stdin back for the block."""
    stdin = OwnStdin()
    try:
        yield stdin
    finally:
        stdin.close()
