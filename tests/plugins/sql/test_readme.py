"""The plugin's README is up to date: its TOML is valid, its tables are complete, its session is real."""

from __future__ import annotations

import json
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
from support.firstparty import Readme

README = Readme("sql")


def test_every_configuration_is_valid() -> None:
    for text in README.blocks("toml"):
        settings = tomllib.loads(text)["plugins"]["sql"]["settings"]
        if "password" in settings:
            settings["password"] = SecretStr("as the environment has it")
        Settings.model_validate(settings)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = README.rows("key")
    assert list(rows) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        assert rows[name] == ("none" if default is None else f"`{json.dumps(default)}`")


@pytest.mark.anyio
async def test_the_session_runs_as_it_is_shown(shop: Path) -> None:
    assert len(README.session()) > 3
    settings = tomllib.loads(README.blocks("toml")[0])["plugins"]["sql"]["settings"]
    async with connect(plugin, name="sql", settings=settings) as client:
        for command, output in README.session():
            program, call, tool, *words = shlex.split(command)
            assert (program, call) == ("mcp-host", "call")
            arguments: dict[str, Any] = {}
            for word in words:
                name, _, value = word.partition("=")
                arguments[name] = json.loads(value) if value.startswith("{") or value.isdecimal() else value
            result = await client.call_tool(tool, arguments)
            if result.is_error:
                assert isinstance(result.content[0], TextContent)
                assert result.content[0].text == output
            else:
                assert json.dumps(result.structured_content, indent=2) == output
