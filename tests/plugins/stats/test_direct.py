"""Large clean files are read by DuckDB, all others by Python. Both give the same table, the same notes and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading import direct
from mcp_plugin_stats.reading.copying import copy
from mcp_plugin_stats.reading.layout import text_rows
from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.sources import SourceFile

CLEAN: list[tuple[str, dict[str, Any]]] = [
    ("a,b\n1,x\n2,y\n", {}),
    ("a;b\r\n1;x\r\n2;y", {}),
    ('a,b\n1,"x,""y"""\n2,"line\nend"\n3,"u\r\nv"\nq,z\n', {}),
    ("a\tb\n01\t2020-01-01\n02\t2020-13-01\n", {}),
    ("a,b\n1,NA\n,x\n2,-99\n", {"null_values": ["-99"]}),
    ("x,y\na,b\n1,2\n", {"skip": 1}),
    ("1,2\n3,4\n5,6\n", {"header": False}),
    ("sep=;\na;b\n1;2\n", {}),
    ("Report,,\n,,\na,b,c\n1,2,3\n", {}),
    ("a,b\n'x,y',1\n", {"quote": "'"}),
    ("\ufeffa,b\n1,x\n", {}),
]

UNCLEAN: list[tuple[str, dict[str, Any]]] = [
    ("a,b\n1,2\n\n3,4\n", {}),
    ("a,b\n1,2\n3\n", {}),
    ("a,b\n1,2,3\n4,5\n", {}),
    ('a,b\n1, "x"\n2, "y"\n', {}),
    ('a,b\n"x" ,1\n', {}),
    ('a,b\n1,"unclosed\n2,3\n', {}),
    ('a,b\n" ","x"\n1," "\n', {}),
    ("a,b\n1,2\n3,4\r5,6\n", {}),
    ("a,b\n1,2\n#3,4\n", {"comment": "#"}),
    ("a,b;c\n1,2;3\n", {}),
    ("a\n1\n2\n", {}),
    ("a,b\n1,\0\n", {}),
]


def read(path: Path, folder: Path, options: dict[str, Any]) -> Any:
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        try:
            notes = copy(connection, DatasetFile(path=path.name, **options), [SourceFile(path, path.name)], folder)
        except DataError as error:
            return str(error)
        types = [row[:2] for row in connection.execute("DESCRIBE data").fetchall()]
        return types, connection.execute("FROM data").fetchall(), notes


@pytest.mark.parametrize(("text", "options"), [*CLEAN, *UNCLEAN])
def test_duckdb_and_python_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, options: dict[str, Any]
) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(text.encode())
    by_python = read(path, tmp_path / "reading", options)
    monkeypatch.setattr(direct, "SMALL", 0)
    assert read(path, tmp_path / "reading", options) == by_python


@pytest.mark.parametrize(
    ("text", "options", "clean"),
    [*((*case, True) for case in CLEAN[:7]), *((*case, False) for case in UNCLEAN)],
)
def test_only_a_clean_file_is_left_to_duckdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, options: dict[str, Any], clean: bool
) -> None:
    monkeypatch.setattr(direct, "SMALL", 0)
    path = tmp_path / "d.csv"
    path.write_bytes(text.encode())
    file = DatasetFile(path="d.csv", **options)
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        shape = direct.read_directly(connection, path, text_rows(path, file, lambda: None), file, "part0")
    assert (shape is not None) == clean


def test_a_line_in_a_note_is_the_line_of_the_file_though_cells_have_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    filler = "x" * 100
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("n,t\n")
        file.writelines(f'{n},"{filler}\n{n}"\n' for n in range(20_000))
        file.write("odd,x\n")
    assert path.stat().st_size > direct.SMALL
    _, rows, notes = read(path, tmp_path / "reading", {})
    assert len(rows) == 20_001
    assert rows[7] == ("7", f"{filler}\n7")
    assert notes == ["column 'n' is text, because 1 of 20,001 texts are no numbers: 'odd' (line 40002)"]


def test_many_files_are_one_table_in_their_order_whoever_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "SMALL", 40)
    texts = ["b,a\nx,1\n", "a,b\n" + "2,y\n" * 20, "a\n3\n", "a,b,c\n" + "4,z,1\n" * 20]
    sources = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.csv"
        path.write_text(text)
        sources.append(SourceFile(path, path.name, {"year": str(2020 + number)}))
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        notes = copy(connection, DatasetFile(path="*.csv"), sources, tmp_path / "reading")
        rows = connection.execute("FROM data").fetchall()
        names = [row[0] for row in connection.execute("DESCRIBE data").fetchall()]
    assert names == ["b", "a", "c", "year"]
    one, two = ("x", 1, None, 2020), ("y", 2, None, 2021)
    assert rows == [one, *[two] * 20, (None, 3, None, 2022), *[("z", 4, 1, 2023)] * 20]
    assert notes == ["0.csv: it has no column c", "1.csv: it has no column c", "2.csv: it has no column b, c"]
