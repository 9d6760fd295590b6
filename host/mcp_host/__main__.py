"""`mcp-host` and `python -m mcp_host`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_GRACE = 3.0
"""Seconds that threads and exit handlers of plugins get to end by themselves once the command is done."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 the request failed, 2 it could not be made.

    `argv` is what follows the program's name; without it, this is the process's own command, and its end.
    """
    from mcp_host.cli import run_cli

    if argv is not None:
        return run_cli(argv)
    from mcp_host.system.ending import Countdown, whole_process
    from mcp_host.system.streams import open_closed_streams

    open_closed_streams()
    countdown, code = Countdown(), 1
    whole_process.set(countdown)
    try:
        code = run_cli(sys.argv[1:])
    finally:
        # A thread that is stuck in a plugin's function cannot be stopped, and Python would wait for it for ever.
        countdown.command_has_ended(code, _GRACE)
    return code


if __name__ == "__main__":
    sys.exit(main())
