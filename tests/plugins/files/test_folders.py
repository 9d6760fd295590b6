"""Open folders: entries that come and go, closing, and where a root is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import mcp_plugin_files
from mcp_host.testing import connect
from mcp_plugin_files.folders import Folder
from mcp_plugin_files.roots import Root
from mcp_plugin_files.writing import create

RootOf = Callable[..., Root]

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


def test_a_folder_that_another_program_makes_just_before_is_used(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Folder.make_folder

    def late(self: Folder, name: str) -> None:
        (folder / name).mkdir()
        make(self, name)

    monkeypatch.setattr(Folder, "make_folder", late)
    create(root_of(writable=True), ("new", "a"), b"written")
    assert (folder / "new" / "a").read_bytes() == b"written"


@pytest.mark.anyio
async def test_a_root_may_begin_with_the_home_folder(folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    (folder / "a").write_text("at home")
    given = {"roots": {"docs": {"path": "~/docs"}}, "watch": False}
    async with connect(mcp_plugin_files, name="files", settings=given, mode=mode) as client:
        assert "at home" in str((await client.call_tool("read_file", {"path": "a"})).content)
