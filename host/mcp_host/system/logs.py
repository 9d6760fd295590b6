"""Logging of the command line: one handler on stderr that redacts secrets and lets no control character through."""

from __future__ import annotations

import logging
import re
import sys
from typing import TextIO

from mcp_host.config.secrets import Redactor

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_QUIET = ("uvicorn", "mcp", "asyncio", "httpx2", "httpcore2")
"""Libraries whose information-level chatter is of no use to who runs a host."""


class SafeFormatter(logging.Formatter):
    """Redacts, and shows control characters as escapes, so that no text can rewrite the reader's terminal."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return printable(self._redactor.redact(super().format(record)))


def printable(text: str) -> str:
    """Return the text with control characters (newline and tab excepted) as `\\x1b`-style escapes."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def configure_logging(level: str, redactor: Redactor) -> None:
    """Send the logs of this process to stderr from `level` (debug, info ...) on."""
    handler = logging.StreamHandler(_own_stderr())
    handler.setFormatter(SafeFormatter(redactor))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    # It logs each change it sees: with the log in a folder that is watched, each such line would be the next change.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


def _own_stderr() -> TextIO:
    """A stream of the log's own on stderr: a plugin may close or replace the one that everybody has."""
    try:
        is_real = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        is_real = False
    if not is_real:  # a test's, or a notebook's
        return sys.stderr
    return open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
