"""The processes of a session (`setsid`): what the host starts gets one, and is ended with all that is in it.

A process that a server moves into a session of its own, as a browser that it opens, is meant to outlive it and is left
alone. A process group would be too small: a shell, or `timeout`, moves what it starts into another one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

logger = logging.getLogger(__name__)

_LONGEST = 0.3
"""Seconds to wait for processes to be gone that were killed."""

_ROUNDS = 3
"""How often new processes of a session are looked for, because one may be started while the others are killed."""


async def end_session(session: int) -> None:
    """Kill the processes of a session, and wait for a moment until they are gone.

    Outside of Linux, only those of its first process group are killed. All are killed before the first wait.
    """
    if sys.platform != "linux":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
        return
    handles: dict[int, int] = {}
    try:
        for _ in range(_ROUNDS):
            found = dict(_members(session, known=handles))
            if not found:
                break
            handles |= found
            for handle in found.values():
                with suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST):
                for handle in handles.values():
                    await _gone(handle)
    finally:
        for handle in handles.values():
            os.close(handle)


def _members(session: int, *, known: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield the processes of a session that are not known, with descriptors, which outlive a second use of an id."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) not in known and _session_of(entry) == session:
            with suppress(ProcessLookupError, PermissionError):
                handle = os.pidfd_open(int(entry))
                if _session_of(entry) == session:
                    yield int(entry), handle
                else:
                    os.close(handle)


def _session_of(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[3]) if len(fields) > 3 else None


async def _gone(handle: int) -> None:
    """Wait until a process has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)


_GUARD = f"""
while read -r line; do sessions=$line; done
[ -n "$sessions" ] || exit 0
for round in {" ".join(map(str, range(_ROUNDS)))}; do
    for stat in /proc/[0-9]*/stat; do
        read -r line < "$stat" || continue
        set -- ${{line##*) }}
        case " $sessions " in *" $4 "*) kill -9 "${{line%% *}}" ;; esac
    done
done
"""
"""Reads a line for each change, with all sessions. At the end of its stdin, it kills the processes of the last ones."""


class Guard:
    """Kills the sessions that the host has started when the host itself is killed. On Linux only.

    It is a small shell, in a session of its own, which runs while there is a session. The kernel closes its stdin when
    the host is gone.
    """

    def __init__(self) -> None:
        self._sessions: list[int] = []
        self._shell: subprocess.Popen[bytes] | None = None

    @contextmanager
    def over(self, session: int) -> Iterator[None]:
        """Guard a session for the block, which ends it."""
        self._sessions.append(session)
        self._write()
        try:
            yield
        finally:
            self._sessions.remove(session)
            self._write()

    def _write(self) -> None:
        if sys.platform != "linux":
            return
        line = f"{' '.join(map(str, self._sessions))}\n".encode()
        try:
            shell = self._running()
            assert shell.stdin is not None
            shell.stdin.write(line)
            if not self._sessions:
                self._shell = None
                shell.communicate()
        except OSError as error:
            # The kernel still kills the servers themselves: see `upstream/launcher.py`.
            logger.debug("what servers start is not guarded: %s", error)

    def _running(self) -> subprocess.Popen[bytes]:
        shell = self._shell
        if shell is None or shell.poll() is not None:
            shell = self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
        return shell
