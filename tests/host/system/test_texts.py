"""Escapes: no text can control a terminal, hide something or start a line. Safe texts do not change."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.system.texts import one_line, printable, printable_json

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Unicode's property Bidi_Control."""
VISIBLE_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Characters of the category Cf that have a glyph, such as the Arabic sign of a number."""


def is_unsafe(char: str) -> bool:
    category = unicodedata.category(char)
    hieroglyphs = "\U00013430" <= char <= "\U0001345f"  # they arrange what is visible
    return category in ("Cc", "Zl", "Zp", "Cs") or (
        category == "Cf" and char not in VISIBLE_FORMATS and not hieroglyphs
    )


def test_every_control_bidi_and_invisible_character_of_unicode_is_escaped() -> None:
    unsafe = [char for char in map(chr, range(sys.maxunicode + 1)) if is_unsafe(char) and char not in "\t\n"]
    assert set(BIDI) <= set(unsafe)
    assert [char for char in unsafe if char in printable(char)] == []
    assert [char for char in [*unsafe, "\t", "\n"] if char in one_line(char)] == []


@given(st.text())
def test_a_line_stays_one_line_wherever_a_reader_breaks_lines(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert printable(text).splitlines() == printable(text).split("\n")[: len(printable(text).splitlines())]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_a_text_of_visible_characters_stays_as_it_is(text: str) -> None:
    assert printable(text) == one_line(text) == printable_json(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\x9b\x7f\x85", r"a\x9b\x7f\x85"),
        ("\u2028\u202e\ufeff", r"\u2028\u202e\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud83d", r"\ud83d"),
        ("a\tb\nc", "a\tb\nc"),
    ],
)
def test_an_escape_names_the_character(text: str, escaped: str) -> None:
    assert printable(text) == escaped
    assert one_line(text) == escaped.replace("\t", r"\t").replace("\n", r"\n")


@given(st.recursive(st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_means_the_same_with_its_escapes(data: object) -> None:
    text = printable_json(json.dumps(data, ensure_ascii=False, indent=2))
    assert json.loads(text) == data
    assert printable(text) == text
