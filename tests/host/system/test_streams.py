"""Only its owner can use descriptor 1, even if the process was started without one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mcp_host.system.streams import own_stdout

PROGRAM = """
import os, sys
from mcp_host.system.streams import own_stdout

print("before", flush=True)
with own_stdout() as mine:
    print("stray")
    os.write(1, b"stray descriptor\\n")
    with own_stdout() as inner:
        print("stray inside")
        print("inner", file=inner)
    print("mine", file=mine)
print("after", flush=True)
"""


def run(redirections: str) -> tuple[str, str]:
    command = f'exec "$0" -c "$1" {redirections}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, PROGRAM], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_only_the_owner_writes_to_stdout_and_everybody_does_again_afterwards() -> None:
    out, err = run("")
    assert out.splitlines() == ["before", "mine", "after"]
    assert sorted(err.splitlines()) == ["inner", "stray", "stray descriptor", "stray inside"]


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_process_started_without_its_standard_streams_works(closed: str) -> None:
    out, err = run(closed)
    assert "stray" not in out
    if ">&-" not in closed.replace("2>&-", ""):
        assert out.splitlines() == ["before", "mine", "after"]
    if "2>&-" not in closed:
        assert "stray descriptor" in err


def test_the_descriptor_comes_back_when_the_block_raises(capfd: pytest.CaptureFixture[str]) -> None:
    def leave() -> None:
        with own_stdout():
            raise SystemExit

    with pytest.raises(SystemExit):
        leave()
    os.write(1, b"back")
    assert capfd.readouterr().out == "back"


def test_the_block_ends_in_order_when_its_stream_was_closed(capfd: pytest.CaptureFixture[str]) -> None:
    with own_stdout() as mine:
        mine.close()
    os.write(1, b"back")
    assert capfd.readouterr().out == "back"
