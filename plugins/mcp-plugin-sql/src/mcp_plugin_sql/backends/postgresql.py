"""What both drivers for PostgreSQL share: read-only transactions, timeouts, the form of values, and SQLSTATEs.

Sources: PostgreSQL's documentation of SET TRANSACTION, DISCARD, statement_timeout, the JSON functions, and its appendix
of error codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcp_plugin_sql.backends.base import Backend, Place, TableRow
from mcp_plugin_sql.collecting import Reader
from mcp_plugin_sql.failures import Failure, sentence, shortened
from mcp_plugin_sql.statement import Statement, without_end
from mcp_plugin_sql.urloptions import postgres_options
from mcp_plugin_sql.values import exact_json

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

READ_ONLY: Final = "25006"
CANCELED: Final = "57014"
LOCK_TIMEOUT: Final = "55P03"
STARTING: Final = "57P03"
TOO_MANY: Final = "53300"

TEXT_TYPES: Final = (
    *("date", "time", "timetz", "timestamp", "timestamptz", "interval"),
    *("inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "money"),
    *("point", "line", "lseg", "box", "path", "polygon", "circle"),
)
"""Types that are read and sent as PostgreSQL's text, because Python's types have no infinity, year 10,000 or months."""

PLAIN_TYPES: Final = frozenset(
    (
        *(16, 17, 18, 19, 20, 21, 23, 25, 26),  # bool, bytea, "char", name, int8, int2, int4, text, oid
        *(114, 142, 600, 601, 602, 603, 604, 628),  # json, xml, point, lseg, path, box, polygon, line
        *(650, 701, 705, 718, 774, 790, 829, 869),  # cidr, float8, unknown, circle, macaddr8, money, macaddr, inet
        *(1042, 1043, 1082, 1083, 1114, 1184, 1186),  # bpchar, varchar, date, time, timestamp, timestamptz, interval
        *(1266, 1560, 1562, 1700, 2278, 2950, 3802),  # timetz, bit, varbit, numeric, void, uuid, jsonb
    )
)
"""The types (pg_type.oid) that both drivers read right. All others are converted by the server."""

CHAR: Final = 18
FLOAT4: Final = 700

KINDS_QUERY: Final = """
SELECT oid::text, CASE
    WHEN typtype = 'c' OR oid = 2249 OR typcategory = 'A' AND typlen = -1 AND typtype = 'b' THEN 'json'
    ELSE 'text' END
FROM pg_catalog.pg_type WHERE oid IN ({oids})
"""
"""How the server converts a type: containers to JSON; ranges, enums, extensions' types and pseudo-types to text."""

TYPES_QUERY: Final = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = '{table}' AND n.nspname = {schema} AND a.attnum > 0 AND NOT a.attisdropped
"""

TABLES_QUERY: Final = """
SELECT n.nspname::text, c.relname::text, CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END,
    n.nspname = current_schema()
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname <> 'information_schema'
    AND left(n.nspname, 3) <> 'pg_' AND has_schema_privilege(n.oid, 'USAGE')
"""

POWERS_QUERY: Final = """
SELECT concat_ws(', ',
    CASE WHEN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN 'superuser' END,
    (SELECT string_agg(rolname::text, ', ' ORDER BY rolname) FROM pg_catalog.pg_roles
        WHERE rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files',
            'pg_signal_backend') AND pg_has_role(current_user, oid, 'USAGE')),
    (SELECT string_agg(DISTINCT p.proname::text, ', ') FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'dblink'
        WHERE p.proname IN ('dblink', 'dblink_exec', 'dblink_connect', 'dblink_connect_u')
            AND has_function_privilege(p.oid, 'EXECUTE')),
    (SELECT string_agg('the language ' || lanname, ', ') FROM pg_catalog.pg_language
        WHERE NOT lanpltrusted AND lanname NOT IN ('internal', 'c') AND has_language_privilege(oid, 'USAGE')))
"""
"""What the role has that a read-only transaction does not limit: programs, files, other sessions and connections."""


class PostgreSQL(Backend):
    """The part that does not depend on the driver."""

    title = "PostgreSQL"
    driver: ClassVar[str]
    analyzing = "EXPLAIN (ANALYZE, BUFFERS) "
    unknown_table = r'relation "([^"]+)" does not exist'
    misread: ClassVar[frozenset[int]] = frozenset()
    """Plain types that this driver reads with other digits. They are sent as text."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.options = postgres_options(self.parsed.query, self.driver)

    @property
    def connect_timeout(self) -> float:
        """The seconds for making a connection, from the URL or the settings."""
        return min(self.options.connect_timeout or self.settings.connect_timeout, self.settings.connect_timeout)

    async def begin(self, connection: AsyncConnection, *, writing: bool) -> None:
        """Begin with BEGIN READ ONLY, and set what holds for the transaction.

        Settings are local to the transaction, so that nothing stays in a session that a pooler gives to somebody else.
        The SELECT takes the transaction's snapshot. After that, SET TRANSACTION READ WRITE is an error.
        """
        if self.single:
            return
        await connection.execution_options(postgresql_readonly=not writing)
        await connection.exec_driver_sql(f"SELECT {self._set(writing=writing)}", None, {"no_parameters": True})

    def _set(self, *, writing: bool) -> str:
        """Return the calls of set_config for a transaction."""
        milliseconds = max(1, round(self.settings.statement_timeout * 1000))
        settings = {**self.options.session, "DateStyle": "ISO", "statement_timeout": str(milliseconds)}
        if not writing:
            # With this, a statement after a caller's own COMMIT, outside of a transaction, cannot write either.
            settings["default_transaction_read_only"] = "on"
        return ", ".join(
            f"pg_catalog.set_config({quoted(name)}, {quoted(value)}, true)" for name, value in settings.items()
        )

    async def tables(self, connection: AsyncConnection) -> list[TableRow]:
        """Return the tables and views of every schema that the role may use."""
        rows = await connection.exec_driver_sql(TABLES_QUERY, None, {"no_parameters": True})
        return [(schema, name, kind, bool(default)) for schema, name, kind, default in map(tuple, rows)]

    async def too_powerful(self, connection: AsyncConnection) -> str | None:
        """Return what the role can do on the server besides reading the database's tables."""
        rows = await connection.exec_driver_sql(POWERS_QUERY, None, {"no_parameters": True})
        powers = str(next(iter(rows))[0] or "")
        return f"it can do more than read the tables ({powers})" if powers else None

    async def unknown_types(self, connection: AsyncConnection, table: str, schema: str | None) -> dict[str, str]:
        """Return every column's type as format_type() writes it, also the types of extensions."""
        where = "current_schema()" if schema is None else quoted(schema)
        text = TYPES_QUERY.format(table=table.replace("'", "''"), schema=where)
        rows = await connection.exec_driver_sql(text, None, {"no_parameters": True})
        return {str(name): str(kind) for name, kind in map(tuple, rows)}

    async def converted(
        self, connection: AsyncConnection, sent: Statement, columns: Sequence[tuple[str, int]]
    ) -> tuple[Statement, list[Reader | None]] | None:
        """Return a statement that the server answers with types that the driver reads right, or None.

        `columns` are the names and types (oid) of the statement's columns. It becomes a subquery, whose containers are
        converted to JSON, and whose other types become text. So a value does not depend on the driver.
        """
        numbers = {oid for _, oid in columns} - PLAIN_TYPES | {oid for _, oid in columns} & self.misread
        if not numbers:
            return None
        query = KINDS_QUERY.format(oids=", ".join(map(str, sorted(numbers))))
        kinds = {
            int(oid): str(kind)
            for oid, kind in map(tuple, await connection.exec_driver_sql(query, None, {"no_parameters": True}))
        }
        readers: list[Reader | None] = []
        shown = []
        for index, (_, oid) in enumerate(columns):
            kind = "plain" if oid not in numbers else "number" if oid == FLOAT4 else kinds.get(oid, "text")
            shown.append(_FORMS[kind].format(f"q.c{index}"))
            readers.append(_READERS[kind])
        names = ", ".join(f"c{index}" for index in range(len(columns)))
        text = f"SELECT {', '.join(shown)} FROM (\n{without_end(sent.text, self.dialect)}\n) AS q({names})"
        return replace(sent, text=text), readers

    def no_transactions(self, text: str) -> Failure:
        """Return the failure for a pooler that allows no transaction (PgBouncer's pool_mode = statement)."""
        return Failure("unreachable", f"{text} Use postgresql+psycopg://, which can do without them")

    def meaning(self, code: str, message: str, detail: str | None, hint: str | None) -> Failure:
        """Return the failure for a server's error, by its SQLSTATE."""
        parts = (message, detail, hint and f"Hint: {hint}")
        text = " ".join(sentence(shortened(part)) for part in parts if part)
        if "statement pooling mode" in message:
            return self.no_transactions(text)
        if code == READ_ONLY:
            return Failure("read-only", text)
        if code == CANCELED:
            return Failure("timeout" if "statement timeout" in message else "statement", text)
        if code in (STARTING, TOO_MANY) or code[:2] in ("28", "3D"):
            return Failure("unreachable", text)
        if code == LOCK_TIMEOUT:
            return Failure("busy", text)
        if code[:2] in ("08", "57"):
            return Failure("lost", text)
        return Failure("statement", text)


_FORMS: Final[Mapping[str, str]] = {
    "plain": "{}",
    "number": "{}::text",
    "text": "{}::text",
    "json": "pg_catalog.to_json({})::text",
}


def _container(text: str) -> Any:
    """Return an array as a list, a composite value as a mapping, and an anonymous row as a list."""
    return _rows_as_lists(exact_json(text))


def _rows_as_lists(value: Any) -> Any:
    if isinstance(value, list):
        return [_rows_as_lists(item) for item in value]
    if isinstance(value, dict):
        items = {key: _rows_as_lists(item) for key, item in value.items()}
        # The server names the columns of ROW(...) f1, f2 and so on.
        anonymous = list(items) == [f"f{number}" for number in range(1, len(items) + 1)]
        return list(items.values()) if items and anonymous else items
    return value


_READERS: Final[Mapping[str, Reader | None]] = {"plain": None, "number": float, "text": None, "json": _container}


def quoted(text: str) -> str:
    """Return a text as an SQL string. `standard_conforming_strings` may be off, so a backslash needs an E string."""
    quoted = text.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"
