"""Converts HTML to Markdown and PDF to text in a separate process that ends with the call."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import anyio
from anyio.abc import ByteSendStream

from mcp_host import ToolError

SECONDS: Final = 20
"""The longest time of one conversion."""

_FACTS: Final = 2**16
"""The most bytes of the line that says what is known of the page."""

_RAW: Final = "Use raw=true to get its source."


@dataclass(frozen=True)
class Converted:
    """A text, and what the worker found out about its page or PDF (see `mcp_plugin_fetch_worker`)."""

    text: str
    facts: Mapping[str, Any]


async def convert(kind: Literal["html", "pdf"], data: bytes, base_url: str, *, memory: int, most: int) -> Converted:
    """Convert a page (HTML in UTF-8) or a PDF; relative links are resolved against `base_url`.

    `memory` is in bytes, `most` is the longest result in bytes of UTF-8.

    Raises:
        ToolError: The conversion took too long, took too much memory, or its result is too long.
    """
    what, raw = ("page", f" {_RAW}") if kind == "html" else ("PDF", "")
    request = {"kind": kind, "base_url": base_url, "memory": memory, "seconds": SECONDS, "most": most}
    try:
        with anyio.fail_after(SECONDS):
            returncode, output = await _run(json.dumps(request).encode() + b"\n", data, most + _FACTS)
    except TimeoutError:
        raise ToolError(f"Converting the {what} took longer than {SECONDS} s.{raw}") from None
    line, newline, text = output.partition(b"\n")
    if returncode != 0 or not newline:
        raise ToolError(f"The {what} could not be converted within {memory // 2**20} MiB and {SECONDS} s.{raw}")
    facts = json.loads(line)
    if facts.get("too_long"):
        raise ToolError(f"The {what} has more than {most:,} bytes of text.{raw}")
    return Converted(text.decode(), facts)


async def _run(request: bytes, data: bytes, most: int) -> tuple[int, bytearray]:
    """Send the worker its input, and return its exit status and its output. A cancelled call ends the worker."""
    with anyio.CancelScope(shield=True):
        # A start that is cancelled halfway could leave the process running.
        # -P: without it, the modules of the working directory could be imported.
        process = await anyio.open_process(
            [sys.executable, "-P", "-m", "mcp_plugin_fetch_worker"], stderr=subprocess.DEVNULL, env=_environment()
        )
    assert process.stdin is not None
    assert process.stdout is not None
    output = bytearray()
    async with process, anyio.create_task_group() as tasks:
        tasks.start_soon(_feed, process.stdin, request, data)
        async for part in process.stdout:
            output += part
            if len(output) > most:
                process.kill()
                break
        await process.wait()
    assert process.returncode is not None
    return process.returncode, output


def _environment() -> dict[str, str]:
    """Return the variables that the worker needs to start. Secrets in this process's environment are left out."""
    names = ("PATH", "SYSTEMROOT", "VIRTUAL_ENV", "LANG", "LC_ALL")
    prefixes = ("PYTHON", "LD_", "DYLD_")
    return {name: value for name, value in os.environ.items() if name in names or name.startswith(prefixes)}


async def _feed(stdin: ByteSendStream, request: bytes, data: bytes) -> None:
    # If the worker has already ended, its exit status says why.
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stdin.send(request)
        await stdin.send(data)
    await stdin.aclose()
