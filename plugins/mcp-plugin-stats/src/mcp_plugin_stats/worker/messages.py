"""The messages between the host's process and the worker: pickled objects, each after its length."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

LARGEST = 32 << 20
"""Most bytes of a message."""

_LENGTH = struct.Struct("!I")


@dataclass(frozen=True)
class Setup:
    """The first message to the worker. `copies` are the data sets that were loaded by an earlier worker."""

    folder: Path
    memory: int
    memory_limit: str
    copies: tuple[tuple[str, Path], ...]


@dataclass(frozen=True)
class Request:
    """Do `work`, which gets the desk and the task, or stop the work with this number (`work` is None)."""

    number: int
    work: Callable[[Any, Any], Any] | None


@dataclass(frozen=True)
class Answer:
    """The result of some work. `kind` says whether `value` is it, or the text of an error.

    After `exhausted` (there was not enough memory) and `fatal`, the worker must be replaced.
    """

    number: int
    kind: Literal["done", "refused", "missing", "exhausted", "fatal", "failed"]
    value: Any


def send(stream: BinaryIO, message: object) -> None:
    """Write a message. Raises ValueError if it is too large."""
    data = pickle.dumps(message)
    if len(data) > LARGEST:
        raise ValueError(f"the message has {len(data):,} bytes")
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read a message. Raises EOFError if the other side has ended."""
    start = stream.read(_LENGTH.size)
    if len(start) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(start)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)
