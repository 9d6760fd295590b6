"""The plugin's README is up to date: its TOML is valid, its tables are complete, its session is real."""

from __future__ import annotations

import json
import re
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

README = (Path(__file__).parents[3] / "plugins" / "mcp-plugin-stats" / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def session() -> list[tuple[str, str]]:
    (console,) = blocks("console")
    parts = re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
    return [(command, output.rstrip("\n")) for command, _, output in (part.partition("\n") for part in parts)]


def test_every_configuration_is_valid() -> None:
    for text in blocks("toml"):
        Settings.model_validate(tomllib.loads(text)["plugins"]["stats"]["settings"])


@pytest.mark.parametrize(("model", "heading"), [(Settings, "key"), (DatasetFile, "key of a data set")])
def test_every_setting_is_in_its_table_with_its_default(model: type[BaseModel], heading: str) -> None:
    table = README.partition(f"| {heading} |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    assert list(rows) == list(model.model_fields)
    for name, field in model.model_fields.items():
        if field.default not in (None, PydanticUndefined):
            assert json.loads(rows[name].strip("`")) == field.default


@pytest.mark.anyio
async def test_the_session_runs_as_it_is_shown(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "orders.csv").write_text("day,price\n2025-03-01,4.5\n")
    settings = tomllib.loads(blocks("toml")[0])["plugins"]["stats"]["settings"]
    async with connect(plugin, name="stats", settings=settings) as client:
        for command, output in session():
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
