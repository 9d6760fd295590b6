from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mcp_host.testing import contract
from support.firstparty import PLUGINS, needs_the_host, project_of

PLUGIN = PLUGINS / "mcp-plugin-sql"
HEAVY = "{'sqlalchemy', 'asyncpg', 'psycopg', 'aiomysql', 'pymysql'}"


def test_the_plugin_keeps_the_contract(tmp_path: Path) -> None:
    for settings in ({}, {"writable": True}):
        report = contract(PLUGIN, settings=settings, base_dir=tmp_path, import_budget=30)
        report.raise_for_problems(warnings=True)


def test_importing_and_starting_the_plugin_imports_neither_sqlalchemy_nor_a_driver(tmp_path: Path) -> None:
    code = f"""
import sys, anyio
from mcp_host.testing import connect
from mcp_plugin_sql import plugin

async def main():
    print(sorted({HEAVY} & set(sys.modules)))
    async with connect(plugin, settings={{"url": "new.sqlite", "writable": True}}) as client:
        await client.list_tools()
        print(sorted({HEAVY} & set(sys.modules)))
        assert not (await client.call_tool("execute", {{"sql": "CREATE TABLE a (b)"}})).is_error
        print(sorted({HEAVY} & set(sys.modules)))

anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["[]", "[]", "['sqlalchemy']"]


def test_the_entry_point_names_the_plugin_and_extras_bring_the_drivers() -> None:
    project = project_of("sql")
    assert project["entry-points"]["mcp.plugins"] == {"sql": "mcp_plugin_sql:plugin"}
    assert needs_the_host("sql")
    assert sorted(project["optional-dependencies"]) == ["asyncpg", "mysql", "postgres"]
