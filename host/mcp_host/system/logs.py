"""Logging of the command line: one handler on stderr. Its lines contain no secrets and cannot be forged."""

from __future__ import annotations

import json
import logging
import sys
import textwrap
import traceback
from datetime import UTC, datetime
from types import FrameType
from typing import Literal, TextIO

from mcp_host.config.secrets import Redactor
from mcp_host.system.texts import one_line, printable

_QUIET = ("uvicorn", "mcp", "asyncio", "httpx2", "httpcore2")
"""Libraries whose messages at level info do not help an operator."""

_FRAMES = 15
"""The number of innermost frames of a stack that are shown."""

_MARGIN = "    "
"""The start of each line of a traceback, so that none of them looks like a line of the log."""


class TextFormatter(logging.Formatter):
    """One line for each message, with a traceback indented below it. Secrets are masked, unsafe characters escaped."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        parts = _parts(record, self._redactor)
        name, message = parts.pop("logger"), parts.pop("message")
        head = f"{self.formatTime(record, self.datefmt)} {record.levelname} {name}: {message}"
        below = (textwrap.indent(printable(text), _MARGIN, lambda line: True) for text in parts.values())
        return "\n".join((one_line(head), *below))


class JsonFormatter(logging.Formatter):
    """One JSON object in each line: `time` (UTC, ISO 8601), `level`, and the texts of `_parts`."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        # ASCII only: JSON's own escapes stand for every unsafe character.
        return json.dumps({"time": time, "level": record.levelname.lower(), **_parts(record, self._redactor)})


def _parts(record: logging.LogRecord, redactor: Redactor) -> dict[str, str]:
    """Return a record's texts with secrets masked: `logger`, `message` and, if it has them, `traceback` and `stack`."""
    try:
        message = record.getMessage()
    except Exception as error:
        # The arguments do not fit the message, or one of them raised. logging would print them unmasked to stderr.
        template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        message = f"{template} (cannot be shown in full: {type(error).__name__})"
    parts = {"logger": record.name, "message": message}
    if record.exc_info:
        parts["traceback"] = logging.Formatter().formatException(record.exc_info)
    if record.stack_info:
        parts["stack"] = record.stack_info
    return {name: redactor.redact(text) for name, text in parts.items()}


def configure_logging(level: str, redactor: Redactor, *, log_format: Literal["text", "json"] = "text") -> None:
    """Send the log messages of this process from `level` (debug, info ...) on to stderr."""
    handler = logging.StreamHandler(_own_stderr())
    handler.setFormatter(JsonFormatter(redactor) if log_format == "json" else TextFormatter(redactor))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    # watchfiles logs each change. If the log is in a watched folder, each such line would cause the next change.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


def log_with_stack(
    logger: logging.Logger, level: int, frame: FrameType | None, message: str, *arguments: object
) -> None:
    """Log a message with the innermost frames of a stack below it, like a traceback."""
    if logger.isEnabledFor(level):
        stack = "".join(traceback.format_stack(frame)[-_FRAMES:]).rstrip()
        logger.handle(logger.makeRecord(logger.name, level, __file__, 0, message, arguments, None, sinfo=stack))


def _own_stderr() -> TextIO:
    """Return a separate stream on stderr for the log, because a plugin may close or replace `sys.stderr`."""
    try:
        is_real = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        is_real = False
    if not is_real:  # a test's, or a notebook's
        return sys.stderr
    return open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
