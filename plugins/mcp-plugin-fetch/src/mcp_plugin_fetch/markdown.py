"""Turns HTML into Markdown, in a process of its own that ends with the call."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

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
            # -P: the modules beside the script are this package's, not top-level ones.
            done = await anyio.run_process(
                [sys.executable, "-P", str(WORKER)],
                input=json.dumps(request).encode(),
                check=False,
                stderr=subprocess.DEVNULL,
            )
    except TimeoutError:
        raise ToolError(f"Turning the page into Markdown took longer than {SECONDS} s. {_RAW}") from None
    if done.returncode != 0:
        raise ToolError(
            f"The page could not be turned into Markdown within {memory // 2**20} MiB and {SECONDS} s. {_RAW}"
        )
    answer = json.loads(done.stdout)
    if answer["markdown"] is None:
        raise ToolError(f"The page has more than {most:,} characters as Markdown. {_RAW}")
    return Markdown(answer["markdown"], " ".join(answer["title"].split()), answer["incomplete"])
