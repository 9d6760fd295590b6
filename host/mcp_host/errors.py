"""The one form of every error the host reports: what happened, where, and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class HostError(Exception):
    """An error with its place and its hint, shown in one form by the CLI, the log and the records.

    `what` is one sentence, `where` names the file and key, or the plugin and distribution, and
    `hint` is the command to run or the TOML line to write. `where` and `hint` may be empty.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class ConfigError(HostError):
    """`mcp-host.toml`, an `MCP_*` variable or a flag does not say something the host can use."""


class InvalidConfigError(ConfigError):
    """Everything that is wrong with the configuration, at once.

    `problems` holds one `ConfigError` a problem, in the order of the models; `what`, `where` and `hint` are those
    of the first, and the text of the exception shows them all.
    """

    def __init__(self, problems: Iterable[ConfigError]) -> None:
        self.problems: tuple[ConfigError, ...] = tuple(problems)
        first, *more = self.problems
        what = f"{first.what} (and {len(more)} more)" if more else first.what
        super().__init__(what, where=first.where, hint=first.hint)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class BadArgumentsError(Exception):
    """The caller's arguments do not fit; the text names the fields and echoes no value."""


class RefusedError(Exception):
    """The host, not the plugin, ended a call or did not begin it; the text is for the caller."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def encodable(text: str) -> str:
    """Return the text with every half of a surrogate pair, which UTF-8 cannot say, as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


LONGEST_TEXT = 500
"""Characters of somebody else's text that an error repeats."""

LONGEST_PROBLEM = 1_000
"""Characters of the text of a problem."""


def str_of(error: BaseException) -> str:
    """Return the exception's text, even if its `__str__` raises or returns none."""
    try:
        return str(error)
    except BaseException:
        return "(its text cannot be shown)"


def text_of(error: BaseException) -> str:
    """Return `Type: first line of the text`, for any exception, even one whose `__str__` raises.

    It is not cut, so that a secret in it can still be found and masked as a whole.
    """
    lines = str_of(error).strip().splitlines() or ["(no text)"]
    return f"{type(error).__name__}: {lines[0]}"


def shortened(text: str) -> str:
    """Return the text of a problem, which may hold somebody else's, cut where it is long."""
    return text if len(text) <= LONGEST_PROBLEM else f"{text[:LONGEST_PROBLEM]} ..."


def describe_validation(error: ValidationError) -> str:
    """Say which fields do not fit and why, without the values given and without addresses of the library's site."""
    lines = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in detail["loc"]) or "arguments"
        # The messages of tagged unions are the ones that quote the input.
        message = "the tag fits no variant" if detail["type"] == "union_tag_invalid" else detail["msg"]
        lines.append(f"{field}: {message}")
    return "; ".join(lines)
