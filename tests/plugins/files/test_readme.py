"""The plugin's README is up to date: its TOML is valid, its tables are complete, its session is real."""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp.types import TextContent, TextResourceContents
from pydantic import BaseModel

import mcp_plugin_files
from mcp_host.testing import connect
from mcp_plugin_files.settings import RootFolder, Settings
from support.firstparty import Readme

README = Readme("files")
DEPLOY = "# Deploy\n\n1. Tag the release.\n2. Run `make deploy`.\n3. Watch the dashboard.\n"


def configured() -> Settings:
    (text,) = README.blocks("toml")
    return Settings.model_validate(tomllib.loads(text)["plugins"]["files"]["settings"])


@pytest.mark.parametrize(("model", "heading"), [(Settings, "key"), (RootFolder, "key of a root")])
def test_every_setting_is_in_its_table_with_its_default(model: type[BaseModel], heading: str) -> None:
    rows = README.rows(heading)
    assert list(rows) == list(model.model_fields)
    for name, field in model.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if default is not None:
            assert json.loads(rows[name].strip("`")) == default


@pytest.mark.anyio
async def test_every_tool_and_resource_is_in_the_table(folder: Path, mode: str) -> None:
    table = README.section("What it serves")
    async with connect(mcp_plugin_files, settings=configured().model_dump(exclude_none=True), mode=mode) as client:
        tools = (await client.list_tools()).tools
        (template,) = (await client.list_resource_templates()).resource_templates
    for tool in tools:
        (given,) = re.findall(rf"`{tool.name}\((.*?)\)` \|", table)
        assert sorted(given.split(", ")) == sorted(tool.input_schema["properties"])
    assert f"| `{template.uri_template}` |" in table


@pytest.mark.anyio
async def test_the_session_runs_as_it_is_shown(folder: Path, mode: str) -> None:
    (folder / "howto").mkdir()
    (folder / "index.md").write_text("# Handbook\n\nStart with the how-to pages.\n")
    (folder / "howto/deploy.md").write_text(DEPLOY)
    (folder.parent / "notes").mkdir()
    for path in (folder / "index.md", folder / "howto"):
        os.utime(path, (1740819600, 1740819600))
    settings = configured().model_dump(exclude_none=True)
    async with connect(mcp_plugin_files, name="files", settings=settings, mode=mode) as client:
        for command, output in README.session():
            program, verb, name, *words = shlex.split(command)
            assert program == "mcp-host"
            if verb == "read":
                (content,) = (await client.read_resource(name)).contents
                assert isinstance(content, TextResourceContents)
                assert content.text.rstrip("\n") == output
                continue
            assert verb == "call"
            given: dict[str, Any] = {key: value for key, _, value in (word.partition("=") for word in words)}
            given |= {key: json.loads(str(given[key])) for key in ("context", "dry_run") if key in given}
            result = await client.call_tool(name, given)
            if result.structured_content is not None:
                assert json.dumps(result.structured_content, indent=2) == output
            else:
                texts = [block.text for block in result.content if isinstance(block, TextContent)]
                assert len(texts) == len(result.content)
                assert "\n".join(texts).rstrip("\n") == output
