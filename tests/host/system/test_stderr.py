"""A client that does not read stderr holds up nobody who writes to it, and loses nothing if it reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LONGEST = 60
WRITERS = {
    "print": "print('x' * 99, file=sys.stderr)",
    "stdout": "print('x' * 99)",
    "descriptor": "os.write(2, b'x' * 99 + b'\\n')",
    "child": "subprocess.run([sys.executable, '-c', 'import os; os.write(2, b\"x\" * 99 + b\"\\\\n\")'])",
    "log": "logging.warning('x' * 99)",
}
PROGRAM = """
import logging, os, subprocess, sys
from mcp_host.system.stderr import drained_stderr
from mcp_host.system.streams import own_stdout

with drained_stderr(), own_stdout(to_the_end=True) as stdout:
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    for _ in range(int(sys.argv[1])):
        {write}
    print("written", file=stdout, flush=True)
    sys.stdin.readline()
    print("last words", file=sys.stderr)
os.write(1, b"after 1\\n")
os.write(2, b"after 2\\n")
"""


def start(writer: str, count: int, stderr: int) -> subprocess.Popen[str]:
    program = PROGRAM.replace("{write}", WRITERS[writer])
    return subprocess.Popen(
        [sys.executable, "-c", program, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


@pytest.mark.parametrize("writer", ["print", "stdout", "descriptor", "log"])
def test_nobody_waits_for_a_client_that_does_not_read(writer: str) -> None:
    unread, stderr = os.pipe()
    with start(writer, 20_000, stderr) as process:
        os.close(stderr)
        # 2 MB were written, far more than a pipe holds.
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        # The end is not held up either, nor is what is written after the block.
        process.communicate("\n", timeout=LONGEST)
    os.close(unread)
    assert process.returncode == 0


@pytest.mark.parametrize("writer", [*WRITERS])
def test_a_client_that_reads_gets_everything_in_order(writer: str) -> None:
    count = 3 if writer == "child" else 1000
    with start(writer, count, subprocess.PIPE) as process:
        out, err = process.communicate("\n", timeout=LONGEST)
    assert out == "written\n"
    assert err.splitlines() == [*["x" * 99] * count, "last words", "after 1", "after 2"]


def test_a_client_that_reads_later_learns_how_much_was_dropped() -> None:
    with start("print", 20_000, subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "written\n"
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "dropped" in line:
                break
        process.communicate("\n", timeout=LONGEST)
    dropped = re.fullmatch(r"(\d+) bytes of stderr were dropped, because the client did not read them\n", lines[-1])
    assert dropped is not None
    kept = sum(map(len, lines[:-1]))
    assert kept > 256 * 1024
    assert abs(kept + int(dropped[1]) - 20_000 * 100) <= 1, "a cut line gets an end"


def test_a_client_that_closes_its_end_stops_nobody() -> None:
    reading, stderr = os.pipe()
    with start("descriptor", 20_000, stderr) as process:
        os.close(stderr)
        os.close(reading)
        out, _ = process.communicate("\n", timeout=LONGEST)
    assert out == "written\n"


def test_a_file_is_written_directly(tmp_path: Path) -> None:
    program = "import os, sys; from mcp_host.system.stderr import drained_stderr\n"
    program += "before = os.fstat(2).st_ino\nwith drained_stderr(): assert os.fstat(2).st_ino == before"
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([sys.executable, "-c", program], stderr=log, check=True)
