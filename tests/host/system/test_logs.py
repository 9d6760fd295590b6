"""The log of the command line: redacted, harmless to a terminal, on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.config.secrets import Redactor
from mcp_host.system.logs import SafeFormatter, configure_logging, printable

LIBRARIES = ("uvicorn", "mcp", "asyncio", "httpx2", "httpcore2", "watchfiles")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was at the end."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield root
    root.handlers[:], root.level = handlers, level
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


def formatted(message: str, *arguments: object, error: BaseException | None = None) -> str:
    info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord("name", logging.INFO, "file", 1, message, arguments, info)
    return SafeFormatter(Redactor(["hunter22", "new\nline"])).format(record)


def test_secrets_are_masked_in_messages_arguments_and_tracebacks() -> None:
    assert formatted("it is %s", "hunter22").endswith("INFO name: it is ***")
    assert "hunter22" not in formatted("x", error=ValueError("hunter22"))
    assert "ValueError: ***" in formatted("x", error=ValueError("hunter22"))
    assert formatted("new\nline").endswith("***")


def test_control_characters_are_shown_and_not_sent() -> None:
    assert formatted("\x1b[2J\r\x07").endswith("\\x1b[2J\\x0d\\x07")
    assert printable("a\tb\nc\x9b") == "a\tb\nc\\x9b"


def test_a_log_in_a_watched_folder_does_not_feed_itself(root: logging.Logger) -> None:
    for level in ("info", "debug"):
        configure_logging(level, Redactor())
        assert not logging.getLogger("watchfiles.main").isEnabledFor(logging.INFO)


@given(st.text())
def test_no_text_can_steer_a_terminal(text: str) -> None:
    assert not any((ord(char) < 32 and char not in "\t\n") or 127 <= ord(char) < 160 for char in printable(text))


@given(st.text(alphabet=st.characters(exclude_categories=["Cc"])))
def test_a_text_without_control_characters_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_the_log_goes_to_stderr_from_the_level_on(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", Redactor(["hunter22"]))
    logging.getLogger("mcp_host.x").info("not this")
    logging.getLogger("mcp_host.x").warning("hunter22")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("WARNING mcp_host.x: ***\n")
    assert "not this" not in captured.err
    assert root.level == logging.WARNING


def test_the_chatter_of_libraries_is_left_out_unless_debug_is_asked_for(root: logging.Logger) -> None:
    configure_logging("info", Redactor())
    assert not logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO)
    assert logging.getLogger("mcp_host").isEnabledFor(logging.INFO)
    configure_logging("debug", Redactor())
    assert logging.getLogger("mcp.server").isEnabledFor(logging.DEBUG)
    assert [handler.stream for handler in root.handlers if isinstance(handler, logging.StreamHandler)] == [sys.stderr]
