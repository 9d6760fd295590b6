"""`python -m soak run --seconds N` soaks a host and prints the result. `load URL SECONDS` is its load process."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import anyio

from soak.soaking import Soaked, soak_http

ROUND = 50.0
"""Seconds of load between two samples."""


def _progress(soaked: Soaked) -> None:
    wrong = len(soaked.tally.wrong)
    print(f"{soaked.seconds:.0f} s, {soaked.tally.done.total()} actions, {wrong} wrong", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--seconds", type=float, default=3600)
    loading = commands.add_parser("load")
    loading.add_argument("url")
    loading.add_argument("seconds", type=float)
    options = parser.parse_args()
    if options.command == "load":
        from soak.load import load

        tally = anyio.run(load, options.url, options.seconds)
        print(json.dumps({"done": tally.done, "wrong": tally.wrong}))
        return
    soaking = partial(soak_http, at_least=options.seconds, after=_progress)
    with tempfile.TemporaryDirectory() as folder:
        soaked = anyio.run(soaking, Path(folder), 4, min(ROUND, options.seconds / 6))
    print(json.dumps({"load": os.getloadavg()[0], **soaked.report()}, indent=2))
    sys.exit(1 if soaked.tally.wrong or soaked.exit_code else 0)


if __name__ == "__main__":
    main()
