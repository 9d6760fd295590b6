"""The tables of the database and their columns. SQLAlchemy's inspector reads them again for each call."""

from __future__ import annotations

import difflib
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
    """A table or view. `schema` is None for the default one."""

    table: str
    schema: str | None
    kind: TableKind

    @property
    def name(self) -> str:
        """The name in tools and resources."""
        return self.table if self.schema is None else f"{self.schema}.{self.table}"


async def tables(database: Database) -> list[Table]:
    """Return all tables and views of the default schema and of `schemas`, sorted by name."""
    schemas = database.settings.schemas
    return await database.run(lambda connection: connection.run_sync(_tables, schemas))


async def describe(database: Database, name: str) -> TableSchema:
    """Return a table's columns, keys and indexes. Raises UnknownTableError."""

    async def work(connection: AsyncConnection) -> TableSchema:
        table = _found(name, await connection.run_sync(_tables, database.settings.schemas))
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
        table = _found(name, await connection.run_sync(_tables, database.settings.schemas))
        preparer = connection.dialect.identifier_preparer
        parts = [part for part in (table.schema, table.table) if part is not None]
        quoted = ".".join(preparer.quote_identifier(part) for part in parts)
        await database.backend.select(connection, Statement(f"SELECT * FROM {quoted} LIMIT {rows}", None), into)
        return table

    return await database.run(work), into


async def aggregate(database: Database, name: str, request: Aggregate) -> tuple[Table, Collector]:
    """Return figures from all rows of a table. Raises UnknownTableError, and ToolError for an unknown column."""
    from sqlalchemy import inspect

    into = Collector(request.limit, database.settings.max_bytes)

    async def work(connection: AsyncConnection) -> Table:
        table = _found(name, await connection.run_sync(_tables, database.settings.schemas))
        preparer = connection.dialect.identifier_preparer
        columns = await connection.run_sync(
            lambda inner: [str(each["name"]) for each in inspect(inner).get_columns(table.table, table.schema)]
        )
        parts = [part for part in (table.schema, table.table) if part is not None]
        quoted = ".".join(preparer.quote_identifier(part) for part in parts)
        try:
            sql = request.sql(quoted, columns, preparer.quote_identifier)
        except ValueError as error:
            raise ToolError(str(error)) from None
        await database.backend.select(connection, Statement(sql, None), into)
        return table

    return await database.run(work), into


def completed(value: str, names: Iterable[str]) -> list[str]:
    """Return the names that contain `value`. Names that begin with it come first."""
    typed = value.lower()
    found = [name for name in names if typed in name.lower()]
    return sorted(found, key=lambda name: not name.lower().startswith(typed))


def _tables(connection: Connection, schemas: Sequence[str]) -> list[Table]:
    inspector = _inspector(connection)
    default = inspector.default_schema_name
    wanted = [None, *(schema for schema in dict.fromkeys(schemas) if schema != default)]
    return sorted((table for schema in wanted for table in _in_schema(inspector, schema)), key=lambda table: table.name)


def _in_schema(inspector: Inspector, schema: str | None) -> Iterable[Table]:
    kinds: dict[str, TableKind] = dict.fromkeys(inspector.get_table_names(schema), "table")
    # Only PostgreSQL has these.
    for getter, kind in (("get_foreign_table_names", "table"), ("get_materialized_view_names", "view")):
        if inspector.dialect.name == "postgresql":
            kinds |= dict.fromkeys(getattr(inspector, getter)(schema=schema), kind)
    kinds |= dict.fromkeys(inspector.get_view_names(schema), "view")
    return (Table(name, schema, kind) for name, kind in kinds.items())


def _found(name: str, known: Sequence[Table]) -> Table:
    same = [table for table in known if table.name == name]
    same = same or [table for table in known if table.name.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    names = [table.name for table in known]
    near = difflib.get_close_matches(name.lower(), [other.lower() for other in names], n=1)
    meant = next((other for other in names if near and other.lower() == near[0]), None)
    guess = f" Did you mean {meant!r}?" if meant else ""
    raise UnknownTableError(f"There is no table {name!r}.{guess} Tables: {_listed(names)}.")


def _listed(names: Sequence[str], most: int = 30) -> str:
    text = ", ".join(names[:most]) or "none"
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def _inspector(connection: Connection) -> Inspector:
    from sqlalchemy import exc, inspect

    # If SQLAlchemy does not know a type, the database's own name of the type is shown.
    warnings.filterwarnings("ignore", category=exc.SAWarning, message="Did not recognize type|Skipped unsupported")
    return inspect(connection)


def _described(connection: Connection, table: Table) -> tuple[TableSchema, set[str]]:
    from sqlalchemy.types import NullType

    inspector = _inspector(connection)
    columns = inspector.get_columns(table.table, table.schema)
    schema = TableSchema(
        table=table.name,
        kind=table.kind,
        comment=_comment(inspector, table),
        columns=[
            Column(
                name=column["name"],
                type=_type_name(column["type"], connection),
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


def _type_name(kind: Any, connection: Connection) -> str:
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
