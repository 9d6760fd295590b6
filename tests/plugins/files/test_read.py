from __future__ import annotations

import base64
import hashlib
import os
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    TextContent,
)

from mcp_plugin_files.folders import BY_DESCRIPTOR
from mcp_plugin_files.reading import Span, excerpt_of_text, read_up_to

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def texts(result: CallToolResult) -> list[str]:
    assert not result.is_error, result.content
    return [block.text for block in result.content if isinstance(block, TextContent)]


async def test_a_text_is_returned_unchanged_with_a_line_about_it(served: Served, folder: Path) -> None:
    text = "one\r\ntwo\n\nfour \u2028 still four"
    (folder / "a.md").write_bytes(text.encode())
    async with served() as client:
        about, given = texts(await client.call_tool("read_file", {"root": "docs", "path": "a.md"}))
    assert given == text
    hash_ = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert about == f"files://docs/a.md, lines 1 to 4 of 4, utf-8, {len(text.encode())} bytes, hash {hash_}"


@pytest.mark.parametrize(
    ("start", "end", "lines", "text"),
    [
        (1, 1, "lines 1 to 1 of 3", "a\n"),
        (2, None, "lines 2 to 3 of 3", "b\nc"),
        (2, 99, "lines 2 to 3 of 3", "b\nc"),
        (3, 3, "lines 3 to 3 of 3", "c"),
    ],
)
async def test_some_lines_of_a_text_can_be_read(
    served: Served, folder: Path, start: int, end: int | None, lines: str, text: str
) -> None:
    (folder / "a").write_text("a\nb\nc")
    async with served() as client:
        about, given = texts(await client.call_tool("read_file", {"path": "a", "start_line": start, "end_line": end}))
    assert given == text
    assert f", {lines}, " in about


async def test_lines_that_do_not_exist_are_refused(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "a").write_text("a\nb\n")
    async with served() as client:
        beyond = refused(await client.call_tool("read_file", {"path": "a", "start_line": 3}))
        turned = refused(await client.call_tool("read_file", {"path": "a", "start_line": 3, "end_line": 2}))
        zero = refused(await client.call_tool("read_file", {"path": "a", "start_line": 0}))
    assert beyond == "files://docs/a has 2 lines: there is no line 3."
    assert turned == "end_line is 2, before start_line, which is 3."
    assert "start_line" in zero


async def test_the_last_lines_can_be_read(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "a").write_text("a\nb\nc\n")
    (folder / "cr").write_bytes(b"a\rb\rc")
    async with served() as client:
        about, given = texts(await client.call_tool("read_file", {"path": "a", "tail": 2}))
        assert given == "b\nc\n"
        assert ", lines 2 to 3 of 3, " in about
        about, given = texts(await client.call_tool("read_file", {"path": "cr", "tail": 2}))
        assert given == "b\rc"
        assert ", lines 2 to 3 of 3, " in about
        assert texts(await client.call_tool("read_file", {"path": "a", "tail": 99}))[1] == "a\nb\nc\n"
        both = refused(await client.call_tool("read_file", {"path": "a", "tail": 1, "start_line": 2}))
    assert both == "Give either tail, or start_line and end_line."
    (folder / "long").write_text("".join(f"{number:04}\n" for number in range(1, 1001)))
    async with served(max_characters=100) as client:
        about, given = texts(await client.call_tool("read_file", {"path": "long", "tail": 50}))
    assert given == "".join(f"{number:04}\n" for number in range(981, 1001))
    assert ", lines 981 to 1000 of 1000, " in about
    assert about.endswith("cut before these lines")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "cp1252"])
async def test_the_last_lines_of_a_large_file_can_be_read(served: Served, folder: Path, encoding: str) -> None:
    lines = [f"{number:04} é\r\n" for number in range(1, 1001)]
    (folder / "a").write_bytes("".join(lines).encode(encoding))
    (folder / "one").write_bytes(("é" * 5000 + "end").encode(encoding))
    async with served(max_bytes=1024, max_characters=200) as client:
        about, given = texts(await client.call_tool("read_file", {"path": "a", "tail": 3}))
        assert given == "".join(lines[-3:])
        assert ", the last 3 lines, " in about
        assert "cut" not in about.split("changed")[1]
        about, given = texts(await client.call_tool("read_file", {"path": "a", "tail": 500}))
        assert given == "".join(lines[-25:])
        assert about.endswith("cut before these lines")
        about, given = texts(await client.call_tool("read_file", {"path": "one", "tail": 1}))
        assert given == "é" * 197 + "end"


async def test_several_files_are_read_in_one_call(served: Served, folder: Path) -> None:
    (folder / "a").write_text("one\n")
    (folder / "b").write_text("two\n")
    (folder / "p").write_bytes(PNG)
    async with served() as client:
        result = await client.call_tool("read_file", {"path": ["a", "gone", "p", str(folder / "b")]})
    assert not result.is_error
    about_a, a, gone, _, picture, about_b, b = result.content
    assert isinstance(picture, ImageContent)
    given = [block.text for block in (about_a, a, gone, about_b, b) if isinstance(block, TextContent)]
    assert given[0].startswith("files://docs/a, ")
    assert given[1:3] == ["one\n", "gone: files://docs/gone does not exist."]
    assert given[3].startswith("files://docs/b, ")
    assert given[4] == "two\n"


async def test_several_files_together_have_the_limits_of_one(served: Served, folder: Path) -> None:
    for number in range(5):
        (folder / str(number)).write_text("x" * 60 + "\n")
        (folder / f"p{number}").write_bytes(PNG + bytes(700))
    async with served(max_characters=200, max_bytes=1024) as client:
        result = texts(await client.call_tool("read_file", {"path": [str(number) for number in range(5)]}))
        assert sum(len(text) for text in result if set(text) <= set("x\n")) <= 200
        assert result[-1].startswith("4: Not read, because the result is long enough")
        pictures = await client.call_tool("read_file", {"path": [f"p{number}" for number in range(5)]})
    assert len([block for block in pictures.content if isinstance(block, ImageContent)]) == 2


async def test_lines_that_end_with_cr_only_are_counted(served: Served, folder: Path) -> None:
    (folder / "a").write_bytes(b"one\rtwo\rthree")
    (folder / "large").write_bytes(b"one\rtwo\r" + b"x\r" * 1000)
    async with served(max_bytes=1024) as client:
        for name in ("a", "large"):
            arguments = {"path": name, "start_line": 2, "end_line": 2}
            assert texts(await client.call_tool("read_file", arguments))[1] == "two\r"


async def test_an_empty_file_has_no_lines(served: Served, folder: Path) -> None:
    (folder / "a").touch()
    async with served() as client:
        about, text = texts(await client.call_tool("read_file", {"path": "a"}))
    assert text == ""
    assert "no lines, utf-8, 0 bytes" in about


async def test_a_long_text_is_cut_at_a_line_and_the_result_says_where_to_continue(served: Served, folder: Path) -> None:
    lines = [f"line {number}\n" for number in range(1, 1001)]
    (folder / "a").write_text("".join(lines))
    async with served(max_characters=100) as client:
        given, start, calls = "", 1, 0
        while True:
            about, text = texts(await client.call_tool("read_file", {"path": "a", "start_line": start}))
            assert 0 < len(text) <= 100
            given += text
            calls += 1
            if "cut here" not in about:
                break
            start = int(about.rpartition("start_line=")[2])
    assert given == "".join(lines)
    assert calls > 50


async def test_a_line_longer_than_the_limit_is_cut_inside(served: Served, folder: Path) -> None:
    (folder / "a").write_text("x" * 1000 + "\nnext\n")
    async with served(max_characters=100) as client:
        about, text = texts(await client.call_tool("read_file", {"path": "a"}))
        _, rest = texts(await client.call_tool("read_file", {"path": "a", "start_line": 2}))
    assert text == "x" * 100
    assert about.endswith("cut here: go on with start_line=2")
    assert rest == "next\n"


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (b"\xef\xbb\xbfcaf\xc3\xa9", "utf-8 with a byte order mark", "café"),
        ("\ufeffcafé\n".encode("utf-16-le"), "utf-16le with a byte order mark", "café\n"),
        ("\ufeffcafé\n".encode("utf-16-be"), "utf-16be with a byte order mark", "café\n"),
        ("\ufeffcafé\n".encode("utf-32-le"), "utf-32le with a byte order mark", "café\n"),
    ],
)
async def test_a_text_with_a_byte_order_mark_is_read(
    served: Served, folder: Path, data: bytes, encoding: str, text: str
) -> None:
    (folder / "a").write_bytes(data)
    async with served() as client:
        about, given = texts(await client.call_tool("read_file", {"path": "a"}))
    assert given == text
    assert f", {encoding}, " in about


@pytest.mark.parametrize("text", ["Müller\n", "Straße café\nnaïve\n", "€5", "\u201cÉ\u201d", "é"])
async def test_a_short_text_in_an_older_encoding_is_read(served: Served, folder: Path, text: str) -> None:
    (folder / "a").write_bytes(text.encode("cp1252"))
    async with served() as client:
        about, given = texts(await client.call_tool("read_file", {"path": "a"}))
        assert given == text
        assert ", windows-1252, guessed, " in about
    async with served({"encoding": "latin-1"}) as client:
        about, given = texts(await client.call_tool("read_file", {"path": "a"}))
        assert given == text
        assert ", windows-1252, " in about
        assert "guessed" not in about


@pytest.mark.parametrize("encoding", ["gbk", "GB2312", "big5"])
async def test_an_encoding_in_the_settings_is_used_for_text_that_is_not_utf_8(
    served: Served, folder: Path, encoding: str
) -> None:
    (folder / "a").write_bytes("你好".encode(encoding))
    (folder / "b").write_text("你好", encoding="utf-8")
    async with served({"encoding": encoding}) as client:
        for name in ("a", "b"):
            assert texts(await client.call_tool("read_file", {"path": name}))[1] == "你好"


async def test_bytes_that_are_not_valid_are_shown_and_counted(served: Served, folder: Path) -> None:
    (folder / "a").write_bytes("Größe \ufffd\n".encode() * 5 + b"bad \xff\xfe byte\n")
    async with served() as client:
        about, given = texts(await client.call_tool("read_file", {"path": "a"}))
    assert given == "Größe \ufffd\n" * 5 + "bad \ufffd\ufffd byte\n"
    assert ", utf-8, 2 bytes are not valid and shown as U+FFFD, " in about


async def test_images_sounds_and_other_bytes_are_returned_as_such(served: Served, folder: Path) -> None:
    files = {
        "p.bin": PNG,
        "s.mp3": b"ID3\0\0",
        "d.pdf": b"%PDF-1.7\0",
        "fake.png": b"no\0picture",
        "x.gz": b"\x1f\x8b\0",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    blocks = {}
    async with served() as client:
        for name in files:
            result = await client.call_tool("read_file", {"path": name})
            assert isinstance(result.content[0], TextContent)
            assert f"hash {hashlib.sha256(files[name]).hexdigest()[:16]}" in result.content[0].text
            blocks[name] = result.content[1]
    picture, sound = blocks["p.bin"], blocks["s.mp3"]
    assert isinstance(picture, ImageContent)
    assert (picture.mime_type, base64.b64decode(picture.data)) == ("image/png", PNG)
    assert isinstance(sound, AudioContent)
    assert sound.mime_type == "audio/mpeg"
    for name, mime_type in [
        ("d.pdf", "application/pdf"),
        ("fake.png", "application/octet-stream"),
        ("x.gz", "application/octet-stream"),
    ]:
        block = blocks[name]
        assert isinstance(block, EmbeddedResource)
        assert isinstance(block.resource, BlobResourceContents)
        assert (block.resource.uri, block.resource.mime_type) == (f"files://docs/{name}", mime_type)
        assert base64.b64decode(block.resource.blob) == files[name]


async def test_a_large_text_is_read_by_lines_and_a_large_binary_file_is_refused(
    served: Served, folder: Path, refused: Refused
) -> None:
    (folder / "a").write_text("".join(f"{number}\n" for number in range(1, 5001)))
    (folder / "b").write_bytes(bytes(5000))
    async with served(max_bytes=1024, max_scan_bytes=10_000) as client:
        about, text = texts(await client.call_tool("read_file", {"path": "a", "start_line": 900, "end_line": 901}))
        late = refused(await client.call_tool("read_file", {"path": "a", "start_line": 4999}))
        binary = refused(await client.call_tool("read_file", {"path": "b"}))
    assert text == "900\n901\n"
    assert "has no hash and cannot be changed" in about
    assert "line 4999 is not within the first 10000" in late
    assert binary == "files://docs/b is not text and has 5000 bytes, more than max_bytes allows."


async def test_a_huge_sparse_file_is_read_only_up_to_the_limit(served: Served, folder: Path, refused: Refused) -> None:
    with (folder / "huge").open("wb") as file:
        file.write(b"first\n")
        file.truncate(2**40)
    with (folder / "zeros").open("wb") as file:
        file.truncate(2**40)
    with anyio.fail_after(60):
        async with served(max_scan_bytes=1_000_000) as client:
            zeros = refused(await client.call_tool("read_file", {"path": "zeros"}))
            huge = refused(await client.call_tool("read_file", {"path": "huge"}))
            found = await client.call_tool("search_files", {"pattern": "first"})
    assert f"{2**40} bytes" in zeros
    assert f"{2**40} bytes" in huge
    assert found.structured_content is not None
    assert found.structured_content["matches"] == []
    assert "larger than max_search_bytes" in found.structured_content["notes"][0]


async def test_something_other_than_a_file_is_refused_without_opening_it(
    served: Served, folder: Path, refused: Refused
) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "dir").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("docs/sock")
    with anyio.fail_after(60), listener:
        async with served() as client:
            errors = {
                name: refused(await client.call_tool("read_file", {"path": name}))
                for name in ("fifo", "sock", "zero", "dir", "", "gone", "dir/gone", "gone/x")
            }
    assert errors["fifo"] == "files://docs/fifo is a FIFO, not a file."
    assert errors["sock"] == "files://docs/sock is a socket, not a file."
    assert errors["zero"] == "files://docs/zero is a symbolic link, and links are not followed: name the file itself."
    assert errors["dir"] == "files://docs/dir is a folder, not a file."
    assert errors[""] == "files://docs is a folder, not a file."
    assert errors["gone"] == "files://docs/gone does not exist."
    assert errors["dir/gone"] == "files://docs/dir/gone does not exist."
    assert errors["gone/x"] == "files://docs/gone does not exist."


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can make a device")
async def test_a_device_in_the_root_is_refused(served: Served, folder: Path, refused: Refused) -> None:
    os.mknod(folder / "zero", 0o600 | 0o020000, os.makedev(1, 5))
    async with served() as client:
        text = refused(await client.call_tool("read_file", {"path": "zero"}))
    assert text == "files://docs/zero is a device, not a file."


async def test_hidden_and_ignored_files_are_refused_until_the_settings_allow_them(
    served: Served, folder: Path, refused: Refused
) -> None:
    for name in (".env", ".git/config", "node_modules/x.js", "k.pem"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret")
    async with served({"ignore": ["node_modules/", "*.pem"]}) as client:
        env = refused(await client.call_tool("read_file", {"path": ".env"}))
        git = refused(await client.call_tool("read_file", {"path": ".git/config"}))
        modules = refused(await client.call_tool("read_file", {"path": "node_modules/x.js"}))
        key = refused(await client.call_tool("read_file", {"path": "k.pem"}))
        nothing = refused(await client.call_tool("read_file", {"path": "gone.pem"}))
    assert "roots.docs.hidden = true" in env
    assert "roots.docs.hidden = true" in git
    assert modules == "files://docs/node_modules/x.js is not served: roots.docs.ignore leaves it out."
    assert "roots.docs.ignore" in key
    assert nothing.replace("gone", "k") == key
    async with served({"hidden": True, "ignore": []}) as client:
        for name in (".env", ".git/config", "node_modules/x.js", "k.pem"):
            assert texts(await client.call_tool("read_file", {"path": name}))[1] == "secret"


async def test_a_root_must_be_named_if_there_are_several(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "a").write_text("a")
    async with served(roots={"docs": "docs", "notes": "docs"}) as client:
        unnamed = refused(await client.call_tool("read_file", {"path": "a"}))
        wrong = refused(await client.call_tool("read_file", {"path": "a", "root": "note"}))
        assert texts(await client.call_tool("read_file", {"path": "./a", "root": "notes"}))[1] == "a"
    assert unnamed == "Give the name of a root. Roots: docs, notes."
    assert wrong == "There is no root 'note'. Did you mean 'notes'? Roots: docs, notes."
    async with served(roots={}) as client:
        none = refused(await client.call_tool("read_file", {"path": "a"}))
    assert none == "No folder is served: the settings have no roots."


async def test_a_root_with_a_missing_folder_is_a_clear_error(served: Served, folder: Path, refused: Refused) -> None:
    async with served(roots={"docs": "nowhere"}) as client:
        for tool in ("list_files", "search_files", "read_file"):
            arguments = {"path": "a"} if tool == "read_file" else {"pattern": "a"} if tool == "search_files" else {}
            text = refused(await client.call_tool(tool, arguments))
            assert text == "The folder of the root 'docs' is missing: see roots.docs.path in the settings."


def test_a_file_that_grows_while_it_is_read_is_read_up_to_the_limit(folder: Path) -> None:
    path = folder / "log"
    path.write_bytes(b"x" * 100)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with path.open("ab") as growing:
            growing.write(b"y" * 10_000)
        assert read_up_to(descriptor, 50) == b"x" * 50
        assert len(read_up_to(descriptor, 1000)) == 1000
        assert len(read_up_to(descriptor, 10**9)) == 10_100 - 1050
    finally:
        os.close(descriptor)


def test_excerpts_agree_with_the_lines_of_the_text() -> None:
    text = "a\nbb\n\nccc"
    lines = ["a\n", "bb\n", "\n", "ccc"]
    for first in range(1, 6):
        for last in [None, *range(first, 7)]:
            for room in range(1, 12):
                found = excerpt_of_text(text, Span(first, last), room)
                wanted = lines[first - 1 : last]
                assert found.lines == 4
                assert found.text == "".join(wanted)[: len(found.text)]
                assert found.cut == (found.text != "".join(wanted))
                assert found.last == first - 1 + sum(1 for _ in found.text.splitlines())
                assert len(found.text) <= room


def test_this_system_can_look_up_names_in_open_folders() -> None:
    assert (os.name == "posix") == BY_DESCRIPTOR
