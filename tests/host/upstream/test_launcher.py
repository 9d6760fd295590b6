"""Programs start within their limits, and end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from mcp_host.config import Limits
from mcp_host.upstream.childhost import limited
from support.node import node

LONGEST = 60.0


def run(argv: list[str], limits: Limits | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        limited(argv, limits or Limits()), capture_output=True, text=True, timeout=LONGEST, check=False, **options
    )


def test_the_program_gets_its_arguments_its_variables_and_python_s_signals_undone() -> None:
    code = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environb[b'A'] == b'\\xff']))"
    done = subprocess.run(
        limited([sys.executable, "-c", code, "a b", "--", "-I"], Limits()),
        env={b"A": b"\xff"}, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ('[["a b", "--", "-I"], true]\n', "")
    shell = run(["/bin/sh", "-c", "env; kill -PIPE $$; echo ignored"], env={"A": "1"})
    assert "LC_CTYPE" not in shell.stdout
    assert (shell.returncode, "ignored" in shell.stdout) == (-signal.SIGPIPE, False)


@pytest.mark.parametrize(("program", "status"), [("there-is-no-such", 127), (os.fspath(Path(__file__)), 126)])
def test_a_program_that_cannot_start_is_reported_in_one_line(program: str, status: int) -> None:
    done = run([program])
    assert done.returncode == status
    assert done.stderr.startswith(f"{program} cannot be started: ")
    assert done.stderr.count("\n") == 1


PYTHON_TAKES = """
    taken = []
    for number in range(100):
        taken.append(bytearray(10_000_000))
    print("took 1 GB")
"""

NODE_TAKES = """
    const taken = [];
    for (let number = 0; number < 100; number++) taken.push(Buffer.alloc(10_000_000, 1));
    console.log("took 1 GB");
"""

NODE_TAKES_HEAP = """
    const taken = [];
    for (let number = 0; number < 12_000_000; number++) taken.push({ number, text: "n" + number });
    console.log("took 1 GB");
"""


@pytest.mark.parametrize(
    ("program", "code"),
    [([sys.executable, "-c"], PYTHON_TAKES), ([str(node()), "-e"], NODE_TAKES), ([str(node()), "-e"], NODE_TAKES_HEAP)],
    ids=["python", "node-buffers", "node-heap"],
)
def test_a_program_starts_within_its_memory_and_does_not_get_more(program: list[str], code: str) -> None:
    # On a busy machine, Node.js collects garbage for minutes before it gives up.
    limits = Limits(memory=256 * 1024 * 1024, cpu_time=20)
    good = run([*program, "/* */0" if "node" in program[0] else "0"], limits)
    assert (good.returncode, good.stderr) == (0, "")
    bad = run([*program, dedent(code)], limits)
    assert bad.returncode != 0
    assert "took 1 GB" not in bad.stdout


@pytest.mark.parametrize("program", [[sys.executable, "-c", "while 1: 0"], [str(node()), "-e", "for (;;);"]])
def test_a_program_ends_when_its_processor_time_is_used(program: list[str]) -> None:
    assert run(program, Limits(cpu_time=0.3)).returncode == -signal.SIGXCPU


def test_a_program_that_catches_the_first_signal_is_killed() -> None:
    code = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile 1: 0"
    assert run([sys.executable, "-c", code], Limits(cpu_time=1)).returncode == -signal.SIGKILL


def test_a_limit_of_the_host_itself_is_not_raised() -> None:
    code = (
        "import resource, subprocess, sys; from mcp_host.config import Limits\n"
        "from mcp_host.upstream.childhost import limited\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (50, 50))\n"
        "show = 'import resource; print(resource.getrlimit(resource.RLIMIT_CPU))'\n"
        "print(subprocess.check_output(limited([sys.executable, '-c', show], Limits(cpu_time=90)), text=True), end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONGEST, check=False)
    assert (done.stdout, done.stderr) == ("(50, 50)\n", "")


STUBBORN = """
    import signal, sys
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        signal.pause()
"""

HOST = """
    import asyncio, sys
    from mcp_host.config import Limits
    from mcp_host.upstream.childhost import limited

    async def main():
        child = await asyncio.create_subprocess_exec(
            *limited([sys.executable, "-c", sys.argv[1]], Limits()),
            stdin=asyncio.subprocess.PIPE, start_new_session=True,
        )
        await child.wait()

    asyncio.run(main())
"""


def test_a_program_that_ignores_everything_ends_with_a_killed_host() -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", dedent(HOST), dedent(STUBBORN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with host:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        host.kill()
        # The program has the same stdout, which ends with it.
        assert host.communicate(timeout=LONGEST)[0] == ""


def test_a_program_whose_host_ended_before_it_started_does_not_start() -> None:
    argv = limited([sys.executable, "-c", "print('started')"], Limits())
    argv[argv.index(str(os.getpid()))] = "1"
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the host has ended\n")


def test_the_launcher_needs_only_the_standard_library() -> None:
    source = Path(limited(["x"], Limits())[3]).read_text(encoding="utf-8")
    imported = {
        line.split()[1] for line in map(str.strip, source.splitlines()) if line.startswith(("import ", "from "))
    }
    assert imported - {"__future__"} <= sys.stdlib_module_names
