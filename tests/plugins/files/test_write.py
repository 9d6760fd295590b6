from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.types import CallToolResult, TextContent

from mcp_host.encodings import readable
from mcp_plugin_files.diffs import diff_of
from mcp_plugin_files.edits import Edit, edited
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folders import Folder
from mcp_plugin_files.roots import Root
from mcp_plugin_files.writing import create, replace

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]
RootOf = Callable[..., Root]

pytestmark = pytest.mark.anyio

WRITABLE = {"writable": True}


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert result.structured_content is not None, result.content
    return dict(result.structured_content)


async def hash_read(client: Client, path: str) -> str:
    about = (await client.call_tool("read_file", {"path": path})).content[0]
    assert isinstance(about, TextContent)
    found = re.search(r"hash ([0-9a-f]{16})", about.text)
    assert found
    return found[1]


async def test_the_writing_tools_are_served_only_if_a_root_is_writable(served: Served) -> None:
    reading = ["list_files", "read_file", "search_files"]
    async with served() as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == reading
    async with served(WRITABLE) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == [*reading, "write_file", "edit_file", "move_file", "delete_file"]
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (tool.name in reading)


async def test_a_new_file_is_written_with_the_folders_it_needs(served: Served, folder: Path) -> None:
    async with served(WRITABLE) as client:
        written = await call(client, "write_file", path="x/y/a.txt", text="café\r\n")
        assert await hash_read(client, "x/y/a.txt") == written["hash"]
    data = "café\r\n".encode()
    assert (folder / "x/y/a.txt").read_bytes() == data
    assert written == {
        "root": "docs",
        "path": "x/y/a.txt",
        "uri": "files://docs/x/y/a.txt",
        "size": len(data),
        "hash": hash_of(data),
        "created": True,
        "diff": None,
    }
    assert os.listdir(folder / "x/y") == ["a.txt"]


async def test_a_file_is_not_overwritten_unseen(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "a").write_text("old")
    (folder / "dir").mkdir()
    (folder / "link").symlink_to("../outside/secret.txt")
    (folder / "dangling").symlink_to("../outside/new.txt")
    async with served(WRITABLE) as client:
        for path in ("a", "dir", "link", "dangling"):
            text = refused(await client.call_tool("write_file", {"path": path, "text": "new"}))
            assert text.startswith(f"files://docs/{path} exists already. To replace it, read it")
        stale = refused(
            await client.call_tool("write_file", {"path": "a", "text": "new", "expected_hash": hash_of(b"older")})
        )
        through = refused(
            await client.call_tool("write_file", {"path": "link", "text": "new", "expected_hash": hash_of(b"OUTSIDE")})
        )
        absent = refused(
            await client.call_tool("write_file", {"path": "gone", "text": "new", "expected_hash": hash_of(b"")})
        )
    assert stale == "files://docs/a has changed since you read it: its hash is different. Read it again first."
    assert "is a symbolic link" in through
    assert absent == "files://docs/gone does not exist."
    assert (folder / "a").read_text() == "old"
    assert (folder.parent / "outside/secret.txt").read_text() == "OUTSIDE"
    assert sorted(os.listdir(folder)) == ["a", "dangling", "dir", "link"]
    assert os.listdir(folder.parent / "outside") == ["secret.txt"]


async def test_a_seen_file_is_replaced_and_keeps_its_permissions(served: Served, folder: Path) -> None:
    (folder / "run.sh").write_text("old")
    (folder / "run.sh").chmod(0o750)
    async with served(WRITABLE) as client:
        seen = await hash_read(client, "run.sh")
        written = await call(client, "write_file", path="run.sh", text="new", expected_hash=seen)
        again = await call(
            client, "write_file", path="run.sh", text="newer", expected_hash=f" {written['hash'].upper()} "
        )
    assert not written["created"]
    assert again["hash"] == hash_of(b"newer")
    assert (folder / "run.sh").read_text() == "newer"
    assert (folder / "run.sh").stat().st_mode & 0o7777 == 0o750
    async with served(WRITABLE) as client:
        for mode in (0o666, 0o600, 0o4755):
            (folder / "run.sh").chmod(mode)
            seen = await hash_read(client, "run.sh")
            await call(client, "write_file", path="run.sh", text=f"for {mode}", expected_hash=seen)
            assert (folder / "run.sh").stat().st_mode & 0o7777 == mode & 0o777


async def test_replacing_one_name_of_a_file_does_not_change_its_other_name(served: Served, folder: Path) -> None:
    os.link(folder.parent / "outside/secret.txt", folder / "a")
    async with served(WRITABLE) as client:
        await call(client, "write_file", path="a", text="new", expected_hash=hash_of(b"OUTSIDE"))
    assert (folder.parent / "outside/secret.txt").read_text() == "OUTSIDE"


async def test_only_one_of_several_writers_who_saw_the_same_text_wins(
    served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    creating, replacing = Folder.create, Folder.replace

    def slow(self: Folder, name: str, mode: int = 0o666) -> int:
        threading.Event().wait(0.02)  # so that writers overlap if there is no lock
        return creating(self, name, mode)

    def slower(self: Folder, source: str, target: str) -> None:
        threading.Event().wait(0.02)
        replacing(self, source, target)

    monkeypatch.setattr(Folder, "create", slow)
    monkeypatch.setattr(Folder, "replace", slower)
    (folder / "a").write_text("old")
    results: list[CallToolResult] = []

    async def write(client: Client, number: int) -> None:
        arguments = {"path": "a", "text": f"by {number}", "expected_hash": hash_of(b"old")}
        results.append(await client.call_tool("write_file", arguments))

    async def make(client: Client, number: int) -> None:
        results.append(await client.call_tool("write_file", {"path": "new", "text": f"by {number}"}))

    async with served(WRITABLE) as client:
        for work in (write, make):
            results.clear()
            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(work, client, number)
            assert [result.is_error for result in results].count(False) == 1
    assert sorted(os.listdir(folder)) == ["a", "new"]


async def test_an_edit_changes_one_passage_and_keeps_encoding_mark_and_line_ends(served: Served, folder: Path) -> None:
    (folder / "w.txt").write_bytes("\ufeffone\r\ntwo\r\nthree\r\n".encode("utf-16-le"))
    (folder / "l.txt").write_bytes("Käse\nWurst\n".encode("cp1252"))
    async with served({**WRITABLE, "encoding": "cp1252"}) as client:
        seen = await hash_read(client, "w.txt")
        first = await call(
            client, "edit_file", path="w.txt", old_text="two\nthree", new_text="2\n3", expected_hash=seen
        )
        await call(client, "edit_file", path="w.txt", old_text="one", new_text="", expected_hash=first["hash"])
        seen = await hash_read(client, "l.txt")
        await call(client, "edit_file", path="l.txt", old_text="Wurst", new_text="Brötchen", expected_hash=seen)
    assert (folder / "w.txt").read_bytes() == "\ufeff\r\n2\r\n3\r\n".encode("utf-16-le")
    assert (folder / "l.txt").read_bytes() == "Käse\nBrötchen\n".encode("cp1252")


async def test_an_edit_that_is_not_exact_is_refused_and_changes_nothing(
    served: Served, folder: Path, refused: Refused
) -> None:
    (folder / "a").write_text("aaa b aaa")
    (folder / "bin").write_bytes(b"a\0b")
    (folder / "odd").write_bytes("\ufeffa\0".encode("utf-16-le") + b"\x00\xd8")
    (folder / "latin").write_bytes("é".encode("cp1252"))
    arguments = {"path": "a", "new_text": "x", "expected_hash": hash_of(b"aaa b aaa")}
    async with served({**WRITABLE, "encoding": "cp1252"}) as client:

        async def text(**changes: Any) -> str:
            return refused(await client.call_tool("edit_file", {**arguments, **changes}))

        assert "is in files://docs/a more than once" in await text(old_text="aaa")
        assert "more than once" in await text(old_text="aa")
        assert "old_text is not in files://docs/a" in await text(old_text="c")
        assert "old_text is empty" in await text(old_text="")
        assert "has changed since you read it" in await text(old_text="b", expected_hash="0" * 16)
        assert "expected_hash" in await text(old_text="b", expected_hash="none")
        assert "is not text" in await text(old_text="b", path="bin", expected_hash=hash_of(b"a\0b"))
        odd = (folder / "odd").read_bytes()
        assert "is not text" in await text(old_text="a", path="odd", expected_hash=hash_of(odd))
        latin = hash_of("é".encode("cp1252"))
        assert "windows-1252, which does not have the character '体'" in await text(
            old_text="é", new_text="体", path="latin", expected_hash=latin
        )
    assert (folder / "a").read_text() == "aaa b aaa"
    assert sorted(os.listdir(folder)) == ["a", "bin", "latin", "odd"]


async def test_a_file_that_may_not_be_written_is_refused(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "out").symlink_to("../outside")
    (folder / "file").write_text("x")
    os.mkfifo(folder / "fifo")
    roots = {"docs": {"path": "docs", "writable": True}, "fixed": "docs"}
    async with served(roots=roots, max_bytes=1024) as client:

        async def text(path: str, text: str = "x", root: str = "docs", **more: Any) -> str:
            return refused(await client.call_tool("write_file", {"root": root, "path": path, "text": text, **more}))

        assert await text("a", root="fixed") == (
            "The root 'fixed' is read-only: the settings have no roots.fixed.writable = true."
        )
        assert "roots.docs.hidden" in await text(".bashrc")
        assert "roots.docs.hidden" in await text(".git/hooks/pre-commit")
        assert "roots.docs.ignore" in await text("node_modules/x.js")
        assert "is a symbolic link" in await text("out/new.txt")
        assert "has a '..'" in await text("../outside/new.txt")
        assert "is absolute" in await text("/etc/cron.d/x")
        assert "is not a folder" in await text("file/x")
        assert await text("") == "Give the path of a file inside the root."
        assert "exists already" in await text("fifo")
        assert "is a FIFO" in await text("fifo", expected_hash="0" * 16)
        assert "at most 1024 may be written" in await text("big", "é" * 600)
        assert "too long for the file system" in await text("n" * 300)
        (folder / "big").write_text("x" * 2000)
        assert "larger than the 1024 bytes" in await text("big", expected_hash=hash_of(b"x" * 2000))
    assert sorted(os.listdir(folder)) == ["big", "fifo", "file", "out"]
    assert os.listdir(folder.parent / "outside") == ["secret.txt"]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Exception, match="files://docs/a was not written: no space is left on the device"):
        create(root_of(writable=True), ("a",), b"data")
    assert os.listdir(folder) == []


def test_without_hard_links_a_new_file_still_never_replaces_an_old_one(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = root_of(writable=True)
    linked: list[str] = []

    def no_links(self: Folder, source: str, target: str) -> None:
        linked.append(target)
        if target == "late":
            (folder / "late").write_text("by another")
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Folder, "link", no_links)
    create(root, ("a",), b"data")
    with pytest.raises(Exception, match="exists already"):
        create(root, ("late",), b"data")
    assert linked == ["a", "late"]
    assert (folder / "a").read_bytes() == b"data"
    assert (folder / "late").read_text() == "by another"
    assert sorted(os.listdir(folder)) == ["a", "late"]


def test_a_file_that_changes_while_the_draft_is_written_is_kept(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a").write_text("old")
    make = Folder.create

    def late(self: Folder, name: str, mode: int = 0o666) -> int:
        (folder / "a").write_text("by another")
        return make(self, name, mode)

    monkeypatch.setattr(Folder, "create", late)
    with pytest.raises(Exception, match="has changed since you read it"):
        replace(root_of(writable=True), ("a",), b"new", hash_of(b"old"), 100)
    assert (folder / "a").read_text() == "by another"
    assert os.listdir(folder) == ["a"]


def test_a_file_created_between_the_check_and_the_link_is_kept(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Folder.link

    def late(self: Folder, source: str, target: str) -> None:
        (folder / "a").write_text("by another")
        link(self, source, target)

    monkeypatch.setattr(Folder, "link", late)
    with pytest.raises(Exception, match="exists already"):
        create(root_of(writable=True), ("a",), b"data")
    assert (folder / "a").read_text() == "by another"
    assert os.listdir(folder) == ["a"]


@pytest.mark.parametrize(
    ("data", "old", "new", "expected"),
    [
        ("Müller\r\n".encode("cp1252"), "Müller", "Möller \u2013 5 €", "Möller \u2013 5 €\r\n".encode("cp1252")),
        (b"\xff " + "Größe und\n".encode() * 3, "Größe und\nGröße und\nG", "g", b"\xff g" + "röße und\n".encode()),
        (
            "größe ".encode() + b"\xff\xfe!\r\n",
            "\ufffd\ufffd!\n",
            "\ufffd\ufffd?\n",
            "größe ".encode() + b"\xff\xfe?\r\n",
        ),
        ("\ufeffmany x".encode("utf-16-le") + b"\x00\xd8", "x", "b", "\ufeffmany b".encode("utf-16-le") + b"\x00\xd8"),
        ("\ufeffä\r\n".encode(), "ä\n", "ö\nü\n", "\ufeffö\r\nü\r\n".encode()),
    ],
)
async def test_an_edit_keeps_the_encoding_and_the_bytes_that_are_not_valid(
    served: Served, folder: Path, data: bytes, old: str, new: str, expected: bytes
) -> None:
    (folder / "a").write_bytes(data)
    async with served(WRITABLE) as client:
        seen = await hash_read(client, "a")
        await call(client, "edit_file", path="a", old_text=old, new_text=new, expected_hash=seen)
    assert (folder / "a").read_bytes() == expected


async def test_only_ascii_is_written_to_a_text_whose_encoding_is_wrongly_guessed(
    served: Served, folder: Path, refused: Refused
) -> None:
    (folder / "a").write_bytes("Łódź: Ťuťuk\x8d Ende".encode("cp1250", "replace") + b"\x81")
    before = (folder / "a").read_bytes()
    async with served(WRITABLE) as client:
        seen = await hash_read(client, "a")
        arguments = {"path": "a", "old_text": "Ende", "expected_hash": seen}
        answer = refused(await client.call_tool("edit_file", {**arguments, "new_text": "Schluß"}))
        await call(client, "edit_file", **arguments, new_text="Schluss")
    assert "new text must be ASCII" in answer
    assert (folder / "a").read_bytes() == before.replace(b"Ende", b"Schluss")


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        ("one\r\ntwo\r\n", "two", "2a\n2b", "one\r\n2a\r\n2b\r\n"),
        ("one\r\ntwo\r\n", "two\n", "2a\r\n2b\r\n", "one\r\n2a\r\n2b\r\n"),
        ("one\ntwo\n", "two", "2a\r\n2b", "one\n2a\n2b\n"),
        ("one\rtwo\rthree", "three", "3\n4", "one\rtwo\r3\r4"),
        ("one\rtwo\rthree", "one\ntwo", "1\n2", "1\r2\rthree"),
        ("a\nb\r\nc\rd", "a\nb\nc\nd", "a\nb\nX\nc\nd", "a\nb\r\nX\r\nc\rd"),
        ("a\nb\r\nc\rd", "a\nb\nc", "A\nB\nC", "A\nB\r\nC\rd"),
        ("a\r\nb\nc\n", "b\n", "", "a\r\nc\n"),
        ("a\r\nb", "\nb", "\nc\nd", "a\r\nc\r\nd"),
        ("a\r\nlast", "last", "end", "a\r\nend"),
        ("a\r\n", "a", "b\nb", "b\r\nb\r\n"),
        ("a\r\nb\r\n", "a\nb\n", "b\n", "b\r\n"),
        ("only", "only", "a\r\nb\r\n", "a\r\nb\r\n"),
        ("a\r\nb\na\nb", "a\r\nb", "c", "c\na\nb"),
        ("a\u2028b\x0cc\r\n", "b\x0cc", "b\x0c\n\u2028d", "a\u2028b\x0c\r\n\u2028d\r\n"),
        ("x \udcff y\r\nz", "x \ufffd y\nz", "X \ufffd Y\nz", "X \udcff Y\r\nz"),
        ("\udcff \udcfe", "\ufffd \ufffd", "\ufffd-\ufffd", "\udcff-\udcfe"),
        ("\udcff \udcfe", "\ufffd \ufffd", " \ufffd", " \udcfe"),
        ("\udcff b", "\ufffd b", "b", "b"),
        ("\ufffd b", "\ufffd b", "b \ufffd\ufffd", "b \ufffd\ufffd"),
    ],
)
def test_an_edit_is_exact_and_keeps_line_ends(text: str, old: str, new: str, expected: str) -> None:
    assert edited(text, Edit(old, new), "f") == expected


@pytest.mark.parametrize(
    ("text", "old", "new", "reason"),
    [
        ("a\r\nb\na\nb", "b\na\nc", "c", "old_text is not in f"),
        ("a\r\nb\r\na\nb", "b", "c", "more than once"),
        ("a\r\nb\r\n", "\r\n", "\n", "does not change line ends"),
        ("a\r\nb\r\n", "\n", "", "more than once"),
        ("a\udcffb\udcfec", "\ufffdb\ufffd", "x\ufffdx", "U+FFFD 1 times where old_text has it 2 times"),
    ],
)
def test_an_edit_that_is_not_clear_is_refused(text: str, old: str, new: str, reason: str) -> None:
    with pytest.raises(FileRefusedError, match=re.escape(reason)):
        edited(text, Edit(old, new), "f")


ENDS = st.lists(st.sampled_from(["a", "b", "\n", "\r\n", "\r", "\udcff"]), max_size=12).map("".join)


@given(ENDS, ENDS, ENDS, st.booleans())
def test_an_edit_changes_nothing_before_and_after_the_passage(before: str, after: str, new: str, same: bool) -> None:
    middle = "[x\ny]"
    text = f"{before}{middle}{after}"
    made = edited(text, Edit(middle, f"[x\n{readable(new)}Y]" if same else readable(new)), "f")
    assert made.startswith(before)
    assert made.endswith(after)
    ends = {end for end in ("\r\n", "\r") if end in text.replace("\r\n", "") or (end == "\r\n" and end in text)}
    if not ends:
        assert "\r" not in made


def test_a_long_passage_is_replaced_quickly() -> None:
    lines = [f"{number % 7}\r\n" for number in range(20_000)]
    made = edited("".join(lines), Edit("".join(lines), "new\n" + "x\n".join(lines[1:-1]) + lines[-1]), "f")
    assert made.count("\r\n") == made.count("\n")


async def test_several_edits_are_all_made_or_none(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "a").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    edits = [{"old_text": "one", "new_text": "1"}, {"old_text": "1\ntwo", "new_text": "1\n2"}]
    async with served(WRITABLE) as client:
        seen = await hash_read(client, "a")
        arguments = {"path": "a", "expected_hash": seen}
        wrong = [*edits, {"old_text": "four", "new_text": "4"}]
        text = refused(await client.call_tool("edit_file", {**arguments, "edits": wrong}))
        assert text.startswith("Edit 3: old_text is not in files://docs/a")
        assert (folder / "a").read_bytes() == b"one\r\ntwo\r\nthree\r\n"
        bad: list[dict[str, Any]] = [
            {},
            {"old_text": "a"},
            {"edits": []},
            {"old_text": "a", "new_text": "b", "edits": edits},
        ]
        for each in bad:
            text = refused(await client.call_tool("edit_file", {**arguments, **each}))
            assert text == "Give either old_text and new_text, or edits."
        written = await call(client, "edit_file", **arguments, edits=edits)
    assert (folder / "a").read_bytes() == b"1\r\n2\r\nthree\r\n"
    assert written["hash"] == hash_of(b"1\r\n2\r\nthree\r\n")


async def test_a_dry_run_returns_a_diff_and_changes_nothing(served: Served, folder: Path, refused: Refused) -> None:
    data = "".join(f"line {number}\r\n" for number in range(1, 9)).encode() + "é\n".encode()
    (folder / "a").write_bytes(data)
    async with served(WRITABLE) as client:
        arguments = {"path": "a", "expected_hash": hash_of(data), "dry_run": True}
        edited = await call(client, "edit_file", **arguments, old_text="line 2", new_text="zwei")
        replaced = await call(client, "write_file", **arguments, text="new")
        fresh = await call(client, "write_file", path="new/b", text="x\ny", dry_run=True)
        taken = refused(await client.call_tool("write_file", {"path": "a", "text": "x", "dry_run": True}))
        stale = refused(await client.call_tool("write_file", {**arguments, "text": "x", "expected_hash": "0" * 16}))
    assert edited["diff"] == ("--- a/a\n+++ b/a\n@@ -1,5 +1,5 @@\n line 1\n-line 2\n+zwei\n line 3\n line 4\n line 5\n")
    assert (edited["hash"], edited["size"]) == (hash_of(data), len(data))
    assert replaced["diff"].endswith("-é\n+new\n\\ No newline at end of file\n")
    assert fresh["diff"] == "--- a/new/b\n+++ b/new/b\n@@ -0,0 +1,2 @@\n+x\n+y\n\\ No newline at end of file\n"
    assert (fresh["hash"], fresh["created"]) == (None, False)
    assert "exists already" in taken
    assert "has changed since you read it" in stale
    assert os.listdir(folder) == ["a"]
    assert (folder / "a").read_bytes() == data


def test_a_diff_of_a_long_text_is_quick_and_can_be_applied(folder: Path) -> None:
    before = "".join(f"{number % 10}\n" for number in range(30_000))
    after = before.replace("7\n8\n", "seven\n8\n", 1)[:-2] + "last"
    for old, new in [(before, after), (after, before), (before, before + "x\n"), ("a\n", "b")]:
        (folder / "f").write_text(old)
        (folder.parent / "patch").write_text(diff_of("f", old, new, 10**9))
        subprocess.run(["git", "apply", "--unsafe-paths", "../patch"], cwd=folder, check=True)
        assert (folder / "f").read_text() == new
    cut = diff_of("f", before, after, 1000)
    assert len(cut) < 1100
    assert "(cut here: the diff has" in cut
