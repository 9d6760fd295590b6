"""Quotes names and texts for SQL."""

from __future__ import annotations


def quoted(identifier: str) -> str:
    """Return the identifier quoted for SQL. It may have any characters."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return the text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
