"""The files of the host itself: no root serves them, whatever its settings and however they are named."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from mcp_host.testing import connect, make_host
from mcp_plugin_files.checks import folders_are_there
from mcp_plugin_files.own import Own
from mcp_plugin_files.settings import Settings

pytestmark = pytest.mark.anyio

CANARY = "canary-4711"
HARMLESS = "of no interest"
TOML = """
[host]
data_dir = "data"
[plugins.other]
enabled = false
settings.nested.list = [{ token = { file = "keys/token.txt" } }]
[plugins.remote]
enabled = false
headers.Authorization = { file = "keys/header.txt", format = "Bearer {}" }
url = "https://other.example/mcp"
[plugins.files.settings.roots]
here = { path = ".", writable = true, hidden = true }
"""
OWN = [
    "mcp-host.toml",
    ".mcp-host.toml.lock",
    ".mcp-host.toml.edit",
    "keys/token.txt",
    "keys/header.txt",
    "data/other/ledger.txt",
    "data/new",
    "MCP-Host.toml",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mcp-host.toml").write_text(f"# {CANARY}\n{TOML}", encoding="utf-8")
    for name in ("keys/token.txt", "keys/header.txt", "data/other/ledger.txt", "mine.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CANARY if name != "mine.txt" else HARMLESS, encoding="utf-8")
    return tmp_path


async def text_of(client: Client, tool: str, **arguments: Any) -> str:
    return str((await client.call_tool(tool, arguments)).model_dump())


async def test_no_tool_and_no_resource_reads_an_own_file(folder: Path, mode: str) -> None:
    async with connect(folder / "mcp-host.toml", mode=mode) as client:
        for path in OWN:
            assert "belongs to the server itself" in await text_of(client, "read_file", path=path)
            with pytest.raises(MCPError):
                await client.read_resource(f"files://here/{path}")
        assert CANARY not in await text_of(client, "search_files", pattern="canary")
        listed = await text_of(client, "list_files")
        assert "mine.txt" in listed
        assert not any(name in listed for name in ("mcp-host.toml", "token.txt", "header.txt", "ledger.txt"))
        assert HARMLESS in await text_of(client, "read_file", path="mine.txt")
        several = await text_of(client, "read_file", path=["mine.txt", *OWN, *(str(folder / path) for path in OWN)])
        assert several.count("belongs to the server itself") == 2 * len(OWN)
        assert CANARY not in several
        tree = await text_of(client, "list_files", tree=True)
        assert "mine.txt" in tree
        assert not any(name in tree for name in ("mcp-host.toml", "token.txt", "header.txt", "ledger.txt"))
        for path in ("mcp-host.tom", "keys/tokens.txt", "dat"):
            missing = await text_of(client, "read_file", path=path)
            assert "Did you mean" not in missing
        for path in ("mcp-host.toml", "keys/token.txt"):
            assert "belongs to the server itself" in await text_of(
                client, "search_files", pattern="canary", path=path, root="here", context=2
            )
            assert "belongs to the server itself" in await text_of(client, "read_file", path=path, tail=1)


async def test_no_tool_writes_an_own_file(folder: Path, mode: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    async with connect(folder / "mcp-host.toml", mode=mode) as client:
        for path in OWN:
            digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()[:16] if (folder / path).exists() else ""
            given = {"expected_hash": digest} if digest else {}
            for more in ({}, given):
                assert "belongs to the server itself" in await text_of(
                    client, "write_file", path=path, text="taken over", **more
                )
            await text_of(client, "edit_file", path=path, old_text=CANARY, new_text="x", expected_hash=digest)
            for tool, arguments in (
                ("write_file", {"text": "x", "dry_run": True}),
                ("edit_file", {"old_text": CANARY, "new_text": "x", "dry_run": True, "expected_hash": digest}),
                ("move_file", {"new_path": "taken.txt", "expected_hash": digest}),
                ("delete_file", {"expected_hash": digest}),
                ("delete_file", {}),
            ):
                for named in (path, str(folder / path)):
                    answer = await text_of(client, tool, path=named, **arguments)
                    assert "belongs to the server itself" in answer or not digest
                    assert CANARY not in answer.replace(f"'{CANARY}'", "")
            mine = hashlib.sha256(b"mine").hexdigest()[:16]
            moved = await text_of(client, "move_file", path="mine.txt", new_path=path, expected_hash=mine)
            assert "belongs to the server itself" in moved
        for own in ("keys", "data", "data/other"):
            assert "'is_error': True" in await text_of(client, "delete_file", path=own)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(not hasattr(os, "link"), reason="this system has no hard links")
async def test_an_own_file_under_another_name_is_not_served(folder: Path, mode: str) -> None:
    os.link(folder / "keys/token.txt", folder / "innocent.txt")
    async with connect(folder / "mcp-host.toml", mode=mode) as client:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            assert "belongs to the server itself" in await text_of(client, "read_file", path="innocent.txt")
        assert len(os.listdir("/proc/self/fd")) < before + 3
        assert CANARY not in await text_of(client, "search_files", pattern="canary")
        digest = hashlib.sha256(CANARY.encode()).hexdigest()[:16]
        written = await text_of(client, "write_file", path="innocent.txt", text="x", expected_hash=digest)
        assert "belongs to the server itself" in written
        for tool, arguments in (("move_file", {"new_path": "mine2.txt"}), ("delete_file", {})):
            answer = await text_of(client, tool, path="innocent.txt", expected_hash=digest, **arguments)
            assert "belongs to the server itself" in answer
        assert (folder / "innocent.txt").exists()
        os.link(folder / "keys/token.txt", folder / ".gitignore")
        assert "mine.txt" in await text_of(client, "list_files")


async def test_a_configuration_behind_a_link_is_protected_where_it_is(folder: Path, mode: str) -> None:
    linked = folder.parent / f"{folder.name}-linked"
    linked.mkdir()
    (folder / "mcp-host.toml").rename(folder / "real.toml")
    (linked / "mcp-host.toml").symlink_to(folder / "real.toml")
    text = (folder / "real.toml").read_text(encoding="utf-8").replace('path = "."', f'path = "{folder}"')
    (folder / "real.toml").write_text(text, encoding="utf-8")
    async with connect(linked / "mcp-host.toml", mode=mode) as client:
        assert "belongs to the server itself" in await text_of(client, "read_file", path="real.toml")


async def test_the_plugin_in_a_process_of_its_own_protects_the_files_of_its_host(folder: Path, mode: str) -> None:
    text = (folder / "mcp-host.toml").read_text(encoding="utf-8").replace('path = "."', f'path = "{folder}"')
    isolated = text.replace(
        "[plugins.files.settings.roots]", '[plugins.files]\nisolation = "process"\n[plugins.files.settings.roots]'
    )
    (folder / "mcp-host.toml").write_text(isolated, encoding="utf-8")
    async with connect(folder / "mcp-host.toml", mode=mode) as client:
        assert HARMLESS in await text_of(client, "read_file", path="mine.txt")
        for path in ("mcp-host.toml", "keys/token.txt", "data/other/ledger.txt"):
            assert "belongs to the server itself" in await text_of(client, "read_file", path=path)


async def test_a_root_that_is_a_link_hides_the_own_files_behind_it(folder: Path, mode: str) -> None:
    (folder.parent / f"{folder.name}-link").symlink_to(folder)
    text = (folder / "mcp-host.toml").read_text(encoding="utf-8").replace('path = "."', f'path = "{folder}-link"')
    (folder / "mcp-host.toml").write_text(text, encoding="utf-8")
    async with connect(folder / "mcp-host.toml", mode=mode) as client:
        assert HARMLESS in await text_of(client, "read_file", path="mine.txt")
        assert "mcp-host.toml" not in await text_of(client, "list_files")
        assert "belongs to the server itself" in await text_of(client, "write_file", path="data/new", text="x")
        assert not (folder / "data/new").exists()


CODE = """
[plugins.shop]
object = "shop.py"
[plugins.office]
object = "office.desk:plugin"
[plugins.node]
enabled = false
command = ["node", "servers/index.js", "notes.txt"]
[plugins.script]
enabled = false
command = "./serve --port 1"
cwd = "servers"
[plugins.files.settings.roots]
here = { path = ".", writable = true, hidden = true }
"""


@pytest.mark.parametrize("isolation", ["", 'isolation = "process"\n'])
async def test_code_that_the_host_runs_is_an_own_file(
    tmp_path: Path, isolation: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that could write it would decide what the host does after its next start."""
    name = f"office_{tmp_path.name}"  # Another test has imported its own.
    text = CODE.replace("office", name).replace("[plugins.files.", f"[plugins.files]\n{isolation}[plugins.files.")
    plugin = f"# {CANARY}\nfrom mcp_host import Plugin\nplugin = Plugin()\n"
    code = ["shop.py", "servers/index.js", "servers/serve", ".venv/lib/sitecustomize.py"]
    package = [f"{name}/desk.py", f"{name}/__init__.py", f"{name}/later.py"]
    for path in (*code, *package[:2]):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(plugin, encoding="utf-8")
    for path in ("notes.txt", "other.py"):
        (tmp_path / path).write_text(HARMLESS, encoding="utf-8")
    (tmp_path / "mcp-host.toml").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    if not isolation:
        monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    async with connect(tmp_path / "mcp-host.toml", mode=mode) as client:
        for path in (*code[: 3 if isolation else 4], *package):
            assert "belongs to the server itself" in await text_of(client, "read_file", path=path), path
            assert "belongs to the server itself" in await text_of(client, "write_file", path=path, text="x"), path
        if not isolation:
            assert CANARY not in await text_of(client, "search_files", pattern="canary")
        for path in ("notes.txt", "other.py"):
            assert HARMLESS in await text_of(client, "read_file", path=path)


@pytest.mark.parametrize("parts", [("Keys", "Token.txt"), ("keys", "token.txt"), ("KEYS", "TOKEN.TXT")])
def test_an_own_file_is_hidden_in_whatever_case_it_and_the_path_are_written(
    tmp_path: Path, parts: tuple[str, ...]
) -> None:
    own = Own(tmp_path, lambda: ((tmp_path / "Keys" / "Token.txt",),))
    assert own.hides(parts)
    assert not own.hides(("keys",))


def test_a_root_inside_an_own_folder_serves_nothing(tmp_path: Path) -> None:
    own = Own(tmp_path / "data" / "files", lambda: ((tmp_path / "data",),))
    assert own.hides(())
    assert own.hides(("a",))


def test_a_root_follows_a_reload_that_names_another_secret(tmp_path: Path) -> None:
    paths = [(tmp_path / "a",)]
    own = Own(tmp_path, lambda: (paths[-1], ()))
    assert (own.hides(("a",)), own.hides(("b", "c"))) == (True, False)
    paths.append((tmp_path / "b",))
    assert (own.hides(("a",)), own.hides(("b", "c"))) == (False, True)


def test_the_check_names_a_root_that_serves_nothing(folder: Path) -> None:
    host = make_host(folder / "mcp-host.toml")
    (plugin,) = host.plugins
    context = plugin.own_context
    roots = {"a": "data/other", "b": "keys"}
    settings = Settings.model_validate({"roots": roots})
    assert folders_are_there(replace(context, settings=settings)) == (
        "a: data/other belongs to mcp-host itself, and nothing in it is served"
    )
