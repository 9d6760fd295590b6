from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_plugin_files import candidates as candidates_module
from mcp_plugin_files.candidates import OpenBatch
from mcp_plugin_files.engines import RE2, Query, Ripgrep, Searched, engine_for
from mcp_plugin_files.listing import Found
from mcp_plugin_files.passages import LINE_CHARACTERS, MATCH_LINES, around
from mcp_plugin_files.roots import Root

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]
RootOf = Callable[..., Root]

pytestmark = pytest.mark.anyio

RG = shutil.which("rg")
needs_ripgrep = pytest.mark.skipif(RG is None, reason="ripgrep is not installed")


@pytest.fixture(params=[pytest.param(True, marks=needs_ripgrep, id="ripgrep"), pytest.param(False, id="re2")])
def engine(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The setting that chooses the engine. Every search must find the same with both."""
    return {"ripgrep": request.param}


async def search(client: Client, pattern: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("search_files", {"pattern": pattern, **arguments})
    assert result.structured_content is not None, result.content
    return dict(result.structured_content)


def lines(found: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(match["path"], match["line"], match["text"]) for match in found["matches"]]


def children() -> list[str]:
    """Return the commands of this process's children."""
    names = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent = rest.split()[:2]
        if int(parent) == os.getpid() and state != "Z":
            names.append(name)
    return names


async def test_lines_are_found_in_all_files_in_order(served: Served, folder: Path, engine: dict[str, Any]) -> None:
    (folder / "sub").mkdir()
    (folder / "b.txt").write_bytes(b"foo\r\nbar foo\r\nno\r\n")
    (folder / "a.md").write_text("a caf\u00e9 Foo")
    (folder / "sub/c.py").write_text("def foo(): ...\n" * 2)
    (folder / "utf16.txt").write_bytes("\ufeffx foo\n".encode("utf-16-le"))
    async with served(**engine) as client:
        foo = [
            ("b.txt", 1, "foo"),
            ("b.txt", 2, "bar foo"),
            ("sub/c.py", 1, "def foo(): ..."),
            ("sub/c.py", 2, "def foo(): ..."),
            ("utf16.txt", 1, "x foo"),
        ]
        found = await search(client, "foo")
        assert lines(found) == foo
        assert (found["files"], found["truncated"], found["notes"]) == (4, False, [])
        assert lines(await search(client, "FOO", ignore_case=True)) == [("a.md", 1, "a caf\u00e9 Foo"), *foo]
        assert lines(await search(client, "foo$")) == [foo[0], foo[1], foo[4]]
        assert lines(await search(client, "^b\\w+ f[o]{2}$")) == [foo[1]]
        assert lines(await search(client, "caf\u00e9")) == [("a.md", 1, "a caf\u00e9 Foo")]
        assert lines(await search(client, "foo", glob="*.py")) == foo[2:4]
        assert lines(await search(client, "foo", path="sub")) == foo[2:4]
        assert lines(await search(client, "foo():", literal=True)) == foo[2:4]
        assert lines(await search(client, "-x", literal=True)) == []
        assert lines(await search(client, "nowhere")) == []
        assert len(lines(await search(client, "$"))) == 7
        assert lines(await search(client, r"\Abar")) == [foo[1]]
        if not engine["ripgrep"]:  # ripgrep reads \z as the end of the text in some files
            assert lines(await search(client, r"foo\z")) == [foo[0], foo[1], foo[4]]
        assert lines(await search(client, r"o[^q]+n")) == []


async def test_only_served_text_files_are_searched(served: Served, folder: Path, engine: dict[str, Any]) -> None:
    for name in (".env", ".git/config", "node_modules/x.js", "k.pem"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("OUTSIDE")
    (folder / "binary").write_bytes(b"\0OUTSIDE")
    (folder / "big").write_text("OUTSIDE" * 1000)
    (folder / "link").symlink_to("../outside/secret.txt")
    (folder / "out").symlink_to("../outside")
    (folder / "loop").symlink_to(".")
    os.mkfifo(folder / "fifo")
    with open(os.fsencode(folder) + b"/\xff", "w") as file:
        file.write("OUTSIDE")
    (folder / "fine").write_text("inside")
    with anyio.fail_after(60):
        async with served({"ignore": ["node_modules/", "*.pem"]}, max_search_bytes=1024, **engine) as client:
            found = await search(client, "OUTSIDE|inside")
    assert lines(found) == [("fine", 1, "inside")]
    assert found["notes"] == [
        "Not shown, because their names are not UTF-8: \\xff.",
        "Not searched, because they are larger than max_search_bytes (1024): 1 files.",
    ]


async def test_a_long_result_and_a_long_line_are_cut(served: Served, folder: Path, engine: dict[str, Any]) -> None:
    for number in range(100):
        (folder / f"f{number:03}").write_text("x\nfoo\n" * 10)
    (folder / "a").write_text("\u00e9" * 5000 + "foo" + "\u00fc" * 5000)
    async with served(max_results=25, **engine) as client:
        found = await search(client, "foo")
    assert len(found["matches"]) == 25
    assert found["truncated"]
    long, *rest = found["matches"]
    assert "\u00e9foo\u00fc" in long["text"]
    assert len(long["text"]) == LINE_CHARACTERS + 6
    assert [(match["path"], match["line"]) for match in rest] == [
        (f"f{number // 10:03}", 2 * (number % 10) + 2) for number in range(24)
    ]


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[z-a]", "(?=look)", "\\p{Nothing}", "*"])
async def test_an_invalid_pattern_is_refused_even_if_there_is_no_file(
    served: Served, engine: dict[str, Any], refused: Refused, pattern: str
) -> None:
    async with served(**engine) as client:
        text = refused(await client.call_tool("search_files", {"pattern": pattern}))
    assert text.startswith("The pattern is not valid: ")
    assert "/proc" not in text


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?<=def )x", "look-ahead and look-behind are not supported"),
        ("x(?!y)", "look-ahead and look-behind are not supported"),
        ("(a)\\1", "references to groups, such as \\1, are not supported"),
        ("(a)\\1\\n", "references to groups, such as \\1, are not supported"),
    ],
)
async def test_what_no_engine_supports_is_explained(
    served: Served, engine: dict[str, Any], refused: Refused, pattern: str, reason: str
) -> None:
    async with served(**engine) as client:
        text = refused(await client.call_tool("search_files", {"pattern": pattern}))
    assert text == f"The pattern is not valid: {reason}."


async def test_one_file_can_be_searched(served: Served, folder: Path, engine: dict[str, Any], refused: Refused) -> None:
    (folder / "src").mkdir()
    (folder / "src/a.py").write_text("def alpha(): pass\n")
    (folder / "src/b.py").write_text("def alpha(): pass\n")
    (folder / "link").symlink_to("src/a.py")
    async with served(**engine) as client:
        alpha = [("src/a.py", 1, "def alpha(): pass")]
        assert lines(await search(client, "alpha", path="src/a.py")) == alpha
        assert lines(await search(client, "alpha", path=str(folder / "src/a.py"))) == alpha
        assert lines(await search(client, "alpha", path="src/a.py", glob="*.py")) == alpha
        assert lines(await search(client, "alpha", path="src/a.py", glob="*.md")) == []
        assert "is a symbolic link" in refused(await client.call_tool("search_files", {"pattern": "a", "path": "link"}))
        gone = refused(await client.call_tool("search_files", {"pattern": "a", "path": "src/A.py"}))
    assert gone == "files://docs/src/A.py does not exist. Did you mean 'src/a.py'?"


async def test_lines_around_a_match_are_shown_with_numbers(
    served: Served, folder: Path, engine: dict[str, Any]
) -> None:
    (folder / "a").write_bytes(b"".join(b"line %d\r\n" % number for number in range(1, 31)))
    async with served(**engine) as client:
        assert lines(await search(client, "line (2|4|11|30)$", context=1)) == [
            ("a", 2, "1- line 1\n2: line 2\n3- line 3\n4: line 4\n5- line 5"),
            ("a", 11, "10- line 10\n11: line 11\n12- line 12"),
            ("a", 30, "29- line 29\n30: line 30"),
        ]


async def test_a_pattern_with_a_line_break_is_matched_across_lines(
    served: Served, folder: Path, engine: dict[str, Any]
) -> None:
    (folder / "a").write_bytes(b"one\r\ntwo\r\nthree\r\none two\r\none\r\n")
    (folder / "b").write_text("x\n" * 100)
    async with served(**engine) as client:
        assert lines(await search(client, r"one\ntwo")) == [("a", 1, "one\ntwo")]
        assert lines(await search(client, "one\ntwo", literal=True)) == [("a", 1, "one\ntwo")]
        assert lines(await search(client, r"^t\w+\n")) == [("a", 2, "two"), ("a", 3, "three")]
        assert lines(await search(client, r"(?s)two.*one$", ignore_case=True)) == [("a", 2, "two\nthree\none two\none")]
        assert lines(await search(client, r"one\ntwo", context=1)) == [("a", 1, "1: one\n2: two\n3- three")]
        assert lines(await search(client, r"(x\n)+")) == [("b", 1, "x\n" * MATCH_LINES + "...")]
        assert lines(await search(client, r"one\\ntwo")) == []


async def test_text_in_other_encodings_and_with_other_line_ends_is_searched(
    served: Served, folder: Path, engine: dict[str, Any]
) -> None:
    (folder / "cr").write_bytes(b"one\rtwo M\xc3\xbcller\rthree")
    (folder / "latin").write_bytes("x\nnaïve Müller\n".encode("latin-1"))
    (folder / "mixed").write_bytes("Größe Müller\n".encode() * 3 + b"\xff M\xc3\xbcller\n")
    (folder / "utf32").write_bytes("\ufeffMüller\n".encode("utf-32-le"))
    async with served(**engine) as client:
        assert lines(await search(client, "M.ller", glob="[clu]*")) == [
            ("cr", 2, "two Müller"),
            ("latin", 2, "naïve Müller"),
            ("utf32", 1, "Müller"),
        ]
        assert lines(await search(client, "Müller$", path="mixed"))[3] == ("mixed", 4, "\ufffd Müller")
    (folder / "gbk").write_bytes("你好\n世界\n".encode("gbk"))
    async with served({"encoding": "gbk"}, **engine) as client:
        assert lines(await search(client, "世", path="gbk")) == [("gbk", 2, "世界")]


async def test_what_gitignore_names_is_not_searched(served: Served, folder: Path, engine: dict[str, Any]) -> None:
    (folder / "build").mkdir()
    for name in ("a.log", "a.txt", "build/x"):
        (folder / name).write_text("foo\n")
    (folder / ".gitignore").write_text("*.log\nbuild/\n")
    async with served(**engine) as client:
        found = await search(client, "foo")
        assert lines(found) == [("a.txt", 1, "foo")]
        assert found["notes"] == ["Left out by .gitignore (setting gitignore): 2 files and folders."]
        assert lines(await search(client, "foo", path="build")) == [("build/x", 1, "foo")]
        assert lines(await search(client, "foo", path="a.log")) == [("a.log", 1, "foo")]
    async with served({"gitignore": False}, **engine) as client:
        assert len(lines(await search(client, "foo"))) == 3


async def test_invalid_search_arguments_are_refused(served: Served, refused: Refused) -> None:
    async with served(roots={"docs": "docs", "other": "docs"}) as client:
        calls: list[tuple[dict[str, Any], str]] = [
            ({"pattern": "a\0b"}, "cannot contain a NUL"),
            ({"pattern": "a", "context": 21}, "context"),
            ({"pattern": ""}, "pattern"),
            ({"pattern": "a" * 1001}, "pattern"),
            ({"pattern": "a", "path": "x"}, "Give the name of a root. Roots: docs, other."),
            ({"pattern": "a", "root": "doc"}, "Did you mean 'docs'?"),
            ({"pattern": "a", "root": "docs", "path": "../x"}, "has a '..'"),
            ({"pattern": "a", "root": "docs", "path": "x"}, "files://docs/x does not exist."),
        ]
        for arguments, text in calls:
            assert text in refused(await client.call_tool("search_files", arguments))


async def test_all_roots_are_searched_unless_one_is_named(served: Served, folder: Path, engine: dict[str, Any]) -> None:
    (folder / "a").write_text("foo")
    (folder.parent / "notes").mkdir()
    (folder.parent / "notes/b").write_text("foo")
    async with served(roots={"docs": "docs", "notes": "notes"}, **engine) as client:
        found = await search(client, "foo")
        assert [(match["root"], match["path"]) for match in found["matches"]] == [("docs", "a"), ("notes", "b")]
        found = await search(client, "foo", root="notes")
        assert [match["root"] for match in found["matches"]] == ["notes"]
    async with served(roots={"docs": "docs", "gone": "nowhere"}, **engine) as client:
        found = await search(client, "foo")
        assert lines(found) == [("a", 1, "foo")]
        assert found["notes"] == [
            "Not searched: The folder of the root 'gone' is missing: see roots.gone.path in the settings."
        ]


async def test_a_pattern_with_catastrophic_backtracking_is_answered(
    served: Served, folder: Path, engine: dict[str, Any]
) -> None:
    (folder / "a").write_text("a" * 50_000 + "\n")
    with anyio.fail_after(120):
        async with served(**engine) as client:
            assert lines(await search(client, "(a+)+b$")) == []


async def test_progress_goes_up_to_the_number_of_files(
    served: Served, folder: Path, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates_module, "BATCH_FILES", 2)
    for number in range(5):
        (folder / str(number)).write_text("foo")
    seen: list[tuple[float, float | None]] = []
    done = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))
        if progress == total:
            done.set()

    async with served(**engine) as client:
        await client.call_tool("search_files", {"pattern": "foo"}, progress_callback=on_progress)
        with anyio.fail_after(30):
            await done.wait()
    assert seen == [(0, 5), (2, 5), (4, 5), (5, 5)]


async def test_a_client_may_cancel_a_search(served: Served, folder: Path, engine: dict[str, Any]) -> None:
    for number in range(200):
        (folder / str(number)).write_text("foo\n" * 100)
    async with served(**engine) as client:
        with anyio.CancelScope() as scope:

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                scope.cancel()

            await client.call_tool("search_files", {"pattern": "fo+"}, progress_callback=on_progress)
        assert lines(await search(client, "foo", path="", glob="/7"))[:1] == [("7", 1, "foo")]
    assert "rg" not in children()


@needs_ripgrep
async def test_cancelling_a_search_ends_ripgrep() -> None:
    assert RG is not None
    reading, writing = os.pipe()
    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Ripgrep(RG).search, Query("foo"), [Searched(reading)], 10)
                # More than a pipe holds: after this write, ripgrep has begun to read and waits for more.
                await anyio.to_thread.run_sync(os.write, writing, b"no\n" * 100_000)
                assert "rg" in children()
                tasks.cancel_scope.cancel()
        assert "rg" not in children()
    finally:
        os.close(reading)
        os.close(writing)


async def test_without_ripgrep_the_search_runs_in_python(
    served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a").write_text("foo")
    monkeypatch.setenv("PATH", str(folder))
    async with served(ripgrep=True) as client:
        assert lines(await search(client, "foo")) == [("a", 1, "foo")]
    assert isinstance(engine_for(None, 1, anyio.CapacityLimiter(1)), RE2)


@needs_ripgrep
async def test_the_users_configuration_of_ripgrep_is_not_used(
    served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config").write_text("--invert-match\n")
    monkeypatch.setenv("RIPGREP_CONFIG_PATH", str(folder / "config"))
    (folder / "a").write_text("foo\nbar\n")
    async with served() as client:
        assert lines(await search(client, "foo")) == [("a", 1, "foo")]


def test_a_batch_that_is_closed_while_it_opens_files_leaves_none_open(root_of: RootOf, folder: Path) -> None:
    (folder / "a").write_text("a")
    found = Found(root_of(), ("a",), "file", os.stat(folder / "a"))
    before = len(os.listdir("/proc/self/fd"))
    batch = OpenBatch()
    batch.open([found, found])
    assert len(batch.files) == 2
    closing = threading.Thread(target=batch.close)
    closing.start()
    closing.join()
    batch.open([found])
    assert batch.files == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_line_is_cut_around_the_match() -> None:
    assert around("short\r\n", 0) == "short"
    line = "".join(f"{number:04}" for number in range(1000))
    assert around(line, 0) == line[:LINE_CHARACTERS] + "..."
    assert around(line, 3999) == "..." + line[-LINE_CHARACTERS:]
    middle = around(line, 2000)
    assert line[2000:2010] in middle
    assert middle.startswith("...")
    assert middle.endswith("...")
