"""Sets limits on its own process, binds its life to its parent's, and becomes the program of its arguments.

It runs as a script, `python -I -S launcher.py PARENT MEMORY CPU PROGRAM ...`, so that the host needs no code between
fork and exec, which is unsafe beside threads. It imports only the standard library.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, memory: int, cpu: int, argv: list[str]) -> None:
    """Become the program, or end with status 127 if there is no such program, 126 if it cannot be started.

    `memory` is in bytes and `cpu` in seconds; 0 means no limit.
    """
    if sys.platform == "linux":
        _die_with(parent)
    environ = _environ()
    # Python ignores these signals, and a program inherits that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if cpu:
        # At the first number, the program is ended by SIGXCPU, which it may catch; at the second one, by SIGKILL.
        _limit(resource.RLIMIT_CPU, cpu, cpu + 1)
    if memory:
        # Not RLIMIT_AS: Node.js reserves far more addresses than it uses, and does not start below 1 GiB of them.
        _limit(resource.RLIMIT_DATA, memory, memory)
    try:
        os.execvpe(argv[0], argv, environ)
    except OSError as error:
        print(f"{argv[0]} cannot be started: {error.strerror or error}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the parent's thread that started it ends, also after exec."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the host has ended")


def _environ() -> dict[bytes, bytes]:
    """Return the variables that the parent gave. Python itself adds LC_CTYPE in the C locale (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = [pair.partition(b"=") for pair in file.read().split(b"\0") if pair]
    except OSError:
        return dict(os.environb)
    return {name: value for name, _, value in pairs}


def _limit(which: int, soft: int, hard: int) -> None:
    """Set a limit, but never raise one that the process has already."""
    most = resource.getrlimit(which)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(which, (soft, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
