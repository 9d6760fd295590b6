"""The log of the command line, on stderr, as text or JSON: secrets are masked, and no text can forge a line."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.config.secrets import Redactor
from mcp_host.system.logs import JsonFormatter, TextFormatter, configure_logging

LIBRARIES = ("uvicorn", "mcp", "asyncio", "httpx2", "httpcore2", "watchfiles")
FORGED = "\n2026-11-28 00:00:00 CRITICAL mcp_host.audit: forged"
FORGERIES = [
    FORGED,
    *(f"{char}{FORGED[1:]}" for char in "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    "\x1b[2K\x1b[1A",
    "\u202e",
]


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


def formatted(
    message: object,
    *arguments: object,
    error: BaseException | None = None,
    name: str = "name",
    stack: str | None = None,
    kind: type[TextFormatter | JsonFormatter] = TextFormatter,
) -> str:
    info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord(name, logging.INFO, "file", 1, message, arguments, info)
    record.stack_info = stack
    return kind(Redactor(["hunter22", "new\nline"])).format(record)


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


def test_secrets_are_masked_in_messages_arguments_and_tracebacks() -> None:
    assert formatted("it is %s", "hunter22").endswith("INFO name: it is ***")
    assert formatted("new\nline").endswith("***")
    for kind in (TextFormatter, JsonFormatter):
        text = formatted("x", error=raised(ValueError("hunter22"), OSError("new\nline")), kind=kind)
        assert "ValueError: ***" in text
        assert "OSError: ***" in text
        assert "hunter22" not in text
        assert "hunter22" not in formatted("x", name="hunter22", stack="hunter22", kind=kind)


class Speaking:
    def __str__(self) -> str:
        return FORGED


@pytest.mark.parametrize("text", FORGERIES)
def test_no_text_starts_a_line_of_the_log_or_steers_a_terminal(text: str) -> None:
    lines = [
        formatted(text),
        formatted("%s", text),
        formatted("x", name=text),
        formatted(Speaking()),
        formatted("%d", text),
    ]
    for line in lines:
        assert len(line.splitlines()) == 1
        assert text not in line


@pytest.mark.parametrize("text", FORGERIES)
def test_each_line_of_a_traceback_is_indented(text: str) -> None:
    noted = ValueError(f"bad{text}")
    noted.add_note(f"a note{text}")
    chained = raised(ExceptionGroup(f"many{text}", [raised(noted)]), raised(KeyError(text)))
    head, *below = formatted("it crashed", error=chained, stack=f"Stack:{text}").splitlines()
    assert head.endswith("INFO name: it crashed")
    assert all(line.startswith("    ") for line in below)
    assert any(line.strip().startswith("Traceback (most recent call last)") for line in below)
    assert not any(char in "".join(below) for char in text if not char.isprintable())


@given(st.text(), st.text())
def test_a_message_is_one_line_and_a_traceback_is_below_it(message: str, text: str) -> None:
    head, *below = formatted("%s", message, error=ValueError(text)).splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO name: ", head)
    assert below
    assert all(line.startswith("    ") for line in below)


def test_a_message_whose_arguments_do_not_fit_or_cannot_be_shown_is_logged_anyway(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError(FORGED)

        __repr__ = __str__

    configure_logging("info", Redactor())
    logging.getLogger("x").info("%d apples", FORGED)
    logging.getLogger("x").info("an apple: %s", Mute())
    logging.getLogger("x").info(Mute())
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" INFO x: ")[2] for line in lines] == [
        "%d apples (cannot be shown in full: TypeError)",
        "an apple: %s (cannot be shown in full: RuntimeError)",
        "Mute (cannot be shown in full: RuntimeError)",
    ]


@pytest.mark.parametrize("text", FORGERIES)
def test_json_is_one_object_in_each_line_with_the_unchanged_text(text: str) -> None:
    line = formatted("it is %s", text, error=raised(ValueError(text)), stack="Stack", kind=JsonFormatter)
    assert line.isascii()
    assert line.isprintable()
    data = json.loads(line)
    assert (data["level"], data["logger"], data["message"]) == ("info", "name", f"it is {text}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", data["time"])
    assert data["traceback"].startswith("Traceback (most recent call last):\n")
    assert text in data["traceback"]
    assert data["stack"] == "Stack"


def test_json_has_a_traceback_only_where_there_is_one() -> None:
    assert list(json.loads(formatted("x", kind=JsonFormatter))) == ["time", "level", "logger", "message"]


def test_the_format_is_the_configured_one(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", Redactor(["hunter22"]), log_format="json")
    logging.getLogger("mcp_host.x").info("it is hunter22")
    assert json.loads(capsys.readouterr().err)["message"] == "it is ***"


def test_a_log_in_a_watched_folder_does_not_feed_itself(root: logging.Logger) -> None:
    for level in ("info", "debug"):
        configure_logging(level, Redactor())
        assert not logging.getLogger("watchfiles.main").isEnabledFor(logging.INFO)


def test_the_log_goes_to_stderr_from_the_level_on(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", Redactor(["hunter22"]))
    logging.getLogger("mcp_host.x").info("not this")
    logging.getLogger("mcp_host.x").warning("hunter22")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("WARNING mcp_host.x: ***\n")
    assert "not this" not in captured.err
    assert root.level == logging.WARNING


def test_messages_of_libraries_are_left_out_unless_the_level_is_debug(root: logging.Logger) -> None:
    configure_logging("info", Redactor())
    assert not logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO)
    assert logging.getLogger("mcp_host").isEnabledFor(logging.INFO)
    configure_logging("debug", Redactor())
    assert logging.getLogger("mcp.server").isEnabledFor(logging.DEBUG)
    assert [handler.stream for handler in root.handlers if isinstance(handler, logging.StreamHandler)] == [sys.stderr]
