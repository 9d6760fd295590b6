"""Keeps the standard streams for their owner: the protocol while serving over stdio, otherwise the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from typing import TextIO


def _flush() -> None:
    # sys.__stdout__ as well: a test runner or a notebook may have put another stream in its place.
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        if stream is not None:
            with suppress(ValueError, OSError):
                stream.flush()


def open_closed_streams() -> None:
    """Open os.devnull for each of the three standard streams that the parent process closed (`2>&-`)."""
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(null)
    # Python has None for each stream that was closed when it started.
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            stream = os.fdopen(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


@contextmanager
def own_stdout(*, to_the_end: bool = False) -> Iterator[TextIO]:
    """Yield a private stream to the real stdout. During the block, all other writes to stdout go to stderr.

    The descriptor is moved, not only `sys.stdout`, so that C code and child processes cannot write to it either. With
    `to_the_end`, it stays moved after the block. This is for a process that ends then: output of threads, exit handlers
    and C buffers must not come after the owner's last line.
    """
    _flush()
    open_closed_streams()
    saved = os.dup(1)
    os.set_inheritable(saved, False)
    os.dup2(2, 1)
    stream = os.fdopen(saved, "w", encoding="utf-8", closefd=False)
    try:
        with redirect_stdout(sys.stderr):
            yield stream
    finally:
        _flush()
        with suppress(ValueError, OSError):
            stream.flush()
        if not to_the_end:
            os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send everything that is written to stdout during the block to stderr."""
    with own_stdout():
        yield


@dataclass(frozen=True)
class OwnStdin:
    """The real stdin, as a separate descriptor."""

    fileno: int
    is_terminal: bool


@contextmanager
def own_stdin() -> Iterator[OwnStdin]:
    """Yield the real stdin. During the block, descriptor 0 is empty for all others, also for child processes."""
    real = os.dup(0)
    os.set_inheritable(real, False)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        # It is not closed: a thread may still wait for the client's next line when the server ends.
        yield OwnStdin(real, os.isatty(real))
    finally:
        os.dup2(real, 0)
