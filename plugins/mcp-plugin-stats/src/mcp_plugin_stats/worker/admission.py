"""Decides which SQL a caller may run: one SELECT over the data sets. It checks the tree of DuckDB's own parser.

The engine itself refuses writes and files (see `sandbox`). This module also refuses functions that change or show the
engine's state, and functions that make a huge value from a number, because DuckDB's memory limit does not count such a
value. It also finds the data sets that a query names, so that they can be loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_plugin_stats.errors import DataError

if TYPE_CHECKING:
    from mcp_plugin_stats.worker.session import Session

LONGEST = 20_000
"""The most characters of a query."""

QUERIES = frozenset(("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"))
"""The nodes that only read. DuckDB 2 also has ..._QUERY_NODE for INSERT, UPDATE and DELETE within WITH."""

TABLE_FUNCTIONS = frozenset(("range", "generate_series", "unnest"))

GROWING = frozenset(
    (
        *("repeat", "range", "generate_series", "lpad", "rpad", "format", "printf", "bar", "bitstring"),
        *("list_resize", "array_resize"),
    )
)
"""Scalar functions whose result has a size given by a number."""

INTERNAL = frozenset(("current_setting", "getenv", "getvariable", "write_log", "nextval", "currval"))
"""Scalar functions that show the engine's state, not the data."""


@dataclass(frozen=True)
class Query:
    """An allowed query: its text without a final semicolon, and the tables that it names, in the order of the text."""

    sql: str
    tables: tuple[str, ...]


def admit(session: Session, sql: str) -> Query:
    """Return the query if it only reads data sets. Raises DataError with the reason if it is not allowed."""
    if len(sql) > LONGEST:
        raise DataError(f"The query is {len(sql)} characters long: at most {LONGEST} are allowed.")
    tree = _tree(session, sql)
    tables: dict[str, None] = {}
    local: set[str] = set()
    for node in _nodes(tree):
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in QUERIES:
            raise DataError("The query writes: only SELECT is allowed, also within WITH.")
        if kind == "TABLE_FUNCTION":
            _admit_table_function(_name(node.get("function")))
        elif kind == "BASE_TABLE":
            if node.get("schema_name") or node.get("catalog_name"):
                raise DataError(f"Name the data set without a schema: {node.get('table_name')}.")
            tables[str(node.get("table_name"))] = None
        elif kind == "SHOW_REF" and node.get("table_name"):
            raise DataError("SHOW is not allowed: the resource stats://datasets lists the data sets.")
        elif node.get("class") == "FUNCTION":
            _admit_function(_name(node))
        entries = node.get("cte_map", {}).get("map", []) if isinstance(node.get("cte_map"), dict) else []
        local.update(str(entry.get("key")).lower() for entry in entries)
        if kind == "RECURSIVE_CTE_NODE":
            local.add(str(node.get("cte_name")).lower())
    return Query(_without_semicolon(sql), tuple(name for name in tables if name.lower() not in local))


def _tree(session: Session, sql: str) -> Any:
    serialized = session.parsed(sql)
    try:
        answer = json.loads(serialized)
    except RecursionError:
        raise DataError("The query is nested too deeply.") from None
    if answer.get("error"):
        message = str(answer.get("error_message", ""))
        if "Only SELECT" in message or "CTE needs a SELECT" in message:
            raise DataError("Only SELECT is allowed (WITH, DESCRIBE and SUMMARIZE too): the data sets are read-only.")
        raise DataError(f"The query is not valid SQL for DuckDB: {message}.")
    statements = answer.get("statements", [])
    if len(statements) != 1:
        raise DataError(f"Send exactly one SELECT: there are {len(statements)} statements in the query.")
    return statements[0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of the tree in the order of the text. A table function's call is not yielded separately."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            call = item.get("function") if item.get("type") == "TABLE_FUNCTION" else None
            if isinstance(call, dict):
                waiting.append(call.get("children"))
            waiting.extend(value for value in reversed(item.values()) if value is not call or call is None)
        elif isinstance(item, list):
            waiting.extend(reversed(item))


def _name(function: Any) -> str:
    return str(function.get("function_name", "")).lower() if isinstance(function, dict) else ""


def _admit_table_function(name: str) -> None:
    if name not in TABLE_FUNCTIONS:
        allowed = ", ".join(sorted(TABLE_FUNCTIONS))
        raise DataError(f"{name}() is not allowed in FROM: a query reads only data sets (allowed: {allowed}).")


def _admit_function(name: str) -> None:
    if name in GROWING:
        hint = " Use it in FROM instead." if name in TABLE_FUNCTIONS else ""
        raise DataError(f"{name}() is not allowed: it can make a value of any size.{hint}")
    if name in INTERNAL or name.startswith(("pg_", "duckdb_", "json_execute", "json_serialize_sql")):
        raise DataError(f"{name}() is not allowed: it is not about the data.")


def _without_semicolon(sql: str) -> str:
    """Return the text before the semicolon at the end of the only statement. Only comments can follow it."""
    import duckdb

    raw = sql.encode()
    for offset, _ in duckdb.tokenize(sql):
        if raw[offset : offset + 1] == b";":
            return raw[:offset].decode()
    return sql
