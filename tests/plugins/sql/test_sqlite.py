"""SQLite: what SQL cannot reach, stopping a statement, and a file that is locked, removed or replaced."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_host import ToolError
from mcp_plugin_sql.backends.sqlite import SQLite
from mcp_plugin_sql.database import Database
from mcp_plugin_sql.settings import Settings

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def database(file: Path, **settings: object) -> Database:
    whole = Settings(url=str(file), **settings)  # type: ignore[arg-type]
    return Database(whole, whole, file.parent, logging.getLogger("sql"))


REACHING = [
    "ATTACH 'other.sqlite' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "VACUUM INTO 'copy.sqlite'",
    "VACUUM",
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('x', 'y')",
    "PRAGMA query_only = OFF",
    "PRAGMA query_only(0)",
    "PRAGMA writable_schema = ON",
    "PRAGMA temp_store_directory = '/'",
    "PRAGMA database_list",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 7",
    "SELECT * FROM pragma_database_list",
    "BEGIN",
    "SAVEPOINT a",
    "REINDEX",
    "ANALYZE",
    "CREATE VIRTUAL TABLE v USING fts5(a)",
    "SELECT length(zeroblob(1000000000))",
]


@pytest.mark.parametrize("sql", REACHING)
async def test_a_query_can_use_only_the_file(served: Served, shop: Path, refused: Refused, sql: str) -> None:
    before = shop.read_bytes()
    async with served(shop) as client:
        refused(await client.call_tool("query", {"sql": sql}))
        assert not (await client.call_tool("query", {"sql": "SELECT * FROM customer"})).is_error
    assert shop.read_bytes() == before
    assert os.listdir(shop.parent) == [shop.name]


@pytest.mark.parametrize("sql", [*REACHING[:8], "PRAGMA writable_schema = ON", "PRAGMA temp_store_directory = '/'"])
async def test_execute_can_use_only_the_file(served: Served, shop: Path, refused: Refused, sql: str) -> None:
    async with served(shop, writable=True) as client:
        refused(await client.call_tool("execute", {"sql": sql}))
    assert os.listdir(shop.parent) == [shop.name]


async def test_pragmas_that_only_read_are_allowed(served: Served, shop: Path) -> None:
    async with served(shop) as client:
        for sql in (
            "PRAGMA table_info(orders)",
            "PRAGMA TABLE_INFO(orders)",
            "PRAGMA user_version",
            "PRAGMA User_Version",
            "SELECT name FROM pragma_table_list('orders')",
        ):
            assert not (await client.call_tool("query", {"sql": sql})).is_error, sql


async def test_execute_may_set_the_numbers_that_are_there_for_applications(served: Served, shop: Path) -> None:
    async with served(shop, writable=True) as client:
        for sql in ("PRAGMA USER_VERSION = 7", "PRAGMA application_id = 8"):
            assert not (await client.call_tool("execute", {"sql": sql})).is_error, sql
    with closing(sqlite3.connect(shop)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
        assert connection.execute("PRAGMA application_id").fetchone() == (8,)


async def test_a_call_that_gets_no_connection_says_so(served: Served, shop: Path, refused: Refused) -> None:
    async with (
        served(shop, pool_size=1, connect_timeout=0.1, statement_timeout=20) as client,
        anyio.create_task_group() as calls,
    ):
        calls.start_soon(client.call_tool, "query", {"sql": ENDLESS})
        while not (answer := await client.call_tool("query", {"sql": "SELECT 1"})).is_error:
            pass
        assert refused(answer).startswith("All 1 connections to the database are in use")
        calls.cancel_scope.cancel()


async def test_no_thread_of_a_connection_keeps_the_process(shop: Path) -> None:
    before = set(threading.enumerate())
    base = database(shop)
    await base.query("SELECT 1", None)
    new = set(threading.enumerate()) - before
    assert new
    assert all(thread.daemon for thread in new)
    await base.close()


@pytest.mark.parametrize(
    ("code", "text", "cause"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "database is locked", "busy"),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, "database table is locked", "busy"),
        (sqlite3.SQLITE_CORRUPT_VTAB, "database disk image is malformed", "unreachable"),
        (sqlite3.SQLITE_IOERR_READ, "disk I/O error", "unreachable"),
        (sqlite3.SQLITE_NOTADB, "file is not a database", "unreachable"),
        (sqlite3.SQLITE_CANTOPEN_FULLPATH, "unable to open database file", "unreachable"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "attempt to write a readonly database", "read-only"),
        (sqlite3.SQLITE_AUTH, "not authorized", "read-only"),
        (sqlite3.SQLITE_ERROR, "access to orders.id is prohibited", "read-only"),
        (sqlite3.SQLITE_INTERRUPT, "interrupted", "timeout"),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed", "statement"),
    ],
)
async def test_an_error_is_judged_by_its_code(shop: Path, code: int, text: str, cause: str) -> None:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    base = database(shop)
    failure = base.backend.failure(error)
    assert failure is not None
    assert failure.cause == cause


async def test_mode_ro_alone_prevents_writing(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SQLite, "_restrict", lambda self, connection, **options: None)
    base = database(shop)
    with pytest.raises(ToolError, match="readonly database"):
        await base.query("DELETE FROM orders", None)
    await base.close()


async def test_ddl_is_undone_if_its_statement_fails(served: Served, shop: Path, refused: Refused) -> None:
    async with served(shop, writable=True) as client:
        text = refused(await client.call_tool("execute", {"sql": "CREATE TABLE more AS SELECT abs('x', 1)"}))
        assert "wrong number of arguments" in text
        text = refused(await client.call_tool("execute", {"sql": "INSERT INTO orders VALUES (9, 99, NULL, 1)"}))
        assert "FOREIGN KEY" in text
        tables = await client.call_tool("list_tables", {"containing": "more"})
    assert tables.structured_content == {"tables": [], "truncated": False, "databases": []}


async def test_a_file_is_created_at_the_first_write(served: Served, folder: Path, refused: Refused) -> None:
    async with served("new.sqlite", writable=True) as client:
        text = refused(await client.call_tool("query", {"sql": "SELECT 1"}))
        assert text == (
            "The database new.sqlite cannot be used: there is no such file (the setting `url` says where it is)."
        )
        assert not (folder / "new.sqlite").exists()
        assert not (await client.call_tool("execute", {"sql": "CREATE TABLE a (b)"})).is_error
        assert not (await client.call_tool("query", {"sql": "SELECT * FROM a"})).is_error


async def test_an_endless_query_is_stopped_and_the_next_one_works(served: Served, shop: Path, refused: Refused) -> None:
    async with served(shop, statement_timeout=0.2, pool_size=1) as client:
        text = refused(await client.call_tool("query", {"sql": ENDLESS}))
        assert text.startswith("The statement took longer than 0.2 s and was stopped")
        assert not (await client.call_tool("query", {"sql": "SELECT 1"})).is_error


async def test_an_endless_change_is_stopped_and_undone(served: Served, shop: Path, refused: Refused) -> None:
    sql = f"UPDATE orders SET price = ({ENDLESS} WHERE i > price)"
    async with served(shop, writable=True, statement_timeout=0.2) as client:
        refused(await client.call_tool("execute", {"sql": sql}))
        found = await client.call_tool("query", {"sql": "SELECT sum(price) FROM orders"})
        assert found.structured_content is not None
        assert found.structured_content["rows"] == [[22.75]]
        assert not (await client.call_tool("execute", {"sql": "DELETE FROM orders"})).is_error


async def test_cancelling_the_call_interrupts_the_statement(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = database(shop, statement_timeout=3600, pool_size=1)
    began, ended = anyio.Event(), []
    select = base.backend.select

    async def watched(*arguments: object) -> None:
        began.set()
        try:
            await select(*arguments)  # type: ignore[arg-type]
        except Exception as error:
            ended.append(str(error.__cause__ or error))
            raise

    monkeypatch.setattr(base.backend, "select", watched)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(base.query, ENDLESS, None)
            await began.wait()
            tasks.cancel_scope.cancel()
        assert ended
        assert "interrupted" in ended[0]
        assert (await base.query("SELECT 1", None)).rows == [[1]]
    await base.close()


async def test_a_client_may_cancel_a_query(served: Served, shop: Path) -> None:
    async with served(shop, statement_timeout=3600, pool_size=1) as client:
        with anyio.fail_after(60):
            with anyio.move_on_after(0.2) as scope:
                await client.call_tool("query", {"sql": ENDLESS})
            assert scope.cancelled_caught
            assert not (await client.call_tool("query", {"sql": "SELECT 1"})).is_error


async def test_a_locked_file_is_reported_and_works_after_the_lock(served: Served, shop: Path, refused: Refused) -> None:
    async with served(shop, writable=True, statement_timeout=0.5) as client:
        with closing(sqlite3.connect(shop, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for tool, sql in (("query", "SELECT * FROM orders"), ("execute", "DELETE FROM orders")):
                text = refused(await client.call_tool(tool, {"sql": sql}))
                assert "locked" in text or "took longer than 0.5 s" in text
            other.execute("ROLLBACK")
        assert not (await client.call_tool("query", {"sql": "SELECT * FROM orders"})).is_error
        assert not (await client.call_tool("execute", {"sql": "DELETE FROM orders"})).is_error


async def test_a_replaced_file_is_read_again(served: Served, shop: Path, refused: Refused) -> None:
    new = shop.with_name("new.sqlite")
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("CREATE TABLE other (a)")
        connection.commit()
    async with served(shop, writable=True) as client:
        assert not (await client.call_tool("query", {"sql": "SELECT * FROM orders"})).is_error
        assert not (await client.call_tool("execute", {"sql": "DELETE FROM orders"})).is_error
        old = shop.rename(shop.with_name("old.sqlite"))
        assert "there is no such file" in refused(await client.call_tool("query", {"sql": "SELECT 1"}))
        new.rename(shop)
        assert not (await client.call_tool("query", {"sql": "SELECT * FROM other"})).is_error
        assert not (await client.call_tool("execute", {"sql": "INSERT INTO other VALUES (1)"})).is_error
        old.rename(shop)
        assert not (await client.call_tool("query", {"sql": "SELECT * FROM orders"})).is_error


@pytest.mark.parametrize("content", [b"this is no database, but long enough for a header" * 20, None])
async def test_a_file_that_is_not_a_database_is_a_clear_error(
    served: Served, folder: Path, refused: Refused, content: bytes | None
) -> None:
    path = folder / "x.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    async with served("x.sqlite") as client:
        text = refused(await client.call_tool("list_tables", {}))
    assert text.startswith("The database x.sqlite cannot be used: ")
    assert "is not a database" in text or "it is a folder" in text


async def test_a_host_that_is_killed_during_a_write_does_not_damage_the_file(shop: Path) -> None:
    """The next process that opens the file rolls back the journal of the killed process."""
    code = f"""
        import anyio
        from mcp_host.testing import connect
        from mcp_plugin_sql import plugin

        async def main():
            async with connect(plugin, settings={{"url": {str(shop)!r}, "writable": True}}) as client:
                await client.call_tool("execute", {{"sql": '''
                    WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n)
                    INSERT INTO orders SELECT i, 1, randomblob(50000), i FROM n'''}})

        anyio.run(main)
    """
    with anyio.fail_after(60):
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
        try:
            size = shop.stat().st_size
            while shop.stat().st_size <= size:
                assert process.poll() is None
                await anyio.sleep(0.01)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    base = database(shop, writable=True)
    changed = await base.execute("UPDATE customer SET city = 'Bern' WHERE id = 3", None)
    assert changed[1] == 1
    assert (await base.query("SELECT count(*) FROM orders", None)).rows == [[3]]
    await base.close()
    with closing(sqlite3.connect(shop)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_text_that_is_not_utf_8_is_still_returned(served: Served, shop: Path, refused: Refused) -> None:
    async with served(shop) as client:
        result = await client.call_tool("query", {"sql": "SELECT CAST(x'ff41' AS TEXT) AS a"})
        if result.is_error:
            assert "UTF-8" in refused(result)
        else:
            assert result.structured_content is not None
            assert "A" in result.structured_content["rows"][0][0]


async def test_the_name_of_a_file_does_not_change_how_it_is_opened(
    served: Served, shop: Path, refused: Refused
) -> None:
    """In SQLite's URIs, a question mark begins the options, among them the mode."""
    for name in ("50% #1.sqlite", "shop?mode=rwc&x=.sqlite", "shop?mode=memory"):
        file = shop.with_name(name)
        file.write_bytes(shop.read_bytes())
        async with served(file) as client:
            assert not (await client.call_tool("query", {"sql": "SELECT * FROM customer"})).is_error
    async with served("gone?mode=rwc") as client:
        assert "there is no such file" in refused(await client.call_tool("query", {"sql": "SELECT 1"}))
    assert not (shop.parent / "gone").exists()


@pytest.fixture
def indexed(folder: Path) -> Path:
    """A file with a full-text index and an R-tree."""
    file = folder / "indexed.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE VIRTUAL TABLE docs USING fts5(body)")
        connection.execute("INSERT INTO docs VALUES ('quick fox'), ('lazy dog')")
        connection.execute("CREATE VIRTUAL TABLE old USING fts4(body)")
        connection.execute("INSERT INTO old VALUES ('quick fox')")
        connection.execute("CREATE VIRTUAL TABLE boxes USING rtree(id, low, high)")
        connection.execute("INSERT INTO boxes VALUES (1, 0, 10), (2, 5, 20)")
        connection.commit()
    return file


async def test_full_text_and_r_tree_indexes_can_be_read(served: Served, indexed: Path, refused: Refused) -> None:
    async with served(indexed) as client:
        for sql, rows in {
            "SELECT body FROM docs WHERE docs MATCH 'fox'": [["quick fox"]],
            "SELECT snippet(docs, 0, '[', ']', '', 5) FROM docs('dog')": [["lazy [dog]"]],
            "SELECT body FROM old WHERE body MATCH 'fox'": [["quick fox"]],
            "SELECT id FROM boxes WHERE low < 5 ORDER BY id": [[1]],
        }.items():
            result = await client.call_tool("query", {"sql": sql})
            assert not result.is_error, result.content
            assert result.structured_content is not None
            assert result.structured_content["rows"] == rows
        tables = await client.call_tool("list_tables", {})
        assert tables.structured_content is not None
        assert [table["name"] for table in tables.structured_content["tables"]] == ["boxes", "docs", "old"]
        for sql in (
            "INSERT INTO docs VALUES ('x')",
            "INSERT INTO docs(docs) VALUES ('rebuild')",
            "DELETE FROM boxes",
            "UPDATE sqlite_master SET sql = ''",
            "CREATE TEMP TABLE t (a)",
        ):
            refused(await client.call_tool("query", {"sql": sql}))


async def test_text_that_is_not_utf_8_is_shown_with_a_note(served: Served, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "old.sqlite")) as connection:
        connection.execute("CREATE TABLE t (id, name)")
        connection.execute("INSERT INTO t VALUES (1, 'ok'), (2, CAST(x'4dfc6c6c6572' AS TEXT)), (3, char(65533))")
        connection.commit()
    async with served(folder / "old.sqlite") as client:
        whole = await client.call_tool("query", {"sql": "SELECT name FROM t ORDER BY id"})
        valid = await client.call_tool("query", {"sql": "SELECT name FROM t WHERE id <> 2 ORDER BY id"})
    assert whole.structured_content is not None
    assert valid.structured_content is not None
    assert whole.structured_content["rows"] == [
        ["ok"],
        ["M\N{REPLACEMENT CHARACTER}ller"],
        ["\N{REPLACEMENT CHARACTER}"],
    ]
    assert whole.structured_content["note"] == "Bytes that are not valid UTF-8 are shown as \N{REPLACEMENT CHARACTER}."
    assert valid.structured_content["note"] == ""


async def test_an_exported_text_that_is_not_utf_8_has_replaced_bytes(served: Served, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "old.sqlite")) as connection:
        connection.execute("CREATE TABLE t (name)")
        connection.execute("INSERT INTO t VALUES (CAST(x'4dfc6c6c6572' AS TEXT))")
        connection.commit()
    async with served(folder / "old.sqlite", export_folder=".") as client:
        assert not (await client.call_tool("export", {"sql": "SELECT name FROM t", "file": "t.csv"})).is_error
    assert (folder / "t.csv").read_text(encoding="utf-8").split() == ["name", "M\N{REPLACEMENT CHARACTER}ller"]


async def test_a_long_binary_value_is_cut_and_keeps_its_length(served: Served, shop: Path) -> None:
    async with served(shop) as client:
        found = await client.call_tool("query", {"sql": "SELECT zeroblob(1000), zeroblob(70000)"})
    assert found.structured_content is not None
    ((whole, cut),) = found.structured_content["rows"]
    assert (whole["bytes"], "cut" in whole) == (1000, False)
    assert (cut["bytes"], cut["cut"]) == (70000, True)


async def test_a_file_that_another_process_has_locked_is_called_locked(
    served: Served, shop: Path, refused: Refused
) -> None:
    with closing(sqlite3.connect(shop, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with served(shop, statement_timeout=0.4) as client:
            text = refused(await client.call_tool("query", {"sql": "SELECT * FROM orders"}))
    assert "another process has locked the file" in text
