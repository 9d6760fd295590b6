"""Converts HTML to Markdown in a separate process that ends with the call."""

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
"""The longest time of one conversion."""

_RAW: Final = "Use raw=true to get its source."


@dataclass(frozen=True)
class Markdown:
    """A page's text. It is `incomplete` if parts were left out because they are nested too deeply."""

    text: str
    title: str
    incomplete: bool


async def to_markdown(html: str, base_url: str, *, memory: int, most: int) -> Markdown:
    """Convert a page; relative links are resolved against `base_url`.

    `memory` is in bytes, `most` is the longest result in characters.

    Raises:
        ToolError: The conversion took too long, took too much memory, or its result is too long.
    """
    request = {"html": html, "base_url": base_url, "memory": memory, "seconds": SECONDS, "most": most}
    try:
        with anyio.fail_after(SECONDS):
            returncode, output = await _run(json.dumps(request).encode())
    except TimeoutError:
        raise ToolError(f"Converting the page to Markdown took longer than {SECONDS} s. {_RAW}") from None
    if returncode != 0:
        raise ToolError(
            f"The page could not be converted to Markdown within {memory // 2**20} MiB and {SECONDS} s. {_RAW}"
        )
    answer = json.loads(output)
    if answer["markdown"] is None:
        raise ToolError(f"The page has more than {most:,} characters as Markdown. {_RAW}")
    return Markdown(answer["markdown"], " ".join(answer["title"].split()), answer["incomplete"])


async def _run(data: bytes) -> tuple[int, bytes]:
    """Send the worker its input, and return its exit status and its output. A cancelled call ends the worker."""
    with anyio.CancelScope(shield=True):
        # A start that is cancelled halfway could leave the process running.
        # -P: without it, the modules beside the script could be imported as top-level modules.
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
    """Return the variables that the worker needs to start. Secrets in this process's environment are left out."""
    names = ("PATH", "SYSTEMROOT", "VIRTUAL_ENV", "LANG", "LC_ALL")
    prefixes = ("PYTHON", "LD_", "DYLD_")
    return {name: value for name, value in os.environ.items() if name in names or name.startswith(prefixes)}


async def _feed(stdin: ByteSendStream, data: bytes) -> None:
    # If the worker has already ended, its exit status says why.
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stdin.send(data)
    await stdin.aclose()
