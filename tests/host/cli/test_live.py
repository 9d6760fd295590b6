"""Animations of a terminal are plain lines elsewhere, without control characters."""

from __future__ import annotations

import pytest

from mcp_host.cli.live import status


def test_without_a_terminal_a_line_shows_what_is_running(capsys: pytest.CaptureFixture[str]) -> None:
    with status("Installing \x1b[2J ..."):
        assert capsys.readouterr().err == "Installing \\x1b[2J ...\n"
    assert capsys.readouterr().err == ""
