from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.shared.uri_template import UriTemplate
from mcp.types import BlobResourceContents, ResourceTemplateReference, TextResourceContents

from mcp_plugin_files.paths import uri_of
from mcp_plugin_files.resources import TEMPLATE

Served = Callable[..., AbstractAsyncContextManager[Client]]

pytestmark = pytest.mark.anyio


async def read(client: Client, uri: str) -> TextResourceContents | BlobResourceContents:
    (content,) = (await client.read_resource(uri)).contents
    return content


async def test_each_root_is_a_resource_and_a_template_covers_its_files(served: Served, folder: Path) -> None:
    roots: dict[str, Any] = {"docs": {"path": "docs", "description": "Our documents."}, "notes": "docs"}
    async with served(roots=roots) as client:
        listed = {str(resource.uri): resource for resource in (await client.list_resources()).resources}
        (template,) = (await client.list_resource_templates()).resource_templates
    assert listed["files://docs"].description == "Our documents."
    assert listed["files://notes"].mime_type == "application/json"
    assert template.uri_template == TEMPLATE
    async with served(roots={}) as client:
        assert (await client.list_resource_templates()).resource_templates == []


async def test_files_are_read_with_their_own_media_types(served: Served, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/a.md").write_text("café")
    (folder / "j.json").write_text("{}")
    (folder / "t.ts").write_text("let a")
    (folder / "p").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    (folder / "e").touch()
    async with served() as client:
        markdown = await read(client, "files://docs/sub/a.md")
        assert isinstance(markdown, TextResourceContents)
        assert (markdown.uri, markdown.mime_type, markdown.text) == ("files://docs/sub/a.md", "text/markdown", "café")
        assert (await read(client, "files://docs/j.json")).mime_type == "application/json"
        assert (await read(client, "files://docs/t.ts")).mime_type == "text/plain"
        picture = await read(client, "files://docs/p")
        assert isinstance(picture, BlobResourceContents)
        assert picture.mime_type == "image/png"
        empty = await read(client, "files://docs/e")
        assert isinstance(empty, TextResourceContents)
        assert empty.text == ""


@pytest.mark.parametrize("uri", ["files://docs", "files://docs/", "files://docs/."])
async def test_a_root_is_read_as_its_listing(served: Served, folder: Path, uri: str) -> None:
    (folder / "a").write_text("a")
    async with served() as client:
        content = await read(client, uri)
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    assert [entry["uri"] for entry in json.loads(content.text)["entries"]] == ["files://docs/a"]


async def test_a_folder_is_read_as_its_listing(served: Served, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/b").write_text("b")
    async with served() as client:
        content = await read(client, "files://docs/sub")
    assert isinstance(content, TextResourceContents)
    assert [entry["path"] for entry in json.loads(content.text)["entries"]] == ["sub/b"]


NAMES = [
    "a b",
    "100%",
    "%41",
    "q?x=1",
    "h#1",
    "日本",
    "(1) [2]",
    "semi;colon,comma",
    "a+b&c=d",
    "it's",
    "tab\t",
    "a\\b",
]


async def test_every_name_can_be_read_by_the_uri_in_its_listing(served: Served, folder: Path) -> None:
    for name in NAMES:
        (folder / name).write_text(name)
    async with served() as client:
        listing = await client.call_tool("list_files", {})
        assert listing.structured_content is not None
        entries = listing.structured_content["entries"]
        assert len(entries) == len(NAMES)
        for entry in entries:
            content = await read(client, entry["uri"])
            assert isinstance(content, TextResourceContents)
            assert content.text == entry["path"]


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("gone", -32602, "files://docs/gone does not exist"),
        ("a/b", -32602, "is not a folder"),
        ("link", -32603, "is a symbolic link"),
        ("out/secret.txt", -32603, "is a symbolic link"),
        ("fifo", -32603, "is a FIFO"),
        (".env", -32603, "is hidden"),
        ("big", -32603, "more than 1024 bytes"),
        ("sub/../../outside/secret.txt", -32602, "Unknown resource"),
        ("%2e%2e/outside/secret.txt", -32602, "Unknown resource"),
        ("%252e%252e/outside/secret.txt", -32602, "does not exist"),
        ("..%2foutside/secret.txt", -32602, "Unknown resource"),
        ("sub/../a", -32603, "has a '..'"),
        ("/etc/passwd", -32602, "Unknown resource"),
        ("%2fetc/passwd", -32602, "Unknown resource"),
        ("a%00.txt", -32602, "Unknown resource"),
    ],
)
async def test_a_file_that_cannot_be_read_is_an_error_with_the_reason(
    served: Served, folder: Path, path: str, code: int, text: str
) -> None:
    (folder / "a").write_text("a")
    (folder / ".env").write_text("secret")
    (folder / "big").write_text("x" * 1025)
    (folder / "link").symlink_to("a")
    (folder / "out").symlink_to("../outside")
    os.mkfifo(folder / "fifo")
    async with served(max_bytes=1024) as client:
        with pytest.raises(MCPError, match=text) as caught:
            await client.read_resource(f"files://docs/{path}")
    assert caught.value.error.code == code
    assert "/tmp" not in caught.value.error.message


async def test_an_unknown_root_is_a_resource_not_found_error(served: Served) -> None:
    async with served() as client:
        with pytest.raises(MCPError, match="Did you mean 'docs'") as caught:
            await client.read_resource("files://doc/a")
    assert caught.value.error.code == -32602


async def test_roots_and_paths_are_completed(served: Served, folder: Path) -> None:
    for name in ("src/main.py", "src/mail.py", "src/deep/x", "setup.cfg", "Sample.txt", "50% off?.txt", ".hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "slink").symlink_to("src")
    ref = ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)
    async with served(roots={"docs": "docs", "data": "docs", "notes": "docs"}) as client:

        async def completed(argument: str, value: str, root: str | None = "docs") -> list[str]:
            chosen = {"root": root} if root else None
            found = await client.complete(ref, {"name": argument, "value": value}, context_arguments=chosen)
            return list(found.completion.values)

        assert await completed("root", "D", None) == ["docs", "data"]
        assert await completed("path", "s") == ["Sample.txt", "setup.cfg", "src/"]
        assert await completed("path", "src/ma") == ["src/mail.py", "src/main.py"]
        assert await completed("path", "src/") == ["src/deep/", "src/mail.py", "src/main.py"]
        assert await completed("path", "5") == ["50%25 off%3F.txt"]
        for nowhere in ("slink/", "gone/", "../", "/etc/", ".h", ".git/", "src/main.py/"):
            assert await completed("path", nowhere) == []
        assert await completed("path", "s", "nowhere") == []
        assert await completed("path", "s", None) == []
        (chosen,) = await completed("path", "5")
        uri = UriTemplate.parse(TEMPLATE).expand({"root": "docs", "path": chosen})
        assert uri == uri_of("docs", ("50% off?.txt",))
        await client.read_resource(uri)


async def test_a_folder_with_very_many_files_is_completed_with_the_first_ones(served: Served, folder: Path) -> None:
    for number in range(300):
        (folder / f"f{number:03}").touch()
    ref = ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)
    async with served() as client:
        found = await client.complete(ref, {"name": "path", "value": "f"}, context_arguments={"root": "docs"})
    assert found.completion.values == [f"f{number:03}" for number in range(100)]
    assert found.completion.has_more
