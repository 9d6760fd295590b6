"""Turns HTML into Markdown, in a process of its own that ends with the call."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import ByteSendStream

from mcp_host import ToolError

WORKER: Final = Path(__file__).with_name("worker.py")

SECONDS: Final = 20
"""What one conversion may take."""

_RAW: Final = "Its source can be had with raw=true."


@dataclass(frozen=True)
class Markdown:
    """A page's text. `incomplete` when parts of it are nested too deeply to be shown."""

    text: str
    title: str
    incomplete: bool


async def to_markdown(html: str, base_url: str, *, memory: int, most: int) -> Markdown:
    """Convert a page; relative links are resolved against `base_url`.

    `memory` is in bytes, `most` the characters that the result may have.

    Raises:
        ToolError: The conversion took too long, too much memory, or came out too long.
    """
    request = {"html": html, "base_url": base_url, "memory": memory, "seconds": SECONDS, "most": most}
    try:
        with anyio.fail_after(SECONDS):
            returncode, output = await _run(json.dumps(request).encode())
    except TimeoutError:
        raise ToolError(f"Turning the page into Markdown took longer than {SECONDS} s. {_RAW}") from None
    if returncode != 0:
        raise ToolError(
            f"The page could not be turned into Markdown within {memory // 2**20} MiB and {SECONDS} s. {_RAW}"
        )
    answer = json.loads(output)
    if answer["markdown"] is None:
        raise ToolError(f"The page has more than {most:,} characters as Markdown. {_RAW}")
    return Markdown(answer["markdown"], " ".join(answer["title"].split()), answer["incomplete"])


async def _run(data: bytes) -> tuple[int, bytes]:
    """Give the worker its input; return its exit status and what it wrote. A cancelled call ends it."""
    with anyio.CancelScope(shield=True):
        # A start that is cut short could leave the process behind.
        # -P: the modules beside the script are this package's, not top-level ones.
        process = await anyio.open_process(
            [sys.executable, "-P", str(WORKER)], stderr=subprocess.DEVNULL, env=_environment()
        )
    assert process.stdin is not None
    assert process.stdout is not None
    async with process, anyio.create_task_group() as tasks:
        tasks.start_soon(_feed, process.stdin, data)
        output = b"".join([part async for part in process.stdout])
        await process.wait()
    assert process.returncode is not None
    return process.returncode, output


def _environment() -> dict[str, str]:
    """What the worker needs to start: the secrets that this process may have been given are none of it."""
    names = ("PATH", "SYSTEMROOT", "VIRTUAL_ENV", "LANG", "LC_ALL")
    prefixes = ("PYTHON", "LD_", "DYLD_")
    return {name: value for name, value in os.environ.items() if name in names or name.startswith(prefixes)}


async def _feed(stdin: ByteSendStream, data: bytes) -> None:
    # A worker that is gone by then says why with its exit status.
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stdin.send(data)
    await stdin.aclose()
