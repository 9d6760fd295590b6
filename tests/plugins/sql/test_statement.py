from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host import ToolError
from mcp_plugin_sql.statement import Dialect, statement, without_end

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


@pytest.mark.parametrize("dialect", [ASYNCPG, PSYCOPG])
def test_a_dollar_sign_inside_of_a_name_begins_no_quoted_text(dialect: Dialect) -> None:
    sent = statement("SELECT x$t$ + :a + y$t$", {"a": 1}, dialect)
    assert sent.text in ("SELECT x$t$ + $1 + y$t$", "SELECT x$t$ + %(a)s + y$t$")


@pytest.mark.parametrize(
    ("sql", "parameters", "why"),
    [
        (" \n", None, "The statement is empty"),
        ("SELECT 1 /*" + "x" * 100_000, None, "is 100011 characters long: at most 100000"),
        ("SELECT '\0'", None, "a NUL character"),
        ("SELECT :a, :b, :a, :c", {"c": 1}, "^No value was given for :a, :b\\.$"),
        ("SELECT :a", {"a": 1, "b": 2, "d": 3}, "has no parameter :b, :d: write :name"),
    ],
)
def test_a_statement_that_cannot_be_sent_is_refused_with_the_reason(
    sql: str, parameters: dict[str, int] | None, why: str
) -> None:
    with pytest.raises(ToolError, match=why):
        statement(sql, parameters, SQLITE)


def test_the_longest_statement_is_sent() -> None:
    sql = "SELECT 1".ljust(100_000)
    assert statement(sql, None, SQLITE).text == sql


@pytest.mark.parametrize(
    ("dialect", "skipped"),
    [
        *((dialect, "/* \n :b */") for dialect in (SQLITE, ASYNCPG, PSYCOPG, MYSQL)),
        *((dialect, "$t$ $x$ \n :b $t$") for dialect in (ASYNCPG, PSYCOPG)),
        (MYSQL, "'\\\n:b'"),
    ],
)
def test_quoted_texts_and_comments_may_have_several_lines(dialect: Dialect, skipped: str) -> None:
    sent = statement(f"{skipped} + :a", {"a": 1}, dialect)
    assert sent.text.startswith(skipped)
    assert ":a" not in sent.text


def test_a_keyword_before_a_quote_does_not_make_backslashes_special() -> None:
    sent = statement("a LIKE'\\' AND b = :b AND c = 'x'", {"b": 1}, ASYNCPG)
    assert sent.text == "a LIKE'\\' AND b = $1 AND c = 'x'"


@pytest.mark.parametrize("dialect", [PSYCOPG, MYSQL])
def test_a_percent_sign_before_a_parameter_is_doubled(dialect: Dialect) -> None:
    assert statement("a % 2 = :a", {"a": 1}, dialect).text == "a %% 2 = %(a)s"


@pytest.mark.parametrize("dialect", [SQLITE, ASYNCPG, PSYCOPG, MYSQL])
@pytest.mark.parametrize("end", ["", ";", " ; ; ", "; -- done", "/* a */;/* b; */", "-- one\n; -- two", " /* open"])
def test_the_end_of_a_statement_is_removed(dialect: Dialect, end: str) -> None:
    assert without_end(f"SELECT ';--'{end}", dialect) == "SELECT ';--'"
