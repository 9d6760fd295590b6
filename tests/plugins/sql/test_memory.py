"""No statement that reads makes the process grow by more than `max_memory`, whatever it returns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugins.sql.conftest import with_driver
from plugins.sql.servers import Server

TOO_LARGE = "has more than 32 MiB"

LIMIT = 256
"""MiB; the default of the setting."""

MEASURE = """
import json, sys
from pathlib import Path
import anyio
from mcp_host.testing import connect
from mcp_plugin_sql import plugin

def memory(name):
    status = Path("/proc/self/status").read_text()
    return int(status.partition(name + ":")[2].split()[0]) // 1024

async def main():
    given = json.loads(sys.argv[1])
    settings = {"url": given["url"], "allow_powerful_role": True, "statement_timeout": 300, "export_folder": "."}
    found = {}
    async with connect(plugin, name="sql", settings=settings) as client:
        await client.call_tool("query", {"sql": "SELECT 1"})
        for name, (tool, arguments) in given["calls"].items():
            Path("/proc/self/clear_refs").write_text("5")
            idle = memory("VmRSS")
            result = await client.call_tool(tool, arguments)
            grown = memory("VmHWM") - idle
            text = result.content[0].text if result.content else ""
            after = await client.call_tool("query", {"sql": "SELECT 1"})
            found[name] = {"grown": grown, "error": result.is_error, "text": text[:500], "after": after.is_error}
    print(json.dumps(found))

anyio.run(main)
"""

BIG = 120_000_000
POSTGRES = {
    "a text": f"SELECT repeat('x', {BIG}) AS t",
    "bytes": f"SELECT convert_to(repeat('x', {BIG}), 'UTF8')",
    "an array": "SELECT array_agg(n) FROM generate_series(1, 5000000) AS n",
    "jsonb": "SELECT jsonb_agg(n) FROM generate_series(1, 5000000) AS n",
    "many columns": "SELECT " + ", ".join(f"repeat('x', 20000000) AS c{n}" for n in range(10)),
    "wide rows after narrow ones": "SELECT repeat('x', CASE WHEN n < 90 THEN 1 ELSE 9000000 END) "
    "FROM generate_series(1, 500) AS n",
    "an error": f"SELECT repeat('x', {BIG})::int",
    "a notice": f"DO $$ BEGIN RAISE WARNING '%', repeat('x', {BIG}); END $$",
}
SQLITE = {
    "many columns": "SELECT " + ", ".join(f"hex(zeroblob(9000000)) AS c{n}" for n in range(30)),
    "many blobs": "SELECT zeroblob(15000000) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3), (SELECT 1 UNION SELECT 2)",
    "a long text": "SELECT hex(zeroblob(200000000))",
    "a text of wide characters": "SELECT replace(hex(zeroblob(2400000)), '0', char(128512))",
    "many rows": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) "
    "SELECT hex(zeroblob(4000000)) FROM n",
}
MARIADB = {
    "many columns": "SELECT " + ", ".join(f"repeat('x', 15000000) AS c{n}" for n in range(30)),
    "many rows": "SELECT repeat('x', 15000000) FROM information_schema.columns LIMIT 300",
}


def measure(folder: Path, url: str, statements: dict[str, str], tool: str = "query") -> dict[str, dict[str, Any]]:
    """Run statements in one process, and return for each how much the process has grown (MiB) and what came back."""
    more = {"file": "out.csv"} if tool == "export" else {}
    calls = {name: (tool, {"sql": sql} | more) for name, sql in statements.items()}
    command = [sys.executable, "-c", MEASURE, json.dumps({"url": url, "calls": calls})]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    assert {name: each["grown"] for name, each in found.items() if each["grown"] >= LIMIT} == {}
    assert [name for name, each in found.items() if each["after"]] == []
    return found


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_postgresql(tmp_path: Path, postgres: Server, driver: str) -> None:
    found = measure(tmp_path, with_driver(postgres, driver), POSTGRES)
    answered = {"wide rows after narrow ones"}
    assert {name for name, each in found.items() if not each["error"]} <= answered
    assert {
        name: each["text"] for name, each in found.items() if name not in answered and TOO_LARGE not in each["text"]
    } == {}


def test_sqlite(shop: Path) -> None:
    found = measure(shop.parent, "shop.sqlite", SQLITE)
    assert not found["many blobs"]["error"]
    assert "needs more than 85 MiB of memory" in found["many columns"]["text"]


def test_mariadb(tmp_path: Path, mariadb: Server) -> None:
    found = measure(tmp_path, mariadb.url, MARIADB)
    assert TOO_LARGE in found["many columns"]["text"]


def test_an_export_holds_only_a_few_rows(tmp_path: Path, postgres: Server) -> None:
    sql = "SELECT n, repeat('x', 1000000) FROM generate_series(1, 300) AS n"
    found = measure(tmp_path, postgres.url, {"many rows": sql}, "export")
    assert not found["many rows"]["error"], found
    assert (tmp_path / "out.csv").stat().st_size > 300_000_000
