"""Keeps whoever writes to stderr from waiting for a client that does not read it."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from mcp_host.system.ending import whole_process
from mcp_host.system.streams import open_closed_streams

logger = logging.getLogger(__name__)

_MOST: Final = 256 * 1024
"""How many bytes are kept for a client that does not read. The rest is dropped."""
_CHUNK: Final = 64 * 1024
_WRITE: Final = 4096
_LAST_WORDS: Final = 1.0
"""Seconds that a client gets at the end to read what is left."""
_END: Final = b"\0"


@contextmanager
def drained_stderr() -> Iterator[None]:
    """During the block, put a pipe in place of a stderr that is a pipe or a socket, and pass on what is written.

    No write to descriptor 2 waits for the client, whether Python, C or a child process writes. What does not fit is
    dropped, and the log has the number of bytes once the client reads again. Files and terminals are left alone.
    Afterwards, descriptor 2 is the real stderr again, or nothing if the client still does not read it. Descriptor 1 is
    treated in the same way if it was made a copy of descriptor 2 meanwhile.
    """
    open_closed_streams()
    mode = os.fstat(2).st_mode
    if not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
        yield
        return
    real = os.dup(2)
    source, sink = os.pipe()
    os.set_inheritable(real, False)
    os.dup2(sink, 2)
    drain = _Drain(source, sink, real)
    pipe = os.fstat(sink)
    countdown = whole_process.get()
    if countdown is not None:
        # The threads of the pipe end with the process, and with them what is in it.
        countdown.stderr, countdown.flush = real, drain.finish
    try:
        yield
    finally:
        if countdown is not None:
            countdown.stderr, countdown.flush = 2, lambda seconds: None
        afterwards = real if drain.finish(_LAST_WORDS) else os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            with suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), pipe):
                    os.dup2(afterwards, descriptor)


class _Drain:
    """Two threads: one reads the pipe and never waits for the client, the other one writes to the client."""

    def __init__(self, source: int, sink: int, real: int) -> None:
        self._source = source
        self._sink = sink
        self._real = real
        self._kept = bytearray()
        self._dropped = 0
        self._ending = False
        self._read_all = False
        self._gone = False
        self._changed = threading.Condition()
        for work in (self._read, self._write):
            threading.Thread(target=work, name="mcp-host stderr", daemon=True).start()

    def finish(self, timeout: float) -> bool:
        """Return whether everything was written to the client within so many seconds."""
        with self._changed:
            self._ending = True
        os.write(self._sink, _END)
        with self._changed:
            self._changed.wait_for(lambda: self._gone or (self._read_all and not self._kept), timeout)
            return self._read_all and not self._kept

    def _read(self) -> None:
        while not self._read_all:
            data = os.read(self._source, _CHUNK)
            with self._changed:
                if self._ending and _END in data:
                    before, _, after = data.rpartition(_END)
                    data = before + after
                    self._read_all = True
                self._keep(data)
                self._changed.notify_all()

    def _keep(self, data: bytes) -> None:
        if self._gone:
            return
        room = 0 if self._dropped else _MOST - len(self._kept)
        self._kept += data[:room]
        if len(data) > room:
            if not self._dropped and not self._kept.endswith(b"\n"):
                self._kept += b"\n"
            self._dropped += len(data) - room

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._kept or self._dropped)
                chunk, dropped = bytes(self._kept[:_WRITE]), 0
                if not chunk:
                    dropped, self._dropped = self._dropped, 0
            if dropped:
                logger.warning("%d bytes of stderr were dropped, because the client did not read them", dropped)
                continue
            try:
                written = os.write(self._real, chunk)
            except OSError:
                written = len(chunk)
                self._gone = True
            with self._changed:
                del self._kept[:written]
                if self._gone:
                    self._kept.clear()
                    self._dropped = 0
                self._changed.notify_all()
            if self._gone:
                return
