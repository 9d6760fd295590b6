from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host import ToolError
from mcp_plugin_sql.statement import Dialect, statement

SQLITE = Dialect("qmark", "qmark")
ASYNCPG = Dialect("numeric_dollar", "numeric_dollar")
PSYCOPG = Dialect("numeric_dollar", "pyformat")
MYSQL = Dialect("pyformat", "pyformat")


@pytest.mark.parametrize("dialect", [SQLITE, ASYNCPG, PSYCOPG, MYSQL])
@given(sql=st.text(min_size=1).filter(lambda sql: sql.strip() and "\0" not in sql))
def test_a_text_without_parameters_is_sent_unchanged(dialect: Dialect, sql: str) -> None:
    assert statement(sql, None, dialect).text == sql
    assert statement(sql, {}, dialect).values is None


@pytest.mark.parametrize(
    ("dialect", "text", "values"),
    [
        (SQLITE, "a = ? AND b = ? AND a = ? AND x % 2", (1, 2, 1)),
        (ASYNCPG, "a = $1 AND b = $2 AND a = $1 AND x % 2", (1, 2)),
        (PSYCOPG, "a = %(a)s AND b = %(b)s AND a = %(a)s AND x %% 2", {"a": 1, "b": 2}),
        (MYSQL, "a = %(a)s AND b = %(b)s AND a = %(a)s AND x %% 2", {"a": 1, "b": 2}),
    ],
)
def test_parameters_are_converted_to_the_drivers_form(dialect: Dialect, text: str, values: object) -> None:
    sent = statement("a = :a AND b = :b AND a = :a AND x % 2", {"a": 1, "b": 2}, dialect)
    assert (sent.text, sent.values) == (text, values)


@pytest.mark.parametrize(
    ("dialect", "skipped"),
    [
        *((dialect, text) for dialect in (SQLITE, ASYNCPG, MYSQL) for text in ("':b'", "'it''s :b'", '":b"')),
        *((dialect, text) for dialect in (SQLITE, ASYNCPG, MYSQL) for text in ("-- :b\n", "/* :b */", "/* :b")),
        *((SQLITE, text) for text in ("[:b]", "`:b`", "'\\'")),
        *((ASYNCPG, text) for text in ("x::b", "$$ :b $$", "$t$ :b $t$", "E'\\':b'", "arr[1:2]", "arr[x:b]", "'\\'")),
        *((MYSQL, text) for text in ("'\\':b'", '"\\":b"', "`:b`", "# :b\n")),
    ],
)
def test_colons_that_are_not_parameters_are_not_changed(dialect: Dialect, skipped: str) -> None:
    sent = statement(f":a {skipped}", {"a": 1}, dialect)
    assert sent.text.endswith(f" {skipped}")
    with pytest.raises(ToolError, match="has no parameter :b"):
        statement(f":a {skipped}", {"a": 1, "b": 2}, dialect)
