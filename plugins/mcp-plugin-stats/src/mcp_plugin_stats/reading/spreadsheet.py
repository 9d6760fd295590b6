"""Sheets of Excel files (.xlsx) as parts of a table."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.layout import Dialect, Row, Rows
from mcp_plugin_stats.reading.table import Part
from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.sources import SourceFile


def sheet(source: SourceFile, file: DatasetFile) -> Part:
    """Return one sheet of a file: the one that `table` names, or the only one that has rows.

    Raises DataError with the names of the sheets if it is not known which one is meant.
    """
    import python_calamine as calamine

    name = file.table
    try:
        book = calamine.load_workbook(source.path)
    except calamine.CalamineError as error:
        raise DataError(f"it is not an Excel file that can be read: {error}") from None
    names = book.sheet_names
    if name is None:
        used = [each for each in names if book.get_sheet_by_name(each).to_python()]
        if len(used) > 1:
            raise DataError(f"it has {len(used)} sheets: set `table` to one of {', '.join(used)}")
        name = used[0] if used else names[0]
    if name not in names:
        raise DataError(f"it has no sheet {name!r}: its sheets are {', '.join(names)}")
    found = book.get_sheet_by_name(name)
    values = found.to_python(skip_empty_area=False)
    used_columns = max((n for row in values for n, cell in enumerate(row, 1) if cell != ""), default=0)
    first = next((n for n in range(used_columns) if any(row[n] != "" for row in values)), 0)
    return Part(source.label, _rows([row[first:used_columns] for row in values]), file, source.partition)


def _rows(values: Sequence[Sequence[object]]) -> Rows:
    def rows(dialect: Dialect) -> Iterator[Row]:
        for number, cells in enumerate(values, 1):
            texts = [_text(cell) for cell in cells]
            if any(texts):
                yield number, texts

    return rows


def _text(cell: object) -> str:
    """Return the text of a cell. Numbers without decimals have no point."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= 2**53:
        return str(int(cell))
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ") if cell.time() != datetime.time() else cell.date().isoformat()
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell)
