"""The plugin's README is up to date: its TOML is valid, its tables are complete, its session is real."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp.types import TextContent
from pydantic import SecretStr

from mcp_host.testing import connect
from mcp_plugin_sql import plugin
from mcp_plugin_sql.settings import Settings

README = (Path(__file__).parents[3] / "plugins" / "mcp-plugin-sql" / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_configuration_is_valid() -> None:
    for text in blocks("toml"):
        settings = tomllib.loads(text)["plugins"]["sql"]["settings"]
        if "password" in settings:
            settings["password"] = SecretStr("as the environment has it")
        Settings.model_validate(settings)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    table = README.partition("| key |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    assert list(rows) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        assert rows[name] == ("none" if default is None else f"`{json.dumps(default)}`")


@pytest.mark.anyio
async def test_the_session_runs_as_it_is_shown(shop: Path) -> None:
    (console,) = blocks("console")
    parts = re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
    assert len(parts) > 3
    settings = tomllib.loads(blocks("toml")[0])["plugins"]["sql"]["settings"]
    async with connect(plugin, name="sql", settings=settings) as client:
        for part in parts:
            command, _, output = part.partition("\n")
            program, call, tool, *words = shlex.split(command)
            assert (program, call) == ("mcp-host", "call")
            arguments: dict[str, Any] = {}
            for word in words:
                name, _, value = word.partition("=")
                arguments[name] = json.loads(value) if value.startswith("{") or value.isdecimal() else value
            result = await client.call_tool(tool, arguments)
            if result.is_error:
                assert isinstance(result.content[0], TextContent)
                assert result.content[0].text == output.rstrip("\n")
            else:
                assert json.dumps(result.structured_content, indent=2) == output.rstrip("\n")
