"""Draws docs/terminal.svg: a real session of mcp-host in a terminal. `make docs` draws it again.

The commands run in a pseudo terminal, so that the picture has the colours that a user sees. It refers to no font of
another site: the reader's monospaced font is used.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

PICTURE = Path(__file__).parents[2] / "docs" / "terminal.svg"

COLUMNS = 96

CONFIG = """\
[plugins.stats]

[plugins.fetch]
prefix = "web_"

[plugins.sql]
"""

COMMANDS = ("cat mcp-host.toml", "mcp-host check", "mcp-host call describe_dataset dataset=pengins")


def session() -> str:
    """Run the commands in a terminal, and return what it shows, with escape sequences."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        (home / "mcp-host.toml").write_text(CONFIG, encoding="utf-8")
        environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "TERM": "xterm-256color",
            "COLUMNS": str(COLUMNS),
            "LINES": "50",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            # A busy machine imports slowly. The picture shows no warning about that.
            "MCP_HOST__HOST__IMPORT_WARNING": "60s",
            "MCP_HOST__HOST__BLOCK_WARNING": "60s",
        }
        shown = "".join(f"\x1b[1;32m$\x1b[0m {command}\r\n{_run(command, home, environment)}" for command in COMMANDS)
        return shown.replace(str(home), "/home/you").replace("\r\n", "\n")


def _run(command: str, home: Path, environment: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=home, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        found = bytearray()
        while piece := _read(ours):
            found += piece
    os.close(ours)
    # What a line shows before a carriage return is written over.
    return re.sub(r"[^\n]*\r(?!\n)|\x1b\[[0-9;?]*[A-LN-Za-ln-z]", "", found.decode())


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # On Linux, the end of a terminal whose programs have ended.
        return b""


def draw() -> str:
    """Return the picture of the session, as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(session()), soft_wrap=True)
    svg = console.export_svg(title="mcp-host", theme=DIMMED_MONOKAI, unique_id="terminal")
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
    # Without a size of its own, a browser shows the picture small.
    svg = re.sub(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', r'width="\1" height="\2" \g<0>', svg, count=1)
    svg = svg.replace("Fira Code", "ui-monospace, SFMono-Regular, Menlo, Consolas")
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
