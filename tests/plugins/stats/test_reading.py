"""What data files of every shape become: the types, the rows, and the warnings or errors where it is not certain."""

from __future__ import annotations

import datetime
import gzip
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import zstandard

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.copying import copy
from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.sources import find_files

Read = Callable[..., "Found"]


class Found:
    """The table that a data set has become."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, notes: list[str]) -> None:
        described = connection.execute("DESCRIBE data").fetchall()
        self.types = {str(row[0]): str(row[1]) for row in described}
        # Python has no time zones without another package.
        zoned = "TIMESTAMP WITH TIME ZONE" in self.types.values()
        self.rows = [] if zoned else connection.execute("FROM data").fetchall()
        self.notes = " | ".join(notes)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes a file and reads it as a data set."""

    def found(content: str | bytes | None, name: str = "d.csv", path: str | None = None, **options: Any) -> Found:
        if content is not None:
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        file = DatasetFile(path=path or name, **options)
        files = find_files(file, tmp_path, lambda path: False)
        with duckdb.connect(":memory:") as connection:
            return Found(connection, copy(connection, file, files, tmp_path / "reading"))

    return found


@pytest.mark.parametrize(
    ("text", "types", "note"),
    [
        ("a\n1\n9007199254740993\n", ["BIGINT"], ""),
        ("a\n123456789012345678901234567890\n1\n", ["HUGEINT"], ""),
        ("a\n1\n1.5\n", ["DOUBLE"], ""),
        ("a\n12345678901234567.89\n1.10\n", ["DECIMAL(38,2)"], ""),
        ("a\n0.30000000000000004\n1\n", ["DOUBLE"], ""),
        ("a\n0x00FF\n0x1A2B\n", ["VARCHAR"], ""),
        ("a\n01234\n98765\n", ["VARCHAR"], "begin with 0: '01234' (line 2)"),
        ("a\n1E5\n2E3\n", ["VARCHAR"], "can be a number or a name"),
        ("a\n1e+05\n2\n", ["DOUBLE"], ""),
        ("a\n1e5\n0.5\n", ["DOUBLE"], ""),
        ("a\n1e5\n-2e3\n", ["DOUBLE"], ""),
        ("a\n+4912345678\n+4917612345\n", ["VARCHAR"], "like telephone numbers: '+4912345678' (line 2)"),
        ("a\n+1\n-2\n", ["BIGINT"], ""),
        ("a\n1234567890123456789012345678.1234567890\n0.1\n", ["DECIMAL(38,10)"], ""),
        ("a\n" + "9" * 39 + "\n1\n", ["VARCHAR"], "up to 39 digits"),
        ("a;b\n1.234;x\n12.345;y\n", ["DOUBLE", "VARCHAR"], 'set thousands = "." and decimal = ","'),
        ("a;b\n1.234;x\n2.5;y\n", ["DOUBLE", "VARCHAR"], ""),
        ("a;b\n1.234,50;x\n12;y\n", ["VARCHAR", "VARCHAR"], 'set thousands = "." and decimal = ","'),
        ('a,b\n"1,234",x\n"2,345",y\n', ["VARCHAR", "VARCHAR"], 'set decimal = "," or thousands = ","'),
        ("a\n10%\n20%\n", ["VARCHAR"], ""),
        ("a\n1_000\n2_000\n", ["VARCHAR"], "are not written as numbers: '1_000' (line 2)"),
        ("a\n+\n-\n1\n", ["VARCHAR"], ""),
        ("a\n1\nN/A\n.\n", ["BIGINT"], "'.', 'N/A' are read as missing values (2 cells)"),
        ("a\n" + "1\n" * 20 + "x\n", ["VARCHAR"], "'x' (line 22)"),
        ("a\ntrue\nFALSE\n", ["BOOLEAN"], ""),
        ("a\n2024-01-02\n2024-12-31\n", ["DATE"], ""),
        ("a\n2024-01-02 10:00\n2024-12-31T11:00:05\n", ["TIMESTAMP"], ""),
        ("a\n2024-01-02T10:00:00Z\n2024-01-02 10:00:00+02:00\n", ["TIMESTAMP WITH TIME ZONE"], ""),
        ("a\n10:00\n11:30:05\n", ["TIME"], ""),
        ("a\n01/02/2024\n12/11/2024\n", ["VARCHAR"], "ambiguous (day or month first)"),
        ("a\n01/02/2024\n13/02/2024\n", ["DATE"], "%d/%m/%Y"),
        ("a\n01/02/2024\n02/13/2024\n", ["DATE"], "%m/%d/%Y"),
        ("a\n13/02/2024\n02/13/2024\n", ["VARCHAR"], "in others the month"),
        ("a\n2024-01-02\n03/04/2024\n", ["VARCHAR"], "written in 2 forms"),
        ("a\n01/02/24\n13/02/24\n", ["VARCHAR"], "years of two digits"),
        ("a\n2024-02-30\n2024-01-01\n", ["VARCHAR"], "not in the calendar"),
        ('a;b\n"1,5";1.234\n', ["VARCHAR", "DOUBLE"], 'decimal = ","'),
    ],
)
def test_a_column_has_the_type_that_every_cell_fits(read: Read, text: str, types: list[str], note: str) -> None:
    found = read(text)
    assert list(found.types.values()) == types
    assert note in found.notes
    assert bool(note) == bool(found.notes)


@pytest.mark.parametrize(
    ("text", "names", "rows", "note"),
    [
        ("country,1990,2000\nA,1.5,2.5\n", ["country", "1990", "2000"], 1, "header = false says so"),
        ('"","name"\n"1","Ann"\n"2","Bob"\n', ["column0", "name"], 2, ""),
        ('"","16.5","17"\n"1",2,3\n"2",4,5\n', ["column0", "16.5", "17"], 2, "header = false says so"),
        ("x y\n1 2\n".replace(" ", "\t"), ["x", "y"], 1, ""),
        ('"x","y"\n"r1",5,6\n"r2",6,7\n', ["column0", "x", "y"], 2, "one name less"),
        ("1,2\n3,4\n", ["column0", "column1"], 2, "header = true"),
        ("0.5,1.5\n", ["0.5", "1.5"], 0, "header = false says so"),
        ("Monthly report\n\na,b\n1,2\n", ["a", "b"], 1, "line 1 above the table is left out: 'Monthly report'"),
        ("Report,,\n,,\na,b,c\n1,2,3\n", ["a", "b", "c"], 1, "2 lines above"),
        ("a,b\n1,2\n(1 rows)\n", ["a", "b"], 1, "line 3 below the table is left out: '(1 rows)'"),
        ("a,b,c\n1,2,3\n\nSource: us\n", ["a", "b", "c"], 1, "below the table"),
        ("a,b\n1,2,\n3,4,\n", ["a", "b"], 2, "at the end of every row"),
        ("a,b,c\n" + "1,2,3\n" * 50 + "7,8\n", ["a", "b", "c"], 51, "1 row (line 52) has too few cells"),
        ("sep=;\na;b\n1;2\n", ["a", "b"], 1, ""),
        ("a,n\nx,1\ny,2\nTotal,3\n", ["a", "n"], 3, "the last row (line 4) begins with 'Total'"),
        (
            "# by me\n# x, y\na,b\n1,2\n",
            ["# x", " y"],
            2,
            'line 2 begins with #: if it is a comment, set comment = "#"',
        ),
        ("a,b,\n1,2,\n", ["a", "b", "column2"], 1, ""),
        ("2020-01-02,x\n01/02/2020,y\n2020-01-03,z\n", ["2020-01-02", "x"], 2, "though 2020-01-02 could be data"),
        ("1,01/02/2020\n2,2020-01-02\n", ["column0", "column1"], 2, "header = true"),
        ("a,b\r\n1,2\n3,4\r5,6\n", ["a", "b"], 3, ""),
        ("unit,n\n1,5\n#2,6\n", ["unit", "n"], 2, ""),
        ("a,A,a\n1,2,3\n", ["a", "A_1", "a_2"], 1, ""),
        ('a,b\n"x \\"q\\" y",1\n"z",2\n', ["a", "b"], 2, "a backslash"),
        ('a,b\n1, "x, y"\n2, "z"\n', ["a", "b"], 2, "spaces after a delimiter"),
        ("a,b\n", ["a", "b"], 0, ""),
    ],
)
def test_headers_and_rows_are_found_in_every_shape(
    read: Read, text: str, names: list[str], rows: int, note: str
) -> None:
    found = read(text)
    assert list(found.types) == names
    assert len(found.rows) == rows
    assert note in found.notes
    assert bool(note) == bool(found.notes)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a,b\n1,2\n3\n4,5,6\n", "line 4 has 3 cells, the table has 2 columns"),
        ('a,b\n1,"unclosed\n2,3\n', "line 2: a text that begins with"),
        ('a,b\n"x"y,1\n', "line 2: there is text after a closing"),
        ("a;b\nfoo\nbar\n", "line 1: the only column would be named 'a;b'"),
        ("x y z\n1 2 3\n", 'set delimiter = " "'),
        ("t\nHello, world, again\nFoo\nBar\n", "line 2 has 3 cells"),
        ("a,b,c\n1,2,3,4,5\n1,2,3,4,5\n", "line 1 has 3 cells, most rows have 5"),
        ("id,name\n1,Müller\n".encode("latin-1"), "line 2: the byte FC is not UTF-8 text: set its encoding"),
        ("a,b\n1,2\n".encode("utf-16-le"), "zero bytes and no byte order mark"),
        ("\n\n", "it has no rows"),
        ("a,b\n1,\0\n", "line 2 has a zero byte"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it has zero bytes, so it is not a text file"),
        ("<!DOCTYPE html>\n<html>\n", "line 1: it is an HTML page"),
        ('{"a": 1, "b": 2}\n', 'line 1: it is JSON (set format = "json" or "jsonl")'),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused_with_the_line(read: Read, content: str | bytes, why: str) -> None:
    with pytest.raises(DataError) as caught:
        read(content)
    assert why in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_recognized(read: Read, encoding: str) -> None:
    assert read("id,name\n1,Müller\n".encode(encoding)).rows == [(1, "Müller")]
    assert read('[{"a": "é"}]'.encode(encoding), "d.json").rows == [("é",)]


@pytest.mark.parametrize(
    ("content", "options", "rows"),
    [
        ("id,name\n1,Müller €\n".encode("cp1252"), {"encoding": "windows-1252"}, [(1, "Müller €")]),
        ("名,n\n北京,1\n".encode("gbk"), {"encoding": "gbk"}, [("北京", 1)]),
        ("x\ny\na,b\n1,2\n", {"skip": 2}, [(1, 2)]),
        ("#a,b\na,b\n1,2\n", {"comment": "#"}, [(1, 2)]),
        ("a,b\n1,2\n", {"header": False}, [("a", "b"), ("1", "2")]),
        ("1,2\n3,4\n", {"header": True}, [(3, 4)]),
        ("a b\n1 2\n", {"delimiter": " "}, [(1, 2)]),
        ("a;b\n1.234,5;2\n", {"decimal": ",", "thousands": "."}, [(1234.5, 2)]),
        ("a\n1,234\n12,345,678\n".replace(",", " "), {"thousands": " "}, [(1234,), (12345678,)]),
        ("a\n007\n010\n", {"types": {"a": "INTEGER"}}, [(7,), (10,)]),
        ("a\n1\n2\n", {"types": {"A": "VARCHAR"}}, [("1",), ("2",)]),
        ("a\n1.5\n", {"types": {"a": "DECIMAL(9,2)"}}, [(Decimal("1.50"),)]),
        ("a\n1\n2\n", {"all_text": True}, [("1",), ("2",)]),
        ("a\n1\n-99\n", {"null_values": ["-99"]}, [(1,), (None,)]),
        ("a,b\n1\n3,4,5\n", {"null_padding": True}, [(1, None, None), (3, 4, 5)]),
        ("'a','b'\n'x,y',2\n", {"quote": "'"}, [("x,y", 2)]),
    ],
)
def test_every_option_has_its_effect(
    read: Read, content: str | bytes, options: dict[str, Any], rows: list[tuple[Any, ...]]
) -> None:
    assert read(content, **options).rows == rows


def test_a_date_format_decides_between_day_and_month(read: Read) -> None:
    found = read("d\n01/02/2024\n03/04/2024\n", date_format="%d/%m/%Y")
    assert [str(row[0]) for row in found.rows] == ["2024-02-01", "2024-04-03"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"types": {"a": "BIGINT"}}, "line 3: 'x' in column 'a' is not BIGINT"),
        ({"types": {"b": "BIGINT"}}, "`types` names the column 'b', the columns are: a"),
        ({"null_padding": False, "delimiter": ","}, "line 4 has 1 cells"),
    ],
)
def test_an_option_that_does_not_fit_is_an_error(read: Read, options: dict[str, Any], why: str) -> None:
    text = "a\n1\nx\n" if "types" in options else "a,b\n1,2\n1,2\n3\n"
    with pytest.raises(DataError) as caught:
        read(text, **options)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("last", "column", "type_", "value"),
    [
        ('{"v": 1.5}', "v", "DOUBLE", 1.5),
        ('{"v": 1, "error": "timeout"}', "error", "VARCHAR", "timeout"),
        ('{"v": 123456789012345678901234567890}', "v", "HUGEINT", 123456789012345678901234567890),
        ('{"v": "x"}', "v", "VARCHAR", "x"),
        ('{"v": 0, "d": "2024-01-02"}', "d", "DATE", None),
        ('{"v": 0, "d": "01-02-2024"}', "d", "VARCHAR", "01-02-2024"),
        ('{"v": 0, "s": {"x": 1, "y": 2.5}}', "s", "STRUCT(x BIGINT, y DOUBLE)", {"x": 1, "y": 2.5}),
    ],
)
def test_the_types_of_json_come_from_every_record(read: Read, last: str, column: str, type_: str, value: Any) -> None:
    found = read("".join(f'{{"v": {n}}}\n' for n in range(25_000)) + last, "d.jsonl")
    assert len(found.rows) == 25_001
    assert found.types[column] == type_
    if value is not None:
        assert found.rows[-1][list(found.types).index(column)] == value


def test_an_integer_beside_a_float_keeps_its_digits_in_json(read: Read) -> None:
    found = read('[{"v": 9007199254740993}, {"v": 0.5}]', "d.json")
    assert [row[0] for row in found.rows] == [Decimal("9007199254740993.0"), Decimal("0.5")]


def test_json_that_is_no_utf8_is_refused_with_the_line_and_the_option(read: Read) -> None:
    with pytest.raises(DataError, match=r"line 2: the byte E9 is not UTF-8 text: set its encoding"):
        read('[{"a": "x"},\n{"a": "é"}]'.encode("latin-1"), "d.json")
    assert read('[{"a": "é"}]'.encode("latin-1"), "d.json", encoding="latin-1").rows == [("é",)]


def test_a_sheet_of_an_excel_file_has_its_types_dates_and_missing_cells(read: Read, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    orders = book.active
    assert orders is not None
    orders.title = "Orders"
    for row in (
        ["id", "price", "day", "moment", "name", "paid", "zip"],
        [1, 1.5, datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4, 5), "Ann", True, "00123"],
        [2, None, None, datetime.datetime(2024, 2, 3, 0, 0, 1), "Bob", False, "04567"],
        [9007199254740991, 3, datetime.date(2024, 12, 31), None, None, True, "1"],
    ):
        orders.append(row)
    book.create_sheet("Notes").append(["written by hand"])
    book.create_sheet("Empty")
    book.save(tmp_path / "d.xlsx")
    found = read(None, path="d.xlsx", table="Orders")
    assert found.types == {
        **{"id": "BIGINT", "price": "DOUBLE", "day": "DATE", "moment": "TIMESTAMP"},
        **{"name": "VARCHAR", "paid": "BOOLEAN", "zip": "VARCHAR"},
    }
    assert found.rows == [
        (1, 1.5, datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4, 5), "Ann", True, "00123"),
        (2, None, None, datetime.datetime(2024, 2, 3, 0, 0, 1), "Bob", False, "04567"),
        (9007199254740991, 3.0, datetime.date(2024, 12, 31), None, None, True, "1"),
    ]
    with pytest.raises(DataError, match="it has 2 sheets: set `table` to one of Orders, Notes"):
        read(None, path="d.xlsx")
    with pytest.raises(DataError, match="it has no sheet 'Other': its sheets are Orders, Notes, Empty"):
        read(None, path="d.xlsx", table="Other")
    with pytest.raises(DataError, match="it is not an Excel file"):
        read(b"no workbook", "bad.xlsx")


def test_compressed_files_are_read(read: Read) -> None:
    assert read(gzip.compress(b"a\n1\n"), "d.csv.gz").rows == [(1,)]
    assert read(zstandard.compress(b"a\n1\n"), "d.csv.zst").rows == [(1,)]
    assert read(zstandard.compress(b'{"a": 1}\n'), "d.jsonl.zst").rows == [(1,)]


def test_a_folder_a_glob_and_hive_partitions_are_one_data_set(read: Read) -> None:
    read("a,b\n1,x\n", "sales/year=2023/one.csv")
    found = read("b,a\ny,2\n", "sales/year=2024/two.csv", path="sales/**/*.csv")
    assert list(found.types.items()) == [("a", "BIGINT"), ("b", "VARCHAR"), ("year", "BIGINT")]
    assert found.rows == [(1, "x", 2023), (2, "y", 2024)]
    assert read(None, path="sales", format="csv").rows == found.rows
    assert list(read(None, path="sales", format="csv", hive_partitioning=False).types) == ["a", "b"]


def test_an_error_in_one_of_many_files_names_it(read: Read) -> None:
    read("a,b\n1,2\n", "many/one.csv")
    with pytest.raises(DataError, match=r"two\.csv: line 3 has 3 cells"):
        read("a,b\n1,2\n3,4,5\n6,7\n", "many/two.csv", path="many/*.csv")


def test_json_and_parquet_files_of_a_glob_have_the_columns_of_their_folders(read: Read, tmp_path: Path) -> None:
    read('{"a": 1}\n', "j/k=1/d.jsonl")
    found = read('{"a": 2.5}\n', "j/k=2/d.jsonl", path="j/**/*.jsonl")
    assert [tuple(map(float, row)) for row in found.rows] == [(1.0, 1.0), (2.5, 2.0)]
    for part in (1, 2):
        (tmp_path / f"p/k={part}").mkdir(parents=True)
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"COPY (SELECT {part} AS a) TO '{tmp_path}/p/k={part}/d.parquet'")
    assert read(None, path="p/**/*.parquet").rows == [(1, 1), (2, 2)]


def test_a_table_of_a_sqlite_file_is_read_with_the_types_of_its_values(read: Read, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute("CREATE TABLE t (i, r, s TEXT, b BLOB, d DATE, m)")
        connection.execute(
            "INSERT INTO t VALUES (1, 1.5, '', x'00ff', '2024-01-02', 1), (NULL, 2, 'é', NULL, NULL, 'x')"
        )
    connection.close()
    found = read(None, path="d.sqlite")
    assert list(found.types.values()) == ["BIGINT", "DOUBLE", "VARCHAR", "BLOB", "DATE", "VARCHAR"]
    assert found.rows[0][:4] == (1, 1.5, "", b"\x00\xff")
    assert found.rows[1][:4] == (None, 2.0, "é", None)
    assert "'m' has integer and text values" in found.notes


def test_integers_beside_reals_in_a_sqlite_file_keep_their_digits(read: Read, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute("CREATE TABLE t (large, small, far)")
        connection.execute("INSERT INTO t VALUES (9007199254740993, 1, 1), (1.5, 2.5, 1e300), (NULL, NULL, NULL)")
    connection.close()
    found = read(None, path="d.sqlite")
    assert list(found.types.values()) == ["DECIMAL(38,1)", "DOUBLE", "DOUBLE"]
    assert [row[0] for row in found.rows] == [Decimal("9007199254740993.0"), Decimal("1.5"), None]
    assert [row[1:] for row in found.rows] == [(1.0, 1.0), (2.5, 1e300), (None, None)]


def test_a_table_of_a_duckdb_file_is_read(read: Read, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        connection.execute("CREATE TABLE one AS SELECT 1 AS a")
        connection.execute("CREATE TABLE two AS SELECT 2 AS a")
    assert read(None, path="d.duckdb", table="two").rows == [(2,)]
    with pytest.raises(DataError, match="it has 2 tables: set `table` to one of one, two"):
        read(None, path="d.duckdb")
