"""The one form of every error that the host reports: what happened, where, a hint, and a code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pydantic import ValidationError

    from mcp_host.api import EndReason


class ErrorCode(StrEnum):
    """The codes by which programs tell errors apart. The texts of an error are for people only."""

    OTHER = "other"
    USAGE = "usage"
    INVALID_CONFIG = "invalid-config"
    UNKNOWN_NAME = "unknown-name"
    NOT_INSTALLED = "not-installed"
    NOT_ENABLED = "not-enabled"
    ALREADY_EXISTS = "already-exists"
    NAME_CONFLICT = "name-conflict"
    INCOMPATIBLE = "incompatible"
    IMPORT_FAILED = "import-failed"
    HOOK_FAILED = "hook-failed"
    START_FAILED = "start-failed"
    NOT_REFRESHED = "not-refreshed"
    NOT_CONNECTED = "not-connected"
    LEFT_OUT = "left-out"
    INSTALLER_FAILED = "installer-failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Problem:
    """The content of an error: what happened, where, a hint, and a code for programs. Records keep it.

    `what` is one sentence. `where` names the file and key, or the plugin and distribution. `hint` is the command to
    run or the TOML line to write. `where` and `hint` may be empty. `code` is an `ErrorCode`, or a word of the author's.
    """

    what: str
    where: str = ""
    hint: str = ""
    code: str = ErrorCode.OTHER

    def __post_init__(self) -> None:
        # A plugin may raise an error with values of any type. Only plain text is kept, which is always safe to show.
        for name, value in vars(self).items():
            object.__setattr__(self, name, encodable(str_of(value)))

    def __str__(self) -> str:
        return self.text()

    def text(self, label: str = "", *, one_line: bool = False) -> str:
        """Return the problem in the form that is used everywhere: what, where and hint, on three lines or on one."""
        parts = [f"{label}: {self.what}" if label else self.what]
        parts += [f"where: {self.where}"] if self.where else []
        parts += [f"hint: {self.hint}" if one_line else f"hint:  {self.hint}"] if self.hint else []
        return (" | " if one_line else "\n  ").join(parts)


class HostError(Exception):
    """An error with its place and its hint. The CLI, the log, JSON and the records show its `problem` in one form."""

    default_code: ClassVar[str] = ErrorCode.OTHER
    exit_code: ClassVar[int] = 2
    """How a command ends with it: 2 means that what was asked for was not even begun."""

    def __init__(self, what: str, *, where: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(what)
        self.problem = Problem(what, where, hint, code or self.default_code)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong: this problem alone, unless a subclass holds more."""
        return (self.problem,)

    @property
    def what(self) -> str:
        return self.problem.what

    @property
    def where(self) -> str:
        return self.problem.where

    @property
    def hint(self) -> str:
        return self.problem.hint

    @property
    def code(self) -> str:
        return self.problem.code

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def wrapped(
    error: BaseException, what: str, *, where: str = "", hint: str = "", code: str = ErrorCode.OTHER
) -> HostError:
    """Return an error that begins with `what` and goes on with another error.

    `hint` and `code` are used unless the other error is a `HostError` that has its own.
    """
    if not isinstance(error, HostError):
        return HostError(f"{what}: {text_of(error)}", where=where, hint=hint, code=code)
    own = error.problem
    code = code if own.code == ErrorCode.OTHER else own.code
    return HostError(f"{what}: {own.what}", where=where, hint=own.hint or hint, code=code)


class RequestFailedError(HostError):
    """A request was made and the server answered it with an error."""

    exit_code = 1


class NeedsTokenError(HostError):
    """A server at a URL answers, and wants a token that the request did not have."""


class ConfigError(HostError):
    """`mcp-host.toml`, an `MCP_*` variable or a flag is not valid."""

    default_code = ErrorCode.INVALID_CONFIG


class InvalidConfigError(ConfigError):
    """Everything that is wrong with the configuration, in the order of the models.

    `problem` is the first one, and its `what` ends with the number of the others.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._problems = tuple(
            replace(each, code=self.default_code) if each.code == ErrorCode.OTHER else each for each in problems
        )
        first, *more = self._problems
        what = f"{first.what} (and {len(more)} more)" if more else first.what
        super().__init__(what, where=first.where, hint=first.hint, code=first.code)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self._problems


class BadArgumentsError(Exception):
    """The caller's arguments do not fit. The text names the fields and repeats no value."""

    def __init__(self, text: str, reason: EndReason = "bad-arguments") -> None:
        super().__init__(text)
        self.reason: EndReason = reason


class RefusedError(Exception):
    """The host ended a call or did not start it. The plugin did not fail. The text is for the caller."""

    def __init__(self, text: str, reason: EndReason) -> None:
        super().__init__(text)
        self.reason: EndReason = reason


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to this one, or None if no word is similar."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known word, or an empty string."""
    found = closest(word, known)
    return f" (did you mean {found!r}?)" if found is not None else ""


def encodable(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which UTF-8 cannot encode."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


LONGEST_TEXT = 500
"""The most characters of a foreign text (a plugin's, a client's) that an error repeats."""

LONGEST_PROBLEM = 1_000
"""The most characters of a problem's text."""


def str_of(value: object) -> str:
    """Return the text of an exception or another value, even if its `__str__` raises or returns no text."""
    try:
        # A subclass of `str` may have its own methods. Only plain text is returned.
        return str.__str__(value if isinstance(value, str) else str(value))
    except BaseException:
        return "(its text cannot be shown)"


def text_of(error: BaseException) -> str:
    """Return `Type: first line of the text`, for any exception, even if its `__str__` raises.

    The text is not cut, so that a secret in it can still be found and masked as a whole.
    """
    lines = str_of(error).strip().splitlines() or ["(no text)"]
    return f"{type(error).__name__}: {lines[0]}"


def shortened(text: str) -> str:
    """Return the text of a problem, cut if it is longer than `LONGEST_PROBLEM`. It may contain a foreign text."""
    return text if len(text) <= LONGEST_PROBLEM else f"{text[:LONGEST_PROBLEM]} ..."


def describe_validation(error: ValidationError, whole: str = "arguments") -> str:
    """Return which fields do not fit and why, without the values and without links to pydantic's website.

    `whole` is the name of what was validated.
    """
    lines = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in detail["loc"]) or whole
        # Only the messages of tagged unions quote the input.
        message = "the tag fits no variant" if detail["type"] == "union_tag_invalid" else detail["msg"]
        lines.append(f"{field}: {message}")
    return "; ".join(lines)
