"""What went wrong with a database, in words for a model: what it said, or that it is gone; never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

LONGEST_REASON: Final = 500
"""Characters of a database's message that are passed on."""

Cause = Literal["statement", "read-only", "timeout", "lost", "unreachable", "busy"]


@dataclass(frozen=True)
class Failure:
    """Why a statement, or a connection, failed. `text` is the database's own words, one or two sentences."""

    cause: Cause
    text: str = ""


def shortened(text: str) -> str:
    """A message of a database, on one line, of bearable length."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON].rsplit(None, 1)[0] + " ..."


def sentence(text: str) -> str:
    """The text with a full stop."""
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
