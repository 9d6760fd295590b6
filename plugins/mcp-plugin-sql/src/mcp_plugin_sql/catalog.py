"""The tables of the database and their columns. SQLAlchemy's inspector reads them again for each call."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_host import ToolError
from mcp_host.tables import Aggregate
from mcp_plugin_sql.collecting import Collector
from mcp_plugin_sql.database import Database
from mcp_plugin_sql.models import Column, ForeignKey, Index, TableKind, TableSchema
from mcp_plugin_sql.statement import Statement

if TYPE_CHECKING:
    from sqlalchemy import Connection, Inspector
    from sqlalchemy.ext.asyncio import AsyncConnection


class UnknownTableError(ToolError):
    """There is no table with this name."""


@dataclass(frozen=True)
class Table:
    """A table or view. `schema` is None for the default one, whose name is `home`."""

    table: str
    schema: str | None
    kind: TableKind
    home: str = ""

    @property
    def name(self) -> str:
        """The name in tools and resources."""
        return self.table if self.schema is None else f"{self.schema}.{self.table}"


async def tables(database: Database) -> list[Table]:
    """Return all tables and views that are listed, sorted by name. Those of the default schema come first."""
    return await database.run(lambda connection: listed(database, connection))


async def listed(database: Database, connection: AsyncConnection) -> list[Table]:
    """Return the same on a connection."""
    found = await database.backend.tables(connection)
    only = database.own.schemas
    known = [
        Table(name, None if default else schema, "view" if kind == "view" else "table", schema)
        for schema, name, kind, default in found
        if default or not only or schema in only
    ]
    return sorted(known, key=lambda table: (table.schema is not None, table.name))


async def describe(database: Database, name: str) -> TableSchema:
    """Return a table's columns, keys and indexes. Raises UnknownTableError."""

    async def work(connection: AsyncConnection) -> TableSchema:
        table = _found(name, await listed(database, connection))
        described, unknown = await connection.run_sync(_described, table)
        if unknown:
            names = await database.backend.unknown_types(connection, table.table, table.schema)
            for column in described.columns:
                if column.name in unknown:
                    column.type = names.get(column.name, column.type)
        return described

    return await database.run(work)


async def sample(database: Database, name: str, rows: int) -> tuple[Table, Collector]:
    """Return the first rows of a table, as many as fit into `max_bytes`. Raises UnknownTableError."""
    into = Collector(rows, database.settings.max_bytes)

    async def work(connection: AsyncConnection) -> Table:
        table = _found(name, await listed(database, connection))
        preparer = connection.dialect.identifier_preparer
        quoted = _quoted(table, preparer)
        await database.backend.select(connection, Statement(f"SELECT * FROM {quoted} LIMIT {rows}", None), into)
        return table

    return await database.run(work), into


async def aggregate(database: Database, name: str, request: Aggregate) -> tuple[Table, Collector]:
    """Return figures from all rows of a table. Raises UnknownTableError, and ToolError for an unknown column."""
    from sqlalchemy import inspect

    into = Collector(request.limit, database.settings.max_bytes)

    async def work(connection: AsyncConnection) -> Table:
        table = _found(name, await listed(database, connection))
        preparer = connection.dialect.identifier_preparer
        columns = await connection.run_sync(
            lambda inner: [str(each["name"]) for each in inspect(inner).get_columns(table.table, table.schema)]
        )
        quoted = _quoted(table, preparer)
        try:
            sql = request.sql(quoted, columns, preparer.quote_identifier)
        except ValueError as error:
            raise ToolError(str(error)) from None
        await database.backend.select(connection, Statement(sql, None), into)
        return table

    return await database.run(work), into


def _quoted(table: Table, preparer: Any) -> str:
    """Return a table's name as the database's SQL writes it."""
    parts = [part for part in (table.schema, table.table) if part is not None]
    return ".".join(preparer.quote_identifier(part) for part in parts)


def completed(value: str, names: Iterable[str]) -> list[str]:
    """Return the names that contain `value`. Names that begin with it come first."""
    typed = value.lower()
    found = [name for name in names if typed in name.lower()]
    return sorted(found, key=lambda name: not name.lower().startswith(typed))


def _found(name: str, known: Sequence[Table]) -> Table:
    for key in (lambda text: text, str.lower):
        same = [table for table in known if key(name) in (key(table.name), key(f"{table.home}.{table.table}"))]
        if len(same) == 1:
            return same[0]
    names = [table.name for table in known]
    meant = near(name, names)
    guess = f" Did you mean {meant!r}?" if meant else ""
    raise UnknownTableError(f"There is no table {name!r}.{guess} Tables: {_listed(names)}.")


def near(name: str, names: Iterable[str]) -> str | None:
    """Return the table that was probably meant: the same name in another schema or case, or a similar one."""
    asked = re.sub('["`]', "", name).lower()
    whole = {known.lower(): known for known in names}
    bare = {key.rpartition(".")[2]: known for key, known in reversed(whole.items())}
    last = asked.rpartition(".")[2]
    if last in bare:
        return bare[last]
    for keys, key in ((whole, asked), (bare, last)):
        found = difflib.get_close_matches(key, keys, n=1)
        if found:
            return keys[found[0]]
    return None


def _listed(names: Sequence[str], most: int = 30) -> str:
    text = ", ".join(names[:most]) or "none"
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def inspector_of(connection: Connection) -> Inspector:
    """Return SQLAlchemy's inspector, which warns of no type that it does not know."""
    from sqlalchemy import exc, inspect

    # If SQLAlchemy does not know a type, the database's own name of the type is shown.
    warnings.filterwarnings("ignore", category=exc.SAWarning, message="Did not recognize type|Skipped unsupported")
    return inspect(connection)


def _described(connection: Connection, table: Table) -> tuple[TableSchema, set[str]]:
    from sqlalchemy.types import NullType

    inspector = inspector_of(connection)
    columns = inspector.get_columns(table.table, table.schema)
    schema = TableSchema(
        table=table.name,
        kind=table.kind,
        comment=_comment(inspector, table),
        columns=[
            Column(
                name=column["name"],
                type=type_name(column["type"], connection),
                nullable=bool(column["nullable"]),
                default=column.get("default"),
                comment=column.get("comment"),
            )
            for column in columns
        ],
        primary_key=list(inspector.get_pk_constraint(table.table, table.schema)["constrained_columns"]),
        foreign_keys=[_foreign_key(key) for key in inspector.get_foreign_keys(table.table, table.schema)],
        indexes=_indexes(inspector, table),
    )
    return schema, {column["name"] for column in columns if isinstance(column["type"], NullType)}


def type_name(kind: Any, connection: Connection) -> str:
    """Return the name of a column's type in the database's own words."""
    from sqlalchemy.types import NullType

    return "unknown" if isinstance(kind, NullType) else str(kind.compile(dialect=connection.dialect))


def _comment(inspector: Inspector, table: Table) -> str | None:
    if not inspector.dialect.supports_comments:
        return None
    return inspector.get_table_comment(table.table, table.schema).get("text") or None


def _foreign_key(key: Any) -> ForeignKey:
    schema, table = key["referred_schema"], key["referred_table"]
    return ForeignKey(
        columns=list(key["constrained_columns"]),
        table=f"{schema}.{table}" if schema else table,
        to=list(key["referred_columns"]),
    )


def _indexes(inspector: Inspector, table: Table) -> list[Index]:
    indexes = [
        Index(
            name=index["name"],
            columns=[str(part) for part in index.get("expressions") or index["column_names"]],
            unique=bool(index["unique"]),
        )
        for index in inspector.get_indexes(table.table, table.schema)
    ]
    # SQLite and PostgreSQL list unique constraints separately.
    known = {index.name for index in indexes}
    indexes += [
        Index(name=constraint["name"], columns=list(constraint["column_names"]), unique=True)
        for constraint in inspector.get_unique_constraints(table.table, table.schema)
        if constraint["name"] is None or constraint["name"] not in known
    ]
    return indexes
