"""A plugin that serves the tables of an SQLite file at `sql://tables`, with the resources of mcp-plugin-sql.

`serving(path)` is all that the tests use: it can return the real plugin, with `{"url": str(path), "max_rows": 200}`.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mcp.server.mcpserver.exceptions import ResourceNotFoundError

from mcp_host import Plugin, ResourceError

MOST_ROWS = 200


def serving(path: Path) -> tuple[Plugin, dict[str, Any]]:
    """The plugin, and its settings in mcp-host.toml."""
    plugin = Plugin()

    def query(sql: str, *parameters: Any) -> tuple[list[str], list[list[Any]]]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            cursor = connection.execute(sql, parameters)
            return [column[0] for column in cursor.description], [list(row) for row in cursor.fetchall()]

    def quoted(table: str) -> str:
        _, found = query("SELECT name FROM sqlite_master WHERE name = ? AND type IN ('table', 'view')", table)
        if not found:
            raise ResourceNotFoundError(f"There is no table {table!r}.")
        return '"' + table.replace('"', '""') + '"'

    @plugin.resource("sql://tables", mime_type="application/json")
    def tables() -> str:
        """The tables."""
        _, found = query("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")
        return json.dumps(
            [
                {
                    "name": name,
                    "kind": kind,
                    "schema_uri": f"sql://tables/{quote(name, safe='')}/schema",
                    "sample_uri": f"sql://tables/{quote(name, safe='')}/sample",
                }
                for name, kind in found
            ]
        )

    @plugin.resource("sql://tables/{table}/schema", mime_type="application/json")
    def schema(table: str) -> str:
        """The columns of one."""
        _, found = query(f'SELECT name, type, "notnull", pk FROM pragma_table_info({quoted(table)})')
        columns = [
            {"name": name, "type": declared, "nullable": not notnull, "primary_key": bool(pk)}
            for name, declared, notnull, pk in found
        ]
        return json.dumps({"table": table, "columns": columns})

    @plugin.resource("sql://tables/{table}/sample{?rows}", mime_type="application/json")
    def sample(table: str, rows: int = 10) -> str:
        """Its first rows."""
        if not 1 <= rows <= MOST_ROWS:
            raise ResourceError(f"rows is {rows}: it must be from 1 to {MOST_ROWS}.")
        columns, found = query(f"SELECT * FROM {quoted(table)} LIMIT ?", rows)
        return json.dumps({"table": table, "columns": columns, "rows": found})

    return plugin, {}
