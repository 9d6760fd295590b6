"""The entry of the worker: `python -m mcp_plugin_stats.worker`. Requests are on stdin, answers on stdout."""

from __future__ import annotations

import os
import sys

from mcp_plugin_stats.worker.desk import main

if __name__ == "__main__":
    # What a library prints goes to the log, not between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        main(sys.stdin.buffer, answers)
    finally:
        # Threads may still work for a host that has ended.
        os._exit(0)
