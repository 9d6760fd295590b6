"""3. Documents from a folder, profiles from a database, and the settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mcp import MCPError

from guide.servers.library import plugin
from guide.talking import read
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio


async def test_documents_are_the_files_of_the_folder(mode: str, folder: Path) -> None:
    async with connect(plugin, mode=mode, settings={"folder": str(folder)}) as client:
        document = await read(client, "file://documents/readme")
        assert document.text == (folder / "readme.md").read_text(encoding="utf-8")
        assert document.mime_type == "text/markdown"


async def test_a_missing_document_is_an_error(mode: str, folder: Path) -> None:
    async with connect(plugin, mode=mode, settings={"folder": str(folder)}) as client:
        with pytest.raises(MCPError, match="Document 'nothing' not found"):
            await client.read_resource("file://documents/nothing")


@pytest.mark.parametrize("name", ["..%2Freadme", "%2Fetc%2Fpasswd", "..%5Creadme"])
async def test_no_name_leaves_the_folder(mode: str, folder: Path, name: str) -> None:
    inner = folder / "inner"
    inner.mkdir()
    async with connect(plugin, mode=mode, settings={"folder": str(inner)}) as client:
        with pytest.raises(MCPError, match="Unknown resource"):
            await client.read_resource(f"file://documents/{name}")


async def test_profiles_are_rows_of_the_database(mode: str, folder: Path) -> None:
    async with connect(plugin, mode=mode, settings={"folder": str(folder)}) as client:
        profile = await read(client, "api://users/2/profile")
        assert json.loads(profile.text) == {"user_id": 2, "name": "Bob", "status": "away"}
        with pytest.raises(MCPError, match="There is no user 3"):
            await client.read_resource("api://users/3/profile")
        with pytest.raises(MCPError, match="user_id"):
            await client.read_resource("api://users/bob/profile")


async def test_settings_come_from_the_toml(mode: str, folder: Path) -> None:
    async with connect(plugin, mode=mode, settings={"folder": str(folder), "theme": "light"}) as client:
        (resource,) = [each for each in (await client.list_resources()).resources if each.uri == "config://settings"]
        assert resource.mime_type == "application/json"
        found = json.loads((await read(client, "config://settings")).text)
    assert found == {"theme": "light", "language": "en"}
