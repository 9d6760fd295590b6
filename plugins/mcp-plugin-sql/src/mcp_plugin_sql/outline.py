"""Describes all tables of a database in one compact text that fits into a number of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp_plugin_sql import catalog
from mcp_plugin_sql.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

CHARACTERS: Final = 4
"""About how many characters a token has."""

MOST: Final = 1_000
"""How many tables are read."""


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    marks: str


@dataclass(frozen=True)
class _Table:
    name: str
    kind: str
    columns: Sequence[_Column]


async def text(database: Database, containing: str, max_tokens: int) -> str:
    """Return a line for each table, with as much about its columns as fits into about `max_tokens`."""

    async def work(connection: Any) -> tuple[list[catalog.Table], list[_Table]]:
        found = await catalog.listed(database, connection)
        wanted = [table for table in found if containing.lower() in table.name.lower()]
        return wanted, await connection.run_sync(_columns, wanted[:MOST])

    wanted, tables = await database.run(work)
    if not tables:
        return "There are no tables." if not containing else f"No table has {containing!r} in its name."
    budget = max_tokens * CHARACTERS
    for line in (_full, _without_types, _names):
        lines = [line(table) for table in tables]
        if sum(map(len, lines)) + len(lines) <= budget and len(wanted) == len(tables):
            return "\n".join(lines)
    return _cut([_names(table) for table in tables], len(wanted), budget)


def _cut(lines: Sequence[str], number: int, budget: int) -> str:
    kept, size = [], 0
    for line in lines:
        size += len(line) + 1
        if size > budget - 60:
            break
        kept.append(line)
    rest = number - len(kept)
    return "\n".join([*kept, f"... and {rest} more: use `containing`, or raise `max_tokens`."])


def _full(table: _Table) -> str:
    return _line(table, lambda column: f"{column.name} {column.type}{column.marks}")


def _without_types(table: _Table) -> str:
    return _line(table, lambda column: column.name)


def _names(table: _Table) -> str:
    return f"{_head(table)}: {len(table.columns)} columns"


def _line(table: _Table, shown: Callable[[_Column], str]) -> str:
    return f"{_head(table)}({', '.join(map(shown, table.columns))})"


def _head(table: _Table) -> str:
    return table.name if table.kind == "table" else f"{table.kind} {table.name}"


def _columns(connection: Connection, tables: Sequence[catalog.Table]) -> list[_Table]:
    """Read the columns and keys of tables. SQLAlchemy reads a schema's with a few queries."""
    from sqlalchemy.engine.reflection import ObjectKind, ObjectScope

    inspector = catalog.inspector_of(connection)
    found: dict[tuple[str | None, str], _Table] = {}
    for schema in dict.fromkeys(table.schema for table in tables):
        names = [table.table for table in tables if table.schema == schema]
        wanted: dict[str, Any] = {
            "schema": schema,
            "filter_names": names,
            "kind": ObjectKind.ANY,
            "scope": ObjectScope.DEFAULT,
        }
        columns = inspector.get_multi_columns(**wanted)
        keys = inspector.get_multi_pk_constraint(**wanted)
        links = inspector.get_multi_foreign_keys(**wanted)
        for table in (table for table in tables if table.schema == schema):
            at = (schema, table.table)
            primary = set(keys[at]["constrained_columns"]) if at in keys else set()
            refers = {
                own: f" -> {link['referred_table']}.{other}"
                for link in links.get(at, ())
                for own, other in zip(link["constrained_columns"], link["referred_columns"], strict=False)
            }
            found[at] = _Table(
                table.name,
                table.kind,
                [
                    _Column(
                        column["name"],
                        catalog.type_name(column["type"], connection),
                        (" PK" if column["name"] in primary else "" if column["nullable"] else " NOT NULL")
                        + refers.get(column["name"], ""),
                    )
                    for column in columns.get(at, ())
                ],
            )
    return list(found.values())
