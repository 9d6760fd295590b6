"""Makes a unified diff of a text before and after a change, in bounded time."""

from __future__ import annotations

from difflib import unified_diff
from typing import Final

from mcp_plugin_files.edits import folded

_MOST_LINES: Final = 10_000
"""Longer texts are not compared line by line."""

_CONTEXT: Final = 3


def diff_of(path: str, before: str, after: str, most: int) -> str:
    """Return a unified diff of at most `most` characters. Line ends are shown as LF."""
    old, new = _lines(before), _lines(after)
    if max(len(old), len(new)) <= _MOST_LINES:
        lines = list(unified_diff(old, new, f"a/{path}", f"b/{path}", n=_CONTEXT))
    else:
        lines = _one_block(path, old, new)
    text = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    if len(text) <= most:
        return text
    end = text.rfind("\n", 0, most)
    return f"{text[: end + 1]}(cut here: the diff has {len(text)} characters)\n"


def _lines(text: str) -> list[str]:
    lines = folded(text).split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _one_block(path: str, old: list[str], new: list[str]) -> list[str]:
    """Return a diff with everything between the first and the last change in one block."""
    least = min(len(old), len(new))
    first = next((at for at in range(least) if old[at] != new[at]), least)
    last = next((at for at in range(least - first) if old[-1 - at] != new[-1 - at]), least - first)
    begin = max(0, first - _CONTEXT)
    after = old[len(old) - last :][:_CONTEXT]
    removed, added = old[first : len(old) - last], new[first : len(new) - last]
    around = first - begin + len(after)
    head = f"@@ -{begin + 1},{len(removed) + around} +{begin + 1},{len(added) + around} @@\n"
    lines = [f"--- a/{path}\n", f"+++ b/{path}\n", head]
    lines += [f" {line}" for line in old[begin:first]]
    lines += [f"-{line}" for line in removed] + [f"+{line}" for line in added]
    return lines + [f" {line}" for line in after]
