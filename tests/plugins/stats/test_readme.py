"""The plugin's README is up to date: its TOML is valid, its tables are complete, its session is real."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp.types import ImageContent, TextContent
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mcp_host.testing import connect
from mcp_plugin_stats import plugin
from mcp_plugin_stats.settings import DatasetFile, Settings
from support.firstparty import Readme

README = Readme("stats")


def test_every_configuration_is_valid() -> None:
    for text in README.blocks("toml"):
        Settings.model_validate(tomllib.loads(text)["plugins"]["stats"]["settings"])


@pytest.mark.parametrize(("model", "heading"), [(Settings, "key"), (DatasetFile, "key of a data set")])
def test_every_setting_is_in_its_table_with_its_default(model: type[BaseModel], heading: str) -> None:
    rows = README.rows(heading)
    assert list(rows) == list(model.model_fields)
    for name, field in model.model_fields.items():
        if field.default not in (None, PydanticUndefined):
            assert json.loads(rows[name].strip("`")) == field.default


@pytest.mark.anyio
async def test_the_session_runs_as_it_is_shown(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "orders.csv").write_text("day,price\n2025-03-01,4.5\n")
    settings = tomllib.loads(README.blocks("toml")[0])["plugins"]["stats"]["settings"]
    async with connect(plugin, name="stats", settings=settings) as client:
        for command, output in README.session():
            program, call, tool, *words = shlex.split(command)
            assert (program, call) == ("mcp-host", "call")
            arguments: dict[str, Any] = {}
            for word in words:
                name, equals, value = word.partition("=")
                if equals:
                    arguments[name] = json.loads(value) if value.startswith("[") else value
            result = await client.call_tool(tool, arguments)
            if result.is_error:
                assert isinstance(result.content[0], TextContent)
                assert result.content[0].text == output
            elif len(result.content) == 2:
                text, image = result.content
                assert isinstance(text, TextContent)
                assert isinstance(image, ImageContent)
                *lines, last = output.splitlines()
                assert text.text.splitlines() == lines
                assert last.startswith("image/png, ")
            elif result.structured_content is not None:
                assert json.dumps(result.structured_content, indent=2) == output
