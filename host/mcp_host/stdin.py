"""Keeps stdin for the protocol from before the first plugin is imported: nobody else reads it, nor hands it on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class OwnStdin:
    """The real stdin, as a descriptor of its own."""

    fileno: int
    is_terminal: bool


@contextmanager
def own_stdin() -> Iterator[OwnStdin]:
    """Yield the real stdin; for the block, descriptor 0 is empty for everyone else, child processes too."""
    real = os.dup(0)
    os.set_inheritable(real, False)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        # Left open: a thread may still wait for the client's next line when the server ends.
        yield OwnStdin(real, os.isatty(real))
    finally:
        os.dup2(real, 0)
