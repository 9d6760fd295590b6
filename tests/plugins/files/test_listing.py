from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


async def listed(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("list_files", arguments)
    assert result.structured_content is not None, result.content
    return dict(result.structured_content)


def paths(listing: dict[str, Any]) -> list[str]:
    return [entry["path"] for entry in listing["entries"]]


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


async def test_a_folder_is_listed_with_kinds_sizes_times_and_uris(served: Served, folder: Path) -> None:
    make(folder, "a b?#%41.txt", "sub/x")
    (folder / "link").symlink_to("/etc/passwd")
    os.utime(folder / "a b?#%41.txt", (0, 1_700_000_000.5))
    async with served() as client:
        listing = await listed(client)
    file, link, sub = listing["entries"]
    assert file == {
        "path": "a b?#%41.txt",
        "kind": "file",
        "size": 12,
        "modified": "2023-11-14T22:13:20Z",
        "uri": "files://docs/a%20b%3F%23%2541.txt",
    }
    assert (link["kind"], link["size"], link["uri"]) == ("link", None, None)
    assert (sub["kind"], sub["uri"]) == ("folder", "files://docs/sub")
    assert not listing["truncated"]
    assert listing["notes"] == []


async def test_subfolders_are_listed_with_recursive_and_with_a_glob(served: Served, folder: Path) -> None:
    make(folder, "a.md", "b.txt", "sub/c.md", "sub/deep/d.md", "sub/deep/e.txt")
    async with served() as client:
        assert paths(await listed(client)) == ["a.md", "b.txt", "sub"]
        deep = ["a.md", "b.txt", "sub", "sub/c.md", "sub/deep", "sub/deep/d.md", "sub/deep/e.txt"]
        assert paths(await listed(client, recursive=True)) == deep
        assert paths(await listed(client, glob="*.md")) == ["a.md", "sub/c.md", "sub/deep/d.md"]
        assert paths(await listed(client, glob="/*.md", path="sub/")) == ["sub/c.md"]
        assert paths(await listed(client, glob="deep/*.txt", path="sub")) == ["sub/deep/e.txt"]
        assert paths(await listed(client, path="sub/deep", recursive=True)) == ["sub/deep/d.md", "sub/deep/e.txt"]


async def test_links_are_listed_but_never_followed(served: Served, folder: Path) -> None:
    (folder / "out").symlink_to("../outside")
    (folder / "loop").symlink_to(".")
    async with served() as client:
        assert paths(await listed(client, recursive=True)) == ["loop", "out"]
        assert paths(await listed(client, glob="*")) == []


async def test_hidden_ignored_and_unfinished_files_are_left_out(served: Served, folder: Path) -> None:
    make(folder, ".env", ".git/config", "node_modules/x.js", "a", ".mcp-files-0011")
    async with served() as client:
        assert paths(await listed(client, recursive=True)) == ["a"]
    async with served({"hidden": True, "ignore": []}) as client:
        assert paths(await listed(client, recursive=True)) == [
            ".env",
            ".git",
            ".git/config",
            "a",
            "node_modules",
            "node_modules/x.js",
        ]


async def test_a_long_listing_is_cut_and_marked_as_truncated(served: Served, folder: Path) -> None:
    make(folder, *(f"f{number:03}" for number in range(50)))
    async with served(max_results=10) as client:
        listing = await listed(client)
    assert paths(listing) == [f"f{number:03}" for number in range(10)]
    assert listing["truncated"]
    async with served(max_entries=20) as client:
        listing = await listed(client)
    assert len(listing["entries"]) == 20
    assert listing["truncated"]
    assert "Only 20 files and folders were read (max_entries)" in listing["notes"][0]


async def test_a_name_that_is_not_utf_8_is_noted_and_the_others_are_listed(served: Served, folder: Path) -> None:
    make(folder, "good")
    with open(os.fsencode(folder) + b"/caf\xe9\n", "wb"):
        pass
    async with served() as client:
        listing = await listed(client)
    assert paths(listing) == ["good"]
    assert listing["notes"] == ["Not shown, because their names are not UTF-8: caf\\xe9\\n."]


async def test_the_tools_description_names_the_roots(served: Served, folder: Path) -> None:
    roots: dict[str, Any] = {"docs": {"path": "docs", "description": "The handbook."}, "b": "docs"}
    roots["c"] = {"path": "docs", "writable": True}
    async with served(roots=roots) as client:
        description = (await client.list_tools()).tools[0].description or ""
    assert description.endswith(" Roots: docs (The handbook), b, c (writable).")
    many = {f"root{number}": {"path": "docs", "description": "x" * 50} for number in range(100)}
    async with served(roots=many) as client:
        description = (await client.list_tools()).tools[0].description or ""
    assert len(description) < 1024
    async with served(roots={}) as client:
        assert ((await client.list_tools()).tools[0].description or "").endswith(" There are no roots.")


async def test_listing_something_other_than_a_folder_is_refused(served: Served, folder: Path, refused: Refused) -> None:
    make(folder, "a", "node_modules/x", ".h/x")
    (folder / "out").symlink_to("../outside")
    async with served() as client:
        errors = {
            path: refused(await client.call_tool("list_files", {"path": path}))
            for path in ("a", "gone", "out", "node_modules", ".h", "../outside", "/etc")
        }
        glob = refused(await client.call_tool("list_files", {"glob": "!"}))
    assert errors["a"] == "files://docs/a is not a folder."
    assert errors["gone"] == "files://docs/gone does not exist."
    assert "is a symbolic link" in errors["out"]
    assert "roots.docs.ignore" in errors["node_modules"]
    assert "roots.docs.hidden" in errors[".h"]
    assert errors["../outside"] == "The path '../outside' has a '..': write the path from the root instead."
    assert "is absolute and not inside a root: write a path inside the root" in errors["/etc"]
    assert glob.startswith("glob is not a valid pattern")


async def test_a_tree_has_only_names(served: Served, folder: Path) -> None:
    make(folder, "a.md", "b.txt", "sub/c.md", "sub/deep/d.md", "sub/deep/e.txt", "z/f.txt")
    (folder / "empty").mkdir()
    async with served() as client:
        listing = await listed(client, tree=True)
        assert listing["tree"] == "a.md\nb.txt\nempty/\nsub/\n  c.md\n  deep/\n    d.md\n    e.txt\nz/\n  f.txt"
        assert (listing["entries"], listing["truncated"]) == ([], False)
        listing = await listed(client, tree=True, glob="*.md")
        assert listing["tree"] == "a.md\nsub/\n  c.md\n  deep/\n    d.md"
        assert (await listed(client, tree=True, path="sub"))["tree"] == "c.md\ndeep/\n  d.md\n  e.txt"
    make(folder, *(f"many/{number:03}" for number in range(50)))
    async with served(max_characters=100) as client:
        listing = await listed(client, tree=True)
    assert len(listing["tree"]) <= 100
    assert listing["truncated"]


async def test_what_gitignore_files_name_is_left_out(served: Served, folder: Path, refused: Refused) -> None:
    make(folder, "a.log", "a.txt", "build/x", "sub/a.log", "sub/keep.log", "sub/t.tmp", "sub/deep/t.tmp", "dist/y")
    (folder / ".gitignore").write_text("*.log\n/build/\ndist\n!\n# a comment\n")
    (folder / "sub/.gitignore").write_bytes(b"!keep.log\r\n/*.tmp\r\n\xff\n")
    async with served() as client:
        listing = await listed(client, recursive=True)
        assert paths(listing) == ["a.txt", "sub", "sub/deep", "sub/deep/t.tmp", "sub/keep.log"]
        assert listing["notes"] == ["Left out by .gitignore (setting gitignore): 5 files and folders."]
        assert paths(await listed(client, path="sub")) == ["sub/deep", "sub/keep.log"]
        assert paths(await listed(client, path="build")) == ["build/x"]
        assert not (await client.call_tool("read_file", {"path": "a.log"})).is_error
    async with served({"gitignore": False}) as client:
        assert len(paths(await listed(client, recursive=True))) == 12


async def test_a_gitignore_that_is_a_link_does_not_count(served: Served, folder: Path) -> None:
    make(folder, "a.txt")
    (folder.parent / "outside/secret.txt").write_text("*")
    (folder / ".gitignore").symlink_to("../outside/secret.txt")
    async with served() as client:
        assert paths(await listed(client)) == ["a.txt"]


async def test_a_path_may_be_absolute_if_it_is_inside_a_root(served: Served, folder: Path, refused: Refused) -> None:
    make(folder, "a.txt", "sub/b.txt")
    (folder.parent / "linked").symlink_to("docs")
    roots = {"docs": "linked", "sub": "docs/sub", "other": "outside"}
    async with served(roots=roots) as client:
        for base in (folder, folder.parent / "linked"):
            assert paths(await listed(client, path=f"{base}/", root="docs")) == ["a.txt", "sub"]
            assert (await listed(client, path=str(base)))["root"] == "docs"
        assert (await listed(client, path=str(folder / "sub")))["root"] == "sub"
        for path in (folder.parent, folder.parent / "docs2", "//etc"):
            result = await client.call_tool("list_files", {"path": str(path)})
            assert result.is_error
            assert "is absolute and not inside a root" in str(result.content)
        result = await client.call_tool("list_files", {"path": f"{folder.parent}/outside/../docs"})
    assert "has a '..'" in str(result.content)


@pytest.mark.parametrize(
    ("there", "asked", "hint"),
    [
        ("Read Me.md", "read me.MD", "Did you mean 'sub/Read Me.md'?"),
        ("report.txt", "reprot.txt", "Did you mean 'sub/report.txt'?"),
        ("café.txt", "cafe\u0301.txt", "It looks the same but has other code points: 'sub/caf\\xe9.txt'."),
        ("cafe\u0301.txt", "café.txt", "It looks the same but has other code points: 'sub/cafe\\u0301.txt'."),
        ("CAFÉ", "cafe\u0301", "Did you mean 'sub/CAFÉ'?"),
    ],
)
async def test_the_error_for_a_missing_file_names_a_similar_one(
    served: Served, folder: Path, refused: Refused, there: str, asked: str, hint: str
) -> None:
    make(folder, f"sub/{there}")
    async with served({"writable": True}) as client:
        for tool, more in [
            ("read_file", {}),
            ("search_files", {"pattern": "x"}),
            ("edit_file", {"old_text": "a", "new_text": "b", "expected_hash": "0" * 16}),
            ("delete_file", {"expected_hash": "0" * 16}),
        ]:
            text = refused(await client.call_tool(tool, {"path": f"sub/{asked}", **more}))
            assert "does not exist." in text
            assert text.endswith(hint)
        assert "Did you mean 'sub'?" in refused(await client.call_tool("list_files", {"path": "Sub/x"}))


async def test_no_hint_names_what_is_not_served(served: Served, folder: Path, refused: Refused) -> None:
    make(folder, ".secret", "key.pem", "wrong")
    async with served({"ignore": ["*.pem"]}) as client:
        for path in ("secret", "key.pe"):
            assert (
                refused(await client.call_tool("read_file", {"path": path})) == f"files://docs/{path} does not exist."
            )
