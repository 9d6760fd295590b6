"""Tables on terminals of any width."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.cli.output import table

WORDS = st.text(st.sampled_from("ab-/日é\u0301"), max_size=30)
CELLS = st.lists(WORDS, max_size=6).map(" ".join)
ROWS = st.lists(st.tuples(WORDS.filter(bool), CELLS, CELLS, CELLS), min_size=1, max_size=4)
COLUMNS = ("plugin", "from", "stage", "contributes")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setenv("NO_COLOR", "1")
        return table(columns, rows, Terminal()).splitlines()


def cells(text: str) -> int:
    return sum(0 if unicodedata.combining(each) else 2 if each == "日" else 1 for each in text)


@given(ROWS, st.integers(20, 120))
def test_no_line_is_longer_than_the_terminal_and_nothing_is_lost(rows: list[tuple[str, ...]], width: int) -> None:
    lines = shown(COLUMNS, rows, width)
    assert [line for line in lines if cells(line) > width] == []
    for character in "/日":
        assert sum(line.count(character) for line in lines) == sum(
            cell.count(character) for row in rows for cell in row
        )


def test_wide_characters_keep_the_columns_straight() -> None:
    lines = shown(("a", "b"), [("日本", "x"), ("cafe\u0301", "y")], 80)
    assert lines == ["a     b", "----  -", "日本  x", "cafe\u0301  y"]


def test_columns_that_fit_stay_a_table_and_others_become_blocks() -> None:
    rows = [("stats", "mcp-plugin-stats 0.1.0", "serving", "6 tools, 1 resource"), ("other", "", "disabled", "-")]
    assert shown(COLUMNS, rows, 60) == [
        "plugin  from                   stage     contributes",
        "------  ---------------------  --------  -------------------",
        "stats   mcp-plugin-stats       serving   6 tools, 1 resource",
        "        0.1.0",
        "other                          disabled  -",
    ]
    assert shown(COLUMNS, rows, 32) == [
        "stats",
        "  from         mcp-plugin-stats",
        "               0.1.0",
        "  stage        serving",
        "  contributes  6 tools, 1",
        "               resource",
        "",
        "other",
        "  stage        disabled",
        "  contributes  -",
    ]
