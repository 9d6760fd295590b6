"""Shows what a search has found: the lines of a match, cut to a length, with the lines around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mcp_plugin_files.engines import Hit, Searched, lines_of, text_of

LINE_CHARACTERS: Final = 300
"""The most characters of a line in a result."""

MATCH_LINES: Final = 50
"""The most lines of one match in a result."""


@dataclass(frozen=True)
class Passage:
    """A match as it is shown. With context, each of its lines has its number."""

    file: int
    line: int
    text: str


def passages(hits: Sequence[Hit], files: Sequence[Searched], context: int, largest: int) -> list[Passage]:
    """Return the passages for hits, which are sorted by file and line. Matches whose lines overlap are one passage."""
    shown: list[Passage] = []
    for place, file in enumerate(files):
        if own := [hit for hit in hits if hit.file == place]:
            shown += _in_file(own, text_of(file, largest), context)
    return shown


def _in_file(hits: Sequence[Hit], text: str, context: int) -> list[Passage]:
    groups: list[list[Hit]] = []
    between = 2 * context + 1 if context else 0
    for hit in hits:
        if groups and hit.line <= groups[-1][-1].last + between:
            groups[-1].append(hit)
        else:
            groups.append([hit])
    needed: dict[int, str] = {}
    ranges = [(group[0].line - context, _end(group) + context) for group in groups]
    waiting = iter(ranges)
    first, last = next(waiting)
    for number, line in enumerate(lines_of(text), 1):
        while number > last:
            first, last = next(waiting, (0, 0))
            if not last:
                break
        if not last:
            break
        if number >= first:
            needed[number] = line
    return [_passage(group, begin, end, needed, context) for group, (begin, end) in zip(groups, ranges, strict=True)]


def _end(group: Sequence[Hit]) -> int:
    return max(min(hit.last, hit.line + MATCH_LINES - 1) for hit in group)


def _passage(group: Sequence[Hit], begin: int, end: int, lines: dict[int, str], context: int) -> Passage:
    starts = {hit.line: hit.column for hit in reversed(group)}
    matching = {number for hit in group for number in range(hit.line, min(hit.last, end) + 1)}
    shown = []
    for number in range(max(1, begin), end + 1):
        if number in lines:
            line = around(lines[number], _characters(lines[number], starts.get(number, 0)))
            shown.append(f"{number}{':' if number in matching else '-'} {line}" if context else line)
    if any(hit.last > end for hit in group):
        shown.append("...")
    return Passage(group[0].file, group[0].line, "\n".join(shown))


def _characters(line: str, column: int) -> int:
    """Return how many characters a number of bytes in UTF-8 is."""
    return len(line[:column].encode()[:column].decode("utf-8", "ignore"))


def around(line: str, start: int) -> str:
    """Return the line without its line end, cut to `LINE_CHARACTERS` around the match that begins at `start`."""
    line = line.rstrip("\r\n")
    if len(line) <= LINE_CHARACTERS:
        return line
    begin = max(0, min(start - LINE_CHARACTERS // 4, len(line) - LINE_CHARACTERS))
    end = begin + LINE_CHARACTERS
    return ("..." if begin else "") + line[begin:end] + ("..." if end < len(line) else "")
