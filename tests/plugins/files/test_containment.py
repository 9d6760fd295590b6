"""Nothing outside a root is ever reached, not by hostile paths, and not by links that replace folders in a walk."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_host.testing import connect
from mcp_plugin_files.candidates import OpenBatch, candidates
from mcp_plugin_files.engines import RE2, Engine, Query, Ripgrep
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folders import Entry, Folder
from mcp_plugin_files.listing import Walk
from mcp_plugin_files.moving import delete, delete_folder, move
from mcp_plugin_files.passages import passages
from mcp_plugin_files.paths import Parts, completable, parts_of, uri_of
from mcp_plugin_files.reading import Span, digest, read_part, read_up_to, read_whole
from mcp_plugin_files.roots import Root
from mcp_plugin_files.writing import create, current
from mcp_plugin_files.writing import replace as replace_file

RootOf = Callable[..., Root]

SECRET = b"OUTSIDE"
WAYS = pytest.mark.parametrize("by_descriptor", [True, False], ids=["by descriptor", "by path"])

PLANTED = ["a", "sub", "link", "out", "up", "abs", "dangling", "fifo"]
NAMES = st.sampled_from([*PLANTED, "..", ".", "", "...", "~", "secret.txt", "outside", "docs"]) | st.text(max_size=8)
LEADS = ["/", "//", "\\", "C:", "file:", "%2e%2e/", "..\\", "/proc/self/root/", "\0"]
PATHS = st.lists(NAMES, max_size=6).map("/".join) | st.builds(str.__add__, st.sampled_from(LEADS), st.text())


def plant(base: Path) -> Path:
    """A root with many links to the outside, and the outside."""
    docs = base / "docs"
    (docs / "sub").mkdir(parents=True)
    (base / "outside").mkdir()
    (base / "outside/secret.txt").write_bytes(SECRET)
    (docs / "a").write_text("inside")
    (docs / "sub/a").write_text("inside")
    (docs / "link").symlink_to(base / "outside/secret.txt")
    (docs / "out").symlink_to("../outside")
    (docs / "up").symlink_to("..")
    (docs / "abs").symlink_to("/")
    (docs / "dangling").symlink_to(base / "outside/new.txt")
    (docs / "sub/link").symlink_to("../../outside/secret.txt")
    os.mkfifo(docs / "fifo")
    return docs


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("planted"))


def outside_is_untouched(docs: Path) -> None:
    outside = docs.parent / "outside"
    assert os.listdir(outside) == ["secret.txt"]
    assert (outside / "secret.txt").read_bytes() == SECRET


@WAYS
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS)
def test_no_path_leaves_the_root(root_of: RootOf, planted: Path, by_descriptor: bool, path: str) -> None:
    root = replace(root_of(writable=True), path=planted, by_descriptor=by_descriptor)
    with suppress(FileRefusedError):
        contents = read_whole(root, parts_of(path), 10_000)
        assert contents is not None
        assert contents.data != SECRET
    with suppress(FileRefusedError):
        found = [each.path for each in Walk(1000).of(root, parts_of(path), deep=True)]
        assert not any("secret" in each for each in found)
    over = partial(replace_file, expected=digest(SECRET), most=100)
    writes: list[Callable[[Root, Parts, bytes], None]] = [create, over]
    for write in writes:
        with suppress(FileRefusedError):
            write(root, parts_of(path), b"written")
    for expected in (digest(SECRET), digest(b"written")):
        with suppress(FileRefusedError):
            move(root, parts_of(path), ("sub", "moved"), expected, 100)
        with suppress(FileRefusedError):
            delete(root, parts_of(path), expected, 100)
    (planted / "made").write_bytes(b"made")
    with suppress(FileRefusedError):
        move(root, ("made",), parts_of(path), digest(b"made"), 100)
    with suppress(FileRefusedError):
        delete_folder(root, parts_of(path))
    remove_made(planted)
    outside_is_untouched(planted)
    assert sorted(os.listdir(planted)) == sorted(PLANTED)


def remove_made(docs: Path) -> None:
    """Remove what valid paths have created inside the root."""
    for folder, planted in ((docs, PLANTED), (docs / "sub", ["a", "link"])):
        for entry in folder.iterdir():
            if entry.name not in planted:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(PATHS, min_size=1, max_size=20))
def test_no_request_of_a_client_leaves_the_root(planted: Path, paths: list[str]) -> None:
    import mcp_plugin_files

    async def ask() -> None:
        given: dict[str, Any] = {"roots": {"docs": str(planted)}, "watch": False}
        async with connect(mcp_plugin_files, name="files", settings=given) as client:
            for path in paths:
                calls: list[tuple[str, dict[str, Any]]] = [
                    ("read_file", {"path": path}),
                    ("list_files", {"path": path, "recursive": True}),
                    ("search_files", {"path": path, "pattern": "OUTSIDE"}),
                ]
                for tool, arguments in calls:
                    result = await client.call_tool(tool, arguments)
                    # An error may repeat the client's text, but not the file's.
                    text = str(result.content).replace(path, "")
                    assert "unexpectedly" not in text
                    if not result.is_error:
                        assert SECRET.decode() not in text

    anyio.run(ask)


@given(st.lists(NAMES, max_size=6).map("/".join))
def test_paths_and_uris_are_read_in_the_same_way(path: str) -> None:
    try:
        parts = parts_of(path)
    except FileRefusedError:
        return
    assert ".." not in parts
    assert "" not in parts
    assert parts_of("/".join(parts)) == parts
    from mcp.shared.uri_template import UriTemplate

    template = UriTemplate.parse("files://{root}/{+path}")
    uri = uri_of("docs", parts)
    if parts:
        assert template.match(uri) == {"root": "docs", "path": "/".join(parts)}
        assert template.expand({"root": "docs", "path": completable("/".join(parts))}) == uri


def test_names_with_a_special_meaning_on_windows_are_refused() -> None:
    for path in ("C:x", "a\\b", "NUL", "con.txt", "a.", "a ", "a:stream", "sub/aux", "a*", "a|b"):
        with pytest.raises(FileRefusedError, match="special meaning on Windows"):
            parts_of(path, windows=True)
    assert parts_of("sub/a b.txt", windows=True) == ("sub", "a b.txt")


@pytest.mark.parametrize("path", ["\ud800", "a/\udcff"])
def test_a_path_with_lone_surrogates_is_refused(path: str) -> None:
    with pytest.raises(FileRefusedError, match="lone surrogates"):
        parts_of(path)


def test_a_path_may_not_be_too_deep() -> None:
    with pytest.raises(FileRefusedError, match="has 101 parts; at most 100"):
        parts_of("a/" * 101)


# Races


class Swapper:
    """Swaps a folder with a link to the outside, and a file with a link to the secret, as fast as possible."""

    def __init__(self, docs: Path) -> None:
        self.swaps = self._made = 0
        self._docs = docs
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        docs = self._docs
        os.mkdir(docs.parent / "made")
        while not self._stop.is_set():
            os.rename(docs / "d/swap", docs / "d/parked")
            self._put(lambda: os.symlink("../../outside", docs / "d/swap"))
            os.symlink("../outside/secret.txt", docs / "next")
            os.replace(docs / "next", docs / "file")
            self.swaps += 1
            os.unlink(docs / "d/swap")
            self._put(lambda: os.rename(docs / "d/parked", docs / "d/swap"))
            (docs / "next").write_bytes(b"inside")
            os.replace(docs / "next", docs / "file")

    def _put(self, put: Callable[[], None]) -> None:
        """Put something at d/swap, even if a write has created a folder with that name meanwhile."""
        while True:
            try:
                return put()
            except OSError:
                self._made += 1
                os.rename(self._docs / "d/swap", self._docs.parent / "made" / str(self._made))

    def __enter__(self) -> Swapper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def swapped(folder: Path) -> Iterator[Swapper]:
    (folder / "d/swap").mkdir(parents=True)
    (folder / "d/swap/secret.txt").write_bytes(b"inside")
    (folder / "file").write_bytes(b"inside")
    with Swapper(folder) as swapper:
        yield swapper
    assert swapper.swaps > 0


TRIES, ENOUGH, MOST = 1_000, 20, 50_000
"""The least number of tries, the least number of each result, and the most tries."""


def results_of(attempt: Callable[[], bytes | None], *wanted: str) -> Counter[str]:
    """Try until every wanted result was seen often enough. No result may be the secret."""
    seen: Counter[str] = Counter()
    for number in range(MOST):
        try:
            data = attempt()
        except FileRefusedError:
            seen["refused"] += 1
        else:
            assert data is None or SECRET not in data
            seen["inside" if data else "nothing"] += 1
        if number >= TRIES and all(seen[result] >= ENOUGH for result in wanted):
            break
    assert all(seen[result] >= ENOUGH for result in wanted), seen
    return seen


@pytest.mark.parametrize("parts", [("d", "swap", "secret.txt"), ("file",)], ids="/".join)
def test_reading_never_leaves_the_root_while_links_are_swapped(root_of: RootOf, swapped: Swapper, parts: Parts) -> None:
    root = root_of()

    def read() -> bytes:
        contents = read_whole(root, parts, 1000)
        assert contents is not None
        return contents.data

    results_of(read, "inside", "refused")

    def read_lines() -> bytes:
        return read_part(root, parts, Span(), 100, 1000).excerpt.text.encode()

    results_of(read_lines, "inside", "refused")


def test_listing_never_leaves_the_root_while_links_are_swapped(root_of: RootOf, swapped: Swapper, folder: Path) -> None:
    (folder.parent / "outside/only-outside").write_text("x")
    root = root_of()

    def walk() -> bytes:
        names = [each.path for each in Walk(1000).of(root, ("d",), deep=True)]
        assert not any("only-outside" in name for name in names)
        return b"inside" if "d/swap/secret.txt" in names else b""

    results_of(walk, "inside", "nothing")


@pytest.mark.anyio
@pytest.mark.parametrize("program", [shutil.which("rg"), None], ids=["ripgrep", "re2"])
async def test_searching_never_leaves_the_root_while_links_are_swapped(
    root_of: RootOf, swapped: Swapper, program: str | None
) -> None:
    root = root_of()
    engine: Engine = Ripgrep(program) if program else RE2(1000, anyio.CapacityLimiter(1))
    seen: Counter[str] = Counter()
    for number in range(2000):
        batch = OpenBatch()
        try:
            batch.open(candidates([root], (), Walk(1000), None, 1000).files)
            opened = [file.searched for file in batch.files]
            hits = await engine.search(Query("OUTSIDE|inside"), opened, 10)
            assert {passage.text for passage in passages(hits, opened, 0, 1000)} <= {"inside"}
        finally:
            batch.close()
        seen[str(len(hits))] += 1
        if number > 20 and sum(seen[some] for some in ("0", "1")) >= 5 and seen["2"] >= 5:
            break
    assert seen["2"] >= 5
    assert seen["0"] + seen["1"] >= 5


def test_writing_never_leaves_the_root_while_links_are_swapped(root_of: RootOf, swapped: Swapper, folder: Path) -> None:
    root = root_of(writable=True)
    seen: Counter[str] = Counter()
    for number in range(MOST):
        name = f"new{number}"
        try:
            create(root, ("d", "swap", name), b"written")
        except FileRefusedError:
            seen["refused"] += 1
        else:
            seen["written"] += 1
        with suppress(FileRefusedError):
            current(root, ("d", "swap", "secret.txt"), digest(SECRET), 1000)
            pytest.fail("the secret was taken for the file that was seen")
        if number >= TRIES and min(seen["refused"], seen["written"]) >= ENOUGH:
            break
    assert min(seen["refused"], seen["written"]) >= ENOUGH, seen
    assert os.listdir(folder.parent / "outside") == ["secret.txt"]


def test_moving_and_deleting_never_leave_the_root_while_links_are_swapped(
    root_of: RootOf, swapped: Swapper, folder: Path
) -> None:
    root = root_of(writable=True)
    (folder.parent / "outside/empty").mkdir()
    seen: Counter[str] = Counter()
    here = digest(b"moved")
    for number in range(MOST):
        mine = ("d", f"mine{number}")
        create(root, mine, b"moved")
        inner = ("d", "swap", f"mine{number}")
        for act in (
            lambda: move(root, mine, inner, here, 100),  # noqa: B023
            lambda: delete(root, inner, here, 100),  # noqa: B023
            lambda: move(root, ("d", "swap", "secret.txt"), ("d", "stolen"), digest(SECRET), 100),
            lambda: delete(root, ("d", "swap", "secret.txt"), digest(SECRET), 100),
            lambda: delete_folder(root, ("d", "swap", "empty")),
        ):
            with suppress(FileRefusedError):
                act()
                seen["done"] += 1
        with suppress(FileRefusedError):
            delete(root, mine, here, 100)
            seen["refused"] += 1
        if number >= TRIES and min(seen["refused"], seen["done"]) >= ENOUGH:
            break
    assert min(seen["refused"], seen["done"]) >= ENOUGH, seen
    outside = folder.parent / "outside"
    assert sorted(os.listdir(outside)) == ["empty", "secret.txt"]
    assert (outside / "secret.txt").read_bytes() == SECRET
    assert not (folder / "d/stolen").exists()


@contextmanager
def at_the_worst_moment(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]) -> Iterator[None]:
    """Swap a file between the check of its status and its opening, where a check alone does not help."""
    stat = Folder.stat

    def late(self: Folder, name: str) -> os.stat_result:
        status = stat(self, name)
        swap()
        return status

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "stat", late)
        yield


@WAYS
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_file_swapped_between_check_and_open_is_not_read(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch, by_descriptor: bool, kind: str
) -> None:
    path = folder / "a"
    path.write_text("inside")
    root = replace(root_of(), by_descriptor=by_descriptor)

    def swap() -> None:
        path.unlink()
        path.symlink_to("../outside/secret.txt") if kind == "link" else os.mkfifo(path)

    with (
        at_the_worst_moment(monkeypatch, swap),
        pytest.raises(FileRefusedError, match=f"is a {kind}|is a symbolic link|is a FIFO"),
    ):
        read_whole(root, ("a",), 1000)


def test_without_dir_fd_a_folder_swapped_in_between_is_noticed(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "d").mkdir()
    (folder / "d/secret.txt").write_text("inside")
    root = replace(root_of(), by_descriptor=False)
    swaps: list[None] = []

    def swap() -> None:
        if not swaps:
            swaps.append(None)
            os.rename(folder / "d", folder / "parked")
            (folder / "d").symlink_to("../outside")

    with at_the_worst_moment(monkeypatch, swap), pytest.raises(FileRefusedError, match="is a symbolic link"):
        read_whole(root, ("d", "secret.txt"), 1000)


def test_without_dir_fd_a_link_that_is_gone_again_is_noticed_by_the_opened_file(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "d").mkdir()
    (folder / "d/secret.txt").write_text("inside")
    resolved = Folder._resolved
    calls: list[str] = []

    def late(self: Folder, name: str) -> str:
        calls.append(name)
        if calls == ["d", "secret.txt", "secret.txt"]:
            (folder / "d").unlink()
            os.rename(folder / "parked", folder / "d")
        path = resolved(self, name)
        if calls == ["d", "secret.txt"]:
            os.rename(folder / "d", folder / "parked")
            (folder / "d").symlink_to("../outside")
        return path

    monkeypatch.setattr(Folder, "_resolved", late)
    with pytest.raises(FileRefusedError, match="is a symbolic link"):
        read_whole(replace(root_of(), by_descriptor=False), ("d", "secret.txt"), 1000)
    assert calls == ["d", "secret.txt", "secret.txt"]


def test_a_walk_of_a_folder_that_becomes_a_link_shows_the_folders_entries(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "d").mkdir()
    (folder / "d/inner").write_text("inside")
    entries = Folder.entries
    depth: list[None] = []

    def late(self: Folder) -> Iterator[Entry]:
        depth.append(None)
        if len(depth) == 2:
            os.rename(folder / "d", folder / "parked")
            (folder / "d").symlink_to("../outside")
        yield from entries(self)

    monkeypatch.setattr(Folder, "entries", late)
    assert [each.path for each in Walk(100).of(root_of(), (), deep=True)] == ["d", "d/inner"]


@WAYS
def test_both_ways_to_open_files_see_the_same_tree(root_of: RootOf, planted: Path, by_descriptor: bool) -> None:
    root = replace(root_of(), path=planted, by_descriptor=by_descriptor)
    found = {each.path: each.kind for each in Walk(1000).of(root, (), deep=True)}
    assert found == {
        "a": "file",
        "abs": "link",
        "dangling": "link",
        "fifo": "fifo",
        "link": "link",
        "out": "link",
        "sub": "folder",
        "sub/a": "file",
        "sub/link": "link",
        "up": "link",
    }
    for path in ("link", "sub/link", "dangling", "out/secret.txt", "up/outside/secret.txt", "abs/etc/passwd"):
        with pytest.raises(FileRefusedError, match="is a symbolic link"):
            read_whole(root, parts_of(path), 1000)
    with root.opened(("sub", "a")) as descriptor:
        assert read_up_to(descriptor, 100) == b"inside"


@WAYS
def test_a_root_may_itself_be_a_link(root_of: RootOf, folder: Path, by_descriptor: bool) -> None:
    (folder / "a").write_text("inside")
    (folder.parent / "current").symlink_to("docs")
    root = replace(root_of(), path=folder.parent / "current", by_descriptor=by_descriptor)
    contents = read_whole(root, ("a",), 100)
    assert contents is not None
    assert contents.data == b"inside"


@WAYS
def test_a_refusal_leaves_no_descriptor_open(root_of: RootOf, planted: Path, by_descriptor: bool) -> None:
    root = replace(root_of(writable=True), path=planted, by_descriptor=by_descriptor)
    before = len(os.listdir("/proc/self/fd"))
    for path in ("a", "gone", "sub/gone", "link", "out/x", "fifo", "sub", "a/b", "sub/a/c"):
        with suppress(FileRefusedError):
            read_whole(root, parts_of(path), 1)
        with suppress(FileRefusedError):
            replace_file(root, parts_of(path), b"x", "0" * 16, 100)
        with suppress(FileRefusedError):
            move(root, parts_of(path), ("x",), "0" * 16, 100)
        with suppress(FileRefusedError):
            delete(root, parts_of(path), "0" * 16, 100)
        with suppress(FileRefusedError):
            delete_folder(root, parts_of(path))
        with suppress(FileRefusedError):
            list(Walk(1).of(root, parts_of(path), deep=True))
    assert len(os.listdir("/proc/self/fd")) == before


@WAYS
def test_a_file_swapped_for_a_fifo_leaves_no_descriptor_open(
    root_of: RootOf, folder: Path, monkeypatch: pytest.MonkeyPatch, by_descriptor: bool
) -> None:
    path = folder / "a"
    path.write_text("inside")
    root = replace(root_of(), by_descriptor=by_descriptor)
    before = len(os.listdir("/proc/self/fd"))

    def swap() -> None:
        path.unlink()
        os.mkfifo(path)

    with at_the_worst_moment(monkeypatch, swap), pytest.raises(FileRefusedError, match="is a FIFO"):
        read_whole(root, ("a",), 1000)
    assert len(os.listdir("/proc/self/fd")) == before
