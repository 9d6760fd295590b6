"""Writes to stdout by every means there is."""

import atexit
import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp_host import Plugin, PluginContext

SHOUT = "NOISE"
libc = ctypes.CDLL(None)


def in_c(when: str, *, flushed: bool) -> None:
    line = f"{SHOUT} of C {when}\n".encode()
    libc.write(1, line, len(line))
    # The buffer of C's stdio: it is written when the process ends.
    libc.printf(b"%s", f"{SHOUT} of printf {when}\n".encode())
    if flushed:
        libc.fflush(None)


def on_and_on() -> None:
    while True:
        os.write(1, f"{SHOUT} of a thread that goes on\n".encode())
        written.set()
        if enough.wait(0.001):
            return


def at_exit() -> None:
    print(f"{SHOUT} at exit\n", end="", flush=True)
    os.write(1, f"{SHOUT} raw at exit\n".encode())
    in_c("at exit", flushed=False)


print(f"{SHOUT} at import\n", end="", flush=True)
os.write(1, (SHOUT + " raw at import\n").encode())
subprocess.run([sys.executable, "-c", f"print({SHOUT!r} + ' of a child at import')"], check=True)
in_c("at import", flushed=True)
in_c("at import, unflushed", flushed="NOISE_TO_THE_END" not in os.environ)
written, enough = threading.Event(), threading.Event()
if "NOISE_TO_THE_END" in os.environ:  # not in the process of the tests, which continues
    atexit.register(at_exit)
    threading.Thread(target=on_and_on, daemon=True).start()
    written.wait()


@asynccontextmanager
async def lifespan(plugin: PluginContext) -> AsyncIterator[None]:
    shout("at the start")
    yield
    shout("at the stop")


plugin = Plugin(lifespan=lifespan)


def shout(when: str) -> None:
    print(f"{SHOUT} {when}\n", end="", flush=True)  # in one write, as other threads write too
    sys.stdout.write(f"{SHOUT} written {when}\n")
    assert sys.__stdout__ is not None
    sys.__stdout__.write(f"{SHOUT} written to __stdout__ {when}\n")
    sys.__stdout__.flush()
    os.write(1, f"{SHOUT} raw {when}\n".encode())
    os.system(f"echo {SHOUT} of the shell {when}")
    subprocess.run([sys.executable, "-c", f"print({SHOUT!r}, 'of a child', {when!r})"], check=True)
    in_c(when, flushed=True)


@plugin.tool
def noise() -> str:
    """Make noise in a thread."""
    shout("in a thread")
    return "quiet"


@plugin.tool
async def noise_on_the_loop() -> str:
    """Make noise on the event loop, and read stdin as well."""
    shout("on the loop")
    return repr(sys.stdin.read() if sys.stdin else None)


@plugin.tool
def outlive() -> str:
    """Leave a child behind that writes to stdout when the host is gone."""
    source = f"import os, sys; sys.stdin.read(); os.write(1, b'{SHOUT} of a child that outlives\\n')"
    reading, _ = os.pipe()
    os.set_inheritable(reading, True)
    # Its stdin ends with the host, which holds the other end of the pipe.
    subprocess.Popen([sys.executable, "-c", source], stdin=reading, start_new_session=True)
    os.close(reading)
    return "quiet"


@plugin.tool
async def fall_silent() -> str:
    """End the thread that goes on."""
    enough.set()
    return "quiet"


@plugin.resource("noise://one")
def one() -> str:
    """Make noise in a resource."""
    shout("in a resource")
    return "quiet"


@plugin.prompt
def noisy() -> str:
    """Make noise in a prompt."""
    shout("in a prompt")
    return "quiet"
