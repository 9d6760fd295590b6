"""Makes foreign texts safe to show: their characters cannot control a terminal, hide text, or reorder a line."""

from __future__ import annotations

import json
import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, except for newline and tab
    "\u2028\u2029"  # line and paragraph separators
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi controls (Unicode Standard Annex 9)
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # further characters without a glyph
    "\ud800-\udfff]"  # halves of surrogate pairs, which UTF-8 does not have
)
_BREAKS = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t"})


def printable(text: str) -> str:
    """Return the text with each unsafe character, except for newline and tab, as an escape such as `\\u202e`."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """Return the text with each unsafe character as an escape, also newlines and tabs."""
    return printable(text.translate(_BREAKS))


def printable_json(text: str) -> str:
    """Return an equal JSON document, with JSON's own escapes for the unsafe characters in its texts."""
    return _UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
