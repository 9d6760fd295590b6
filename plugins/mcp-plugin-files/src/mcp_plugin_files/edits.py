"""Replaces passages of a text. The line ends and the bytes that are not valid stay as they are in the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from mcp_host.encodings import readable
from mcp_plugin_files.errors import FileRefusedError

_END: Final = re.compile("\r\n|\r|\n")
_MOST_COMPARED: Final = 2000
"""Passages of more lines are not compared line by line: only their first and last lines can be unchanged ones."""


@dataclass(frozen=True)
class Edit:
    """A passage and what replaces it."""

    old: str
    new: str


def edited(text: str, edit: Edit, shown: str) -> str:
    """Return a text, as `Encoding.decode_exactly` returns it, with one passage replaced.

    Line ends do not matter when the passage is searched. In the result, unchanged lines keep their line ends, and new
    lines get those of the lines around them. A U+FFFD that stands for a byte that is not valid stays this byte.

    Raises:
        FileRefusedError: The old passage is empty, does not occur, occurs more than once, or would not change.
    """
    old, new = folded(edit.old), folded(edit.new)
    if not old:
        raise FileRefusedError("old_text is empty: give the text to be replaced, with enough around it to be unique.")
    if old == new:
        raise FileRefusedError("new_text is the same as old_text. An edit does not change line ends.")
    begin, end = _place(text, edit.old, shown)
    return text[:begin] + _fitted(text, begin, end, edit.new) + text[end:]


def folded(text: str) -> str:
    """Return a text with LF as its only line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _place(text: str, old: str, shown: str) -> tuple[int, int]:
    """Return where the passage begins and ends."""
    visible = readable(text)
    lines, wanted = folded(visible), folded(old)
    at = lines.find(wanted)
    if at < 0:
        raise FileRefusedError(f"old_text is not in {shown}: read the file again and copy it exactly, with all spaces.")
    if lines.find(wanted, at + 1) < 0:
        return _unfolded(text, at), _unfolded(text, at + len(wanted))
    at = visible.find(old)  # Perhaps the line ends make it unique.
    if at < 0 or visible.find(old, at + 1) >= 0 or _inside_end(text, at) or _inside_end(text, at + len(old)):
        raise FileRefusedError(f"old_text is in {shown} more than once: give more of the text around it.")
    return at, at + len(old)


def _unfolded(text: str, place: int) -> int:
    """Return the place in the text of a place in the folded text."""
    for before, end in enumerate(re.finditer("\r\n", text)):
        if end.start() - before >= place:
            return place + before
    return place + text.count("\r\n")


def _inside_end(text: str, place: int) -> bool:
    return text[place - 1 : place + 1] == "\r\n"


def _fitted(text: str, begin: int, end: int, new: str) -> str:
    """Return the new passage with the line ends and the invalid bytes of the old one."""
    last = next(reversed(_END.findall(text[:begin])), None) or _usual_end(text) or _usual_end(new)
    made: list[str] = []
    for old_lines, new_lines in _compared(_lines(text[begin:end]), _lines(folded(new))):
        ends = [_end_of(line) for line in old_lines if _end_of(line)]
        for line in new_lines if new_lines is old_lines else _lines(_with_kept(old_lines, new_lines)):
            if line.endswith(("\n", "\r")):
                last = ends.pop(0) if ends else last
                line = line.rstrip("\r\n") + last
            made.append(line)
    return "".join(made)


def _lines(text: str) -> list[str]:
    """Return the lines with their ends, of which there are only three kinds here, unlike in `str.splitlines`."""
    return re.findall("[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def _end_of(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _usual_end(text: str) -> str:
    """Return the line end that occurs most often, or nothing."""
    ends: list[str] = _END.findall(text)
    return max(Counter(ends).items(), key=lambda each: each[1], default=("", 0))[0]


def _compared(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the blocks of both texts. If a block is the same, apart from line ends, both are the old one."""
    keys = [folded(readable(line)) for line in old]
    first = _same(keys, new)
    last = _same(keys[first:][::-1], new[first:][::-1])
    yield old[:first], old[:first]
    middle, fresh = keys[first : len(keys) - last], new[first : len(new) - last]
    if max(len(middle), len(fresh)) > _MOST_COMPARED:
        yield old[first : len(keys) - last], fresh
    else:
        for kind, i, j, k, m in SequenceMatcher(None, middle, fresh, autojunk=False).get_opcodes():
            block = old[first + i : first + j]
            yield block, block if kind == "equal" else fresh[k:m]
    yield old[len(keys) - last :], old[len(keys) - last :]


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines or characters are the same at the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _with_kept(old_lines: Sequence[str], new_lines: Sequence[str]) -> str:
    """Return the new lines with the invalid bytes of the old ones, which the caller sees as U+FFFD."""
    old, new = folded("".join(old_lines)), "".join(new_lines)
    visible = readable(old)
    if visible == old or "\ufffd" not in new:
        return new
    first = _same(visible, new)
    last = _same(visible[first:][::-1], new[first:][::-1])
    signs = [old[at] for at in range(first, len(old) - last) if visible[at] == "\ufffd"]
    middle = new[first : len(new) - last]
    count = middle.count("\ufffd")
    if count not in (0, len(signs)):
        raise FileRefusedError(
            f"new_text has U+FFFD {count} times where old_text has it {len(signs)} times. It stands for a byte that is "
            "not valid. Keep each of them, or replace less of the text."
        )
    left = iter(signs)
    middle = re.sub("\ufffd", lambda _: next(left), middle)
    return old[:first] + middle + old[len(old) - last :]
