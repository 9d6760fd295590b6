"""What a caller's SQL cannot do: first through a client, then in the engine alone, without the check before it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp import Client
from mcp.types import CallToolResult

from mcp_host import ToolError
from mcp_plugin_stats.engine import Engine
from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading import copying
from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.sources import SourceFile
from mcp_plugin_stats.worker import admission, sandbox
from mcp_plugin_stats.worker.session import Session

Served = Callable[..., AbstractAsyncContextManager[Client]]
Engines = Callable[..., AbstractAsyncContextManager[Engine]]
Refused = Callable[[CallToolResult], str]

FILES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_ndjson_objects('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM '/etc/passwd'",
    "FROM '/etc/*'",
    "SELECT * FROM 'https://example.com/x.csv'",
    "SELECT * FROM read_csv('https://example.com/x.csv')",
    "SELECT * FROM read_csv('secret.csv')",
    "SELECT * FROM 'secret.csv'",
    "SELECT (SELECT content FROM read_text('secret.csv'))",
    "WITH f AS MATERIALIZED (SELECT * FROM glob('/*')) SELECT * FROM f",
    "DESCRIBE SELECT * FROM read_csv('secret.csv')",
    "SELECT * FROM query('FROM read_text(''secret.csv'')')",
    "SELECT * FROM query_table('secret.csv')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM ''secret.csv'''))",
]
WRITES = [
    "CREATE TABLE t(a INT)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE MACRO f(a) AS a",
    "DROP VIEW penguins",
    "DROP TABLE penguins",
    "ALTER VIEW penguins RENAME TO gone",
    "COMMENT ON VIEW penguins IS 'x'",
    "INSERT INTO penguins SELECT * FROM penguins",
    "UPDATE penguins SET year = 1",
    "DELETE FROM penguins",
    "TRUNCATE penguins",
    'INSERT INTO "copy 0".main.data SELECT * FROM penguins',
    'DELETE FROM "copy 0".main.data',
    'DROP TABLE "copy 0".main.data',
    "WITH d AS (DELETE FROM penguins RETURNING *) SELECT * FROM d",
    'WITH d AS (DELETE FROM "copy 0".main.data RETURNING *) SELECT * FROM d',
    "COPY penguins TO 'stolen.csv'",
    "COPY (SELECT 1) TO 'secret.csv'",
    "EXPORT DATABASE 'stolen'",
    "ATTACH 'stolen.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '99GB'",
    "SET GLOBAL enable_external_access = true",
    "SET lock_configuration = false",
    "RESET memory_limit",
    "PRAGMA memory_limit = '99GB'",
]
CHECKED_ONLY = [
    "CREATE TEMP TABLE t(a INT)",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "SET VARIABLE a = 1",
    "ATTACH ':memory:' AS m",
    "DETACH memory",
    "USE memory",
    "PREPARE q AS SELECT 1",
    "EXECUTE q",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "EXPLAIN ANALYZE SELECT 1",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_databases",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM information_schema.tables",
    'SELECT * FROM "copy 0".main.data',
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = 'stolen')",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM system.main.glob('*')",
    "SELECT current_setting('temp_directory')",
    "SELECT getenv('HOME')",
    "SELECT getvariable('a')",
    "SELECT write_log('x')",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW penguins",
    "SELECT 1; -- DROP VIEW penguins\nDROP VIEW penguins",
    "",
    "   ",
    "-- nothing",
    ";",
    "SELECT repeat('x', 3000000000)",
    "SELECT LPAD('x', 1000000000, 'x')",
    "SELECT range(1000000000)",
    "SELECT [x FOR x IN generate_series(1, 1000000000)]",
    "SELECT format('{:1000000000d}', 1)",
    "SELECT printf('%1000000000d', 1)",
    "SELECT list_resize([1], 1000000000)",
    "SELECT * FROM repeat_row(1, num_rows = 10)",
    "SELECT " + "abs(" * 3000 + "1" + ")" * 3000,
    "SELECT '" + "x" * 30_000 + "'",
]


@contextlib.contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Check that nothing in the folder is new, removed or changed."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.fixture
def secret(folder: Path) -> Path:
    path = folder / "secret.csv"
    path.write_text("password\nhunter2\n")
    return path


@pytest.mark.anyio
@pytest.mark.parametrize("attacks", [FILES, WRITES, CHECKED_ONLY], ids=["files", "writes", "the engine's state"])
async def test_every_attack_fails_and_the_data_are_still_served(
    served: Served, refused: Refused, folder: Path, secret: Path, attacks: list[str]
) -> None:
    (folder / "own.csv").write_text("a\n1\n")
    async with served(datasets={"own": "own.csv"}) as client:
        count = {"sql": "SELECT count(*), (SELECT sum(a) FROM own) FROM penguins"}
        assert not (await client.call_tool("query_dataset", count)).is_error
        with untouched(folder):
            for attack in attacks:
                text = refused(await client.call_tool("query_dataset", {"sql": attack}))
                assert "hunter2" not in text
                assert "root:" not in text
        result = await client.call_tool("query_dataset", count)
    assert result.structured_content is not None
    assert result.structured_content["rows"] == [[344, 1]]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["'; DROP VIEW penguins; --", '"; SELECT 1', "x) FROM read_text('/etc/passwd') --"])
async def test_a_column_name_is_never_executed_as_sql(served: Served, refused: Refused, name: str) -> None:
    async with served() as client:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("group_by", {"by": name}),
            ("group_by", {"by": "species", "column": name}),
            ("histogram", {"column": name}),
            ("chart", {"kind": "bar", "x": name}),
            ("chart", {"kind": "bar", "x": "species", "group": name}),
            ("correlate", {"columns": [name, "year"]}),
            ("describe_dataset", {"columns": [name]}),
        ]
        for tool, arguments in calls:
            assert "has no column" in refused(await client.call_tool(tool, {"dataset": "penguins", **arguments}))
        assert "no data set" in refused(await client.call_tool("describe_dataset", {"dataset": name}))


@pytest.fixture
def answering(tmp_path: Path, secret: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database for queries, in the read-only transaction of a caller's query."""
    private = tmp_path / "private"
    private.mkdir()
    data = tmp_path / "own.csv"
    data.write_text("species,year\nGentoo,2007\n")
    with duckdb.connect(str(private / "0.duckdb")) as copy:
        copying.copy(copy, DatasetFile(path="own.csv"), [SourceFile(data, "own.csv")], private / "reading")
    connection = sandbox.open_sandbox(private, 256 << 20)
    sandbox.attach(connection, "penguins", private / "0.duckdb")
    yield connection
    connection.close()


@pytest.mark.parametrize("attack", FILES + WRITES)
def test_the_engine_refuses_files_and_writes_by_itself(
    answering: duckdb.DuckDBPyConnection, folder: Path, attack: str
) -> None:
    with untouched(folder):
        answering.execute("BEGIN TRANSACTION READ ONLY")
        with pytest.raises(duckdb.Error):
            answering.execute(attack).fetchall()
        answering.execute("ROLLBACK")
    assert answering.execute("SELECT * FROM penguins").fetchall() == [("Gentoo", 2007)]


def test_the_copies_cannot_be_changed_even_outside_the_transaction(answering: duckdb.DuckDBPyConnection) -> None:
    for sql in ('DELETE FROM "copy 0".main.data', 'DROP TABLE "copy 0".main.data', "DELETE FROM penguins"):
        with pytest.raises(duckdb.Error):
            answering.execute(sql)


def test_external_access_is_off_and_the_settings_are_locked(answering: duckdb.DuckDBPyConnection) -> None:
    wanted = {
        "enable_external_access": False,
        "lock_configuration": True,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
        "temp_directory": "",
    }
    for name, value in wanted.items():
        assert answering.execute(f"SELECT current_setting('{name}')").fetchone() == (value,)


@pytest.mark.anyio
async def test_a_data_set_and_a_cte_may_have_the_same_name(served: Served) -> None:
    async with served() as client:
        shadowed = await client.call_tool(
            "query_dataset", {"sql": "WITH penguins AS (SELECT 1 AS a) SELECT count(*) FROM penguins"}
        )
    assert shadowed.structured_content is not None
    assert shadowed.structured_content["rows"] == [[1]]


@pytest.mark.anyio
async def test_a_query_over_the_memory_limit_fails_and_the_next_one_works(engines: Engines) -> None:
    async with engines(memory_limit="128MB") as engine:
        with pytest.raises(ToolError, match=r"more memory than memory_limit allows \(128MB\)"):
            await engine.query("SELECT len(list(range)) FROM range(1000000000)")
        table, _ = await engine.query("SELECT count(*) FROM penguins")
        assert table.rows == [[344]]


@given(st.text(max_size=40))
@example("a\0b")
@example("é")
def test_the_content_of_a_string_does_not_change_what_is_allowed(text: str) -> None:
    quoted = text.replace("\0", "").replace("'", "''")
    sql = f"SELECT '{quoted}' AS t FROM penguins; -- {quoted!r}"
    with duckdb.connect(":memory:") as connection:
        query = admission.admit(Session(connection), sql)
    assert query.sql == f"SELECT '{quoted}' AS t FROM penguins"
    assert query.tables == ("penguins",)


@given(st.text(max_size=60))
def test_any_text_is_allowed_or_refused_with_a_reason(text: str) -> None:
    with duckdb.connect(":memory:") as connection, contextlib.suppress(DataError):
        admission.admit(Session(connection), text)
