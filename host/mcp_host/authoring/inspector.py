"""Chooses the MCP Inspector that fits the installed Node.js, and builds the command that starts it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

from mcp_host.errors import HostError

PACKAGE: Final = "@modelcontextprotocol/inspector"

# The newest release for each Node.js, the newest first, from the `engines` of the releases on npm. npm by itself would
# silently choose the last release without `engines`.
_RELEASES: Final = (((22, 19), "2.12.0"), ((22, 7), "1.0.3"), ((18, 0), "0.15.0"))
_TAKES_URL: Final = "2."
"""Releases from this one on take the server's URL on their command line."""


@dataclass(frozen=True)
class Inspector:
    """A release and the command that starts it. `hint` is what the user must enter, if the command has no URL."""

    version: str
    command: tuple[str, ...]
    hint: str = ""


def find_inspector(url: str) -> Inspector:
    """Return the inspector to open on a server at this URL.

    Raises:
        HostError: Node.js or npx is not installed, or no inspector runs on this Node.js.
    """
    node, npx = shutil.which("node"), shutil.which("npx")
    hint = "install Node.js 22.19 or newer, or --no-inspector"
    if node is None or npx is None:
        raise HostError("the MCP Inspector needs Node.js and npx, which are not on PATH", where="PATH", hint=hint)
    printed = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    version = choose_release(printed)
    if version is None:
        raise HostError(f"no MCP Inspector runs on Node.js {printed or '(unknown version)'}", where=node, hint=hint)
    command = (npx, "--yes", f"{PACKAGE}@{version}")
    if version.startswith(_TAKES_URL):
        return Inspector(version, (*command, "--web", "--transport", "http", "--server-url", url))
    return Inspector(version, command, hint=f'In the Inspector choose "Streamable HTTP" and enter {url}')


def choose_release(node: str) -> str | None:
    """Return the release for the output of `node --version`, such as `v20.20.2`, or None if no release fits."""
    match = re.match(r"v(\d+)\.(\d+)", node)
    if match is None:
        return None
    have = (int(match[1]), int(match[2]))
    return next((version for needed, version in _RELEASES if have >= needed), None)
