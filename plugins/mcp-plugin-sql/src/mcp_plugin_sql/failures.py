"""The errors of a database as texts for a model, without secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

LONGEST_REASON: Final = 500
"""The most characters of a database's message in an error."""

Cause = Literal["statement", "read-only", "timeout", "lost", "unreachable", "busy", "single"]


@dataclass(frozen=True)
class Failure:
    """Why a statement or a connection failed. `text` is the database's own message.

    The cause `single` means that a pooler allows no transaction of several statements.
    """

    cause: Cause
    text: str = ""


def shortened(text: str) -> str:
    """Return a database's message on one line, cut if it is long."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON].rsplit(None, 1)[0] + " ..."


def sentence(text: str) -> str:
    """Return the text with a full stop."""
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
