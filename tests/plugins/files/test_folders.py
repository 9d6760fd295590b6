"""Open folders: entries that disappear, and closing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_plugin_files.folders import Folder

WAYS = pytest.mark.parametrize("by_descriptor", [True, False], ids=["by descriptor", "by path"])


@WAYS
def test_an_entry_that_is_removed_while_the_folder_is_read_is_left_out(folder: Path, by_descriptor: bool) -> None:
    for name in ("a", "b", "c"):
        (folder / name).write_text("x")
    with Folder.at(str(folder), by_descriptor=by_descriptor) as opened:
        entries = opened.entries()
        first = next(entries)
        for path in folder.iterdir():
            if path.name != first.name:
                path.unlink()
        assert list(entries) == []


def test_closing_a_folder_twice_closes_no_other_descriptor(folder: Path) -> None:
    opened = Folder.at(str(folder))
    opened.close()
    other = os.open(folder, os.O_RDONLY)
    opened.close()
    os.close(other)
