"""Files are moved and deleted only if the caller has seen them, and another file is never replaced."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folders import Folder
from mcp_plugin_files.moving import delete, move
from mcp_plugin_files.roots import Root

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]
RootOf = Callable[..., Root]

pytestmark = pytest.mark.anyio


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


async def test_a_file_is_moved_into_a_new_folder(served: Served, folder: Path) -> None:
    (folder / "a").write_bytes(b"old")
    (folder / "a").chmod(0o640)
    async with served({"writable": True}) as client:
        result = await client.call_tool(
            "move_file", {"path": "a", "new_path": "x/y/b", "expected_hash": hash_of(b"old")}
        )
    assert result.structured_content == {
        "root": "docs",
        "path": "x/y/b",
        "uri": "files://docs/x/y/b",
        "hash": hash_of(b"old"),
    }
    assert os.listdir(folder) == ["x"]
    assert (folder / "x/y/b").read_bytes() == b"old"
    assert (folder / "x/y/b").stat().st_mode & 0o777 == 0o640


async def test_a_move_that_is_not_allowed_changes_nothing(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "a").write_bytes(b"old")
    (folder / "b").write_bytes(b"other")
    (folder / "dir").mkdir()
    (folder / "link").symlink_to("../outside/secret.txt")
    (folder / "out").symlink_to("../outside")
    (folder / "big").write_bytes(b"x" * 2000)
    roots = {
        "docs": {"path": "docs", "writable": True},
        "fixed": "docs",
        "outside": {"path": "outside", "writable": True},
    }
    async with served(roots=roots, max_bytes=1024) as client:

        async def text(path: str, new: str, data: bytes = b"old", root: str = "docs") -> str:
            arguments = {"root": root, "path": path, "new_path": new, "expected_hash": hash_of(data)}
            return refused(await client.call_tool("move_file", arguments))

        for taken in ("b", "a", "dir", "link"):
            assert (
                await text("a", taken)
                == f"files://docs/{taken} exists already: choose another path, or delete it first."
            )
        assert "has changed since you read it" in await text("a", "c", b"older")
        assert "does not exist" in await text("gone", "c")
        assert "is a folder, not a file" in await text("dir", "c")
        assert "is a symbolic link" in await text("link", "c", b"OUTSIDE")
        assert "is a symbolic link" in await text("a", "out/c")
        assert "is a symbolic link" in await text("out/secret.txt", "c", b"OUTSIDE")
        assert "has a '..'" in await text("a", "../c")
        assert "not inside a root" in await text("a", "/etc/c")
        arguments = {"root": "docs", "path": "a", "new_path": str(folder.parent / "outside/c")}
        result = await client.call_tool("move_file", {**arguments, "expected_hash": hash_of(b"old")})
        assert "not inside a root" in str(result.content)
        assert "roots.docs.hidden" in await text("a", ".bashrc")
        assert "roots.docs.ignore" in await text("a", "node_modules/c")
        assert "is read-only" in await text("a", "c", root="fixed")
        assert "is not a folder" in await text("a", "b/c")
        assert "larger than the 1024 bytes" in await text("big", "c", b"x" * 2000)
    assert sorted(os.listdir(folder)) == ["a", "b", "big", "dir", "link", "out"]
    assert (folder / "b").read_bytes() == b"other"
    assert os.listdir(folder.parent / "outside") == ["secret.txt"]


async def test_a_seen_file_and_an_empty_folder_are_deleted(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "dir").mkdir()
    (folder / "dir/a").write_bytes(b"old")
    (folder / "dir/.hidden").touch()
    (folder / "link").symlink_to("../outside")
    async with served({"writable": True}) as client:

        async def text(**arguments: Any) -> str:
            return refused(await client.call_tool("delete_file", arguments))

        assert "has changed since you read it" in await text(path="dir/a", expected_hash=hash_of(b"older"))
        assert "is not a folder. To delete a file" in await text(path="dir/a")
        assert "is not empty" in await text(path="dir")
        assert "is not a folder" in await text(path="link")
        assert "is a symbolic link" in await text(path="link/secret.txt", expected_hash=hash_of(b"OUTSIDE"))
        assert "Give the path of a file" in await text(path="")
        result = await client.call_tool("delete_file", {"path": "dir/a", "expected_hash": hash_of(b"old")})
        assert result.structured_content == {"root": "docs", "path": "dir/a"}
        assert "Perhaps it has hidden or ignored files" in await text(path="dir")
        (folder / "dir/.hidden").unlink()
        assert not (await client.call_tool("delete_file", {"path": "dir"})).is_error
    assert os.listdir(folder) == ["link"]
    assert os.listdir(folder.parent / "outside") == ["secret.txt"]


def no_links(self: Folder, source: str, target: str, other: Folder | None = None) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_without_hard_links_a_move_still_never_replaces_a_file(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "link", no_links)
    (folder / "a").write_bytes(b"old")
    (folder / "b").write_bytes(b"other")
    root = root_of(writable=True)
    with pytest.raises(FileRefusedError, match="exists already"):
        move(root, ("a",), ("b",), hash_of(b"old"), 100)
    assert (folder / "b").read_bytes() == b"other"
    assert move(root, ("a",), ("c",), hash_of(b"old"), 100) == hash_of(b"old")
    assert (folder / "c").read_bytes() == b"old"
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "replace", no_links)
        with pytest.raises(FileRefusedError, match="operation not permitted"):
            move(root, ("c",), ("d",), hash_of(b"old"), 100)
    assert sorted(os.listdir(folder)) == ["b", "c"]


@pytest.mark.parametrize("moment", ["before the link", "after the link"])
def test_a_file_that_is_replaced_during_a_move_is_kept(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    (folder / "a").write_bytes(b"old")
    link = Folder.link

    def swap() -> None:
        (folder / "next").symlink_to("../outside/secret.txt")
        os.replace(folder / "next", folder / "a")

    def late(self: Folder, source: str, target: str, other: Folder | None = None) -> None:
        if moment == "before the link":
            swap()
        link(self, source, target, other)
        if moment == "after the link":
            swap()

    monkeypatch.setattr(Folder, "link", late)
    with pytest.raises(FileRefusedError, match="was replaced by another program meanwhile"):
        move(root_of(writable=True), ("a",), ("b",), hash_of(b"old"), 100)
    assert os.listdir(folder) == ["a"]
    assert (folder / "a").is_symlink()


def test_a_file_that_is_replaced_during_a_deletion_is_kept(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a").write_bytes(b"old")
    opened = Folder.open

    def late(self: Folder, name: str, flags: int = os.O_RDONLY) -> int:
        descriptor = opened(self, name, flags)
        (folder / "next").write_bytes(b"by another")
        os.replace(folder / "next", folder / "a")
        return descriptor

    monkeypatch.setattr(Folder, "open", late)
    with pytest.raises(FileRefusedError, match="was replaced by another program meanwhile"):
        delete(root_of(writable=True), ("a",), hash_of(b"old"), 100)
    assert (folder / "a").read_bytes() == b"by another"
