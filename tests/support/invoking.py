"""`mcp-host` commands run in the process of the tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from support.processes import Done


class Invoke:
    """Runs commands in this process, which has imported the SDK: quicker than a new process for each command."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def config(self, text: str, name: str = "mcp-host.toml") -> Path:
        path = self.folder / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def __call__(self, *args: str) -> Done:
        from mcp_host.__main__ import main

        self._capture.readouterr()
        code = main(args)
        captured = self._capture.readouterr()
        return Done(code, captured.out, captured.err)
