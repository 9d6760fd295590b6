"""What moves on a terminal is a plain line anywhere else, and can show no control character."""

from __future__ import annotations

import pytest

from mcp_host.cli.live import status


def test_where_there_is_no_terminal_a_line_says_what_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with status("Installing \x1b[2J ..."):
        assert capsys.readouterr().err == "Installing \\x1b[2J ...\n"
    assert capsys.readouterr().err == ""
