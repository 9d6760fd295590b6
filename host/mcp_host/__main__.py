"""`mcp-host` and `python -m mcp_host`."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence

_GRACE = 3.0
"""Seconds that threads of plugins get to end by themselves once the command is done."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 the request failed, 2 it could not be made.

    `argv` is what follows the program's name; without it, this is the process's own command, and its end.
    """
    from mcp_host.cli import run_cli

    if argv is not None:
        return run_cli(argv)
    from mcp_host.system.streams import whole_process

    whole_process.set(True)
    code = run_cli(sys.argv[1:])
    if _threads_remain():
        # A thread that is stuck in a plugin's function cannot be stopped, and Python would wait for it for ever.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    return code


def _threads_remain() -> bool:
    deadline = time.monotonic() + _GRACE
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    waited_for = [thread for thread in others if not thread.daemon]
    for thread in waited_for:
        thread.join(max(0.0, deadline - time.monotonic()))
    return any(thread.is_alive() for thread in waited_for)


if __name__ == "__main__":
    sys.exit(main())
