"""The plugin's README is up to date: its TOML is valid, its table is complete, its session is real."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp.types import TextContent

from mcp_host.config.secrets import validate_settings
from mcp_host.testing import connect
from mcp_plugin_fetch import plugin
from mcp_plugin_fetch.settings import Settings
from support.firstparty import Readme
from support.webservers import page, text, web_server

README = Readme("fetch")


def test_every_configuration_is_valid(tmp_path: Path) -> None:
    (tmp_path / "wiki.key").write_text("k3y", encoding="utf-8")
    environ = {"EXAMPLE_TOKEN": "t0ken", "WIKI_SESSION": "s3ssion"}
    for each in README.blocks("toml"):
        settings = tomllib.loads(each)["plugins"]["fetch"].get("settings", {})
        validate_settings(Settings, settings, plugin="fetch", source="README", base_dir=tmp_path, environ=environ)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = README.rows("key")
    assert list(rows) == list(Settings.model_fields)
    for name, value in Settings().model_dump().items():
        assert json.loads(rows[name].strip("`")) == value


@pytest.mark.anyio
async def test_the_session_runs_as_it_is_shown() -> None:
    (html,), (robots,) = README.blocks("html"), README.blocks("text")
    settings = tomllib.loads(README.blocks("toml")[1])["plugins"]["fetch"]["settings"]
    async with web_server({"/penguins.html": page(html), "/robots.txt": text(robots)}) as server:
        allow = [rule.replace("127.0.0.1:18765", server.address) for rule in settings["allow"]]
        async with connect(plugin, name="fetch", settings={**settings, "allow": allow}) as client:
            for command, output in README.session():
                program, call, tool, *words = shlex.split(command.replace("127.0.0.1:18765", server.address))
                assert (program, call, tool) == ("mcp-host", "call", "fetch")
                pairs = (word.split("=", 1) for word in words)
                arguments: dict[str, Any] = {key: value if key == "url" else int(value) for key, value in pairs}
                result = await client.call_tool(tool, arguments)
                texts = [block.text for block in result.content if isinstance(block, TextContent)]
                shown = "\n".join(each.removesuffix("\n") for each in texts).replace(server.address, "127.0.0.1:18765")
                assert re.sub(r" +$", "", shown, flags=re.MULTILINE) == output
