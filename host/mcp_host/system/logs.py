"""Logging of the command line: one handler on stderr. Its lines contain no secrets and cannot be forged."""

from __future__ import annotations

import json
import logging
import sys
import textwrap
import traceback
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Literal, TextIO

from mcp_host.config.secrets import Redactor
from mcp_host.system.ending import whole_process
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


class _Handler(logging.StreamHandler[TextIO]):
    """The handler of the log. A filter, formatter or level that a plugin sets on it has no effect on own records."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__(stream)
        self.setFormatter(formatter)
        self._own = formatter
        self._stream = stream

    def filter(self, record: logging.LogRecord) -> bool:
        return True

    def format(self, record: logging.LogRecord) -> str:
        return self._own.format(record)

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, _WRITTEN, False):
            setattr(record, _WRITTEN, True)
            self.stream = self._stream
            super().emit(record)


class OwnLog:
    """The log of a process that this program has for itself: plugins can neither silence it nor make it raise.

    Records of the loggers below `mcp_host` go to the handler first, and then the usual way, to handlers of others.
    """

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._level = logging.root.level
        self._factory = logging.getLogRecordFactory()
        self._reported = False
        usual, enabled, made = logging.Logger.handle, logging.Logger.isEnabledFor, logging.Logger.makeRecord

        def is_enabled(logger: logging.Logger, level: int) -> bool:
            if _is_own(logger.name):
                return level >= min(self._level, logger.level or self._level)
            return enabled(logger, level)

        def make(logger: logging.Logger, *args: Any, **options: Any) -> logging.LogRecord:
            try:
                return made(logger, *args, **options)
            except Exception as error:
                self._report(error)
                return logging.LogRecord(*args[:7])

        def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
            own = _is_own(logger.name)
            if own:
                self._handler.handle(record)
            try:
                if not own or enabled(logger, record.levelno):
                    usual(logger, record)
            except Exception as error:
                self._report(error)

        logging.Logger.isEnabledFor = is_enabled  # type: ignore[method-assign, assignment]
        logging.Logger.makeRecord = make  # type: ignore[method-assign, assignment]
        logging.Logger.handle = handle  # type: ignore[method-assign, assignment]

    def _report(self, error: Exception) -> None:
        """Log once that logging itself failed. Whoever wants to log something cannot help it."""
        if not self._reported:
            self._reported = True
            message = "logging failed in what a plugin added to it, a handler, a filter or a factory: %s"
            logging.getLogger(__name__).error(message, type(error).__name__, exc_info=error)

    def restore(self) -> list[str]:
        """Undo what silences the log for everyone, and return what it was."""
        root, changed = logging.root, []
        if self._handler not in root.handlers:
            root.addHandler(self._handler)
            changed.append("the handlers of the root logger")
        if root.level != self._level:
            root.setLevel(self._level)
            changed.append("the level of the root logger")
        if root.manager.disable:
            logging.disable(logging.NOTSET)
            changed.append("logging.disable")
        if logging.getLogRecordFactory() is not self._factory:
            logging.setLogRecordFactory(self._factory)
            changed.append("the factory of log records")
        if self._handler.filters or self._handler.level:
            self._handler.filters.clear()
            self._handler.setLevel(logging.NOTSET)
            changed.append("the handler of the log")
        if logging.getLogger("mcp_host").disabled:
            for logger in root.manager.loggerDict.values():
                if isinstance(logger, logging.Logger):
                    logger.disabled = False
            changed.append("the loggers of others")
        return changed


_WRITTEN = "written_by_mcp_host"
"""The attribute of a record that the handler has written. The usual way leads to the same handler."""


def _is_own(name: str) -> bool:
    return name == "mcp_host" or name.startswith("mcp_host.")


def configure_logging(level: str, redactor: Redactor, *, log_format: Literal["text", "json"] = "text") -> OwnLog | None:
    """Send the log messages of this process from `level` (debug, info ...) on to stderr.

    Returns the log if the process is only for this program.
    """
    formatter = JsonFormatter(redactor) if log_format == "json" else TextFormatter(redactor)
    handler = _Handler(_own_stderr(), formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    # watchfiles logs each change. If the log is in a watched folder, each such line would cause the next change.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    logging.getLogger("mcp_host")  # dictConfig disables the loggers that exist
    return OwnLog(handler) if whole_process.get() is not None else None


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
