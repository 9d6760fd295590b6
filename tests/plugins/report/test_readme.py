"""The plugin's README is up to date: its TOML is valid, its tables are complete, its session is real."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mcp_host.testing import connect
from mcp_plugin_report import plugin
from mcp_plugin_report.settings import Settings
from support.firstparty import Readme

README = Readme("report")


def test_the_configuration_is_valid() -> None:
    (text,) = README.blocks("toml")
    Settings.model_validate(tomllib.loads(text)["plugins"]["report"]["settings"])


def test_every_setting_is_in_its_table_with_its_default() -> None:
    table = README.rows("key")
    assert list(table) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert json.loads(table[name].strip("`")) == field.default
        assert field.description


@pytest.mark.anyio
async def test_everything_served_is_in_its_table() -> None:
    async with connect(plugin, name="report") as client:
        tools = (await client.list_tools()).tools
        served = [f"{tool.name}({', '.join(tool.input_schema.get('properties', {}))})" for tool in tools]
        listed = (await client.list_resources()).resources
        served += [found.uri for found in listed if not found.uri.startswith("mcp-host:")]
        served += [found.uri_template for found in (await client.list_resource_templates()).resource_templates]
    table = README.section("What it serves")
    assert sorted(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == sorted(served)


def test_the_session_runs_as_it_is_shown(tmp_path: Path) -> None:
    (toml,) = README.blocks("toml")
    (tmp_path / "mcp-host.toml").write_text(f'[host]\ndata_dir = "data"\n{toml}', encoding="utf-8")
    for command, output in README.session():
        program, *words = shlex.split(command)
        assert program == "mcp-host"
        done = subprocess.run(
            [sys.executable, "-m", "mcp_host", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        # A command reports an error on stderr, after its progress.
        printed = done.stdout.rstrip("\n") or done.stderr.rstrip("\n").splitlines()[-1]
        pattern = ".+?".join(re.escape(part) for part in output.split("..."))
        assert re.fullmatch(pattern, printed), printed
