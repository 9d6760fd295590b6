"""Writes rows into a CSV file (RFC 4180), which appears only when it is complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mcp_host import ToolError
from mcp_plugin_sql.collecting import Reader, read_row
from mcp_plugin_sql.values import to_text


class CsvSink:
    """Takes the rows of a result, and writes them. NULL is an empty field, and an empty text is `""`."""

    def __init__(self, file: IO[str], max_rows: int) -> None:
        self._file = file
        self._max_rows = max_rows
        self._readers: Sequence[Reader | None] = ()
        self.columns: list[str] = []
        self.rows = 0
        self.bytes = 0
        self.begun = False
        self.more = False

    def begin(self, columns: list[str], readers: Sequence[Reader | None] = ()) -> None:
        """Write the line of the columns' names."""
        self.columns, self._readers, self.begun = columns, readers, True
        self._write(columns)

    def add(self, row: Sequence[Any]) -> bool:
        """Write one row. Returns False if there may be no more."""
        if self.rows >= self._max_rows:
            self.more = True
            return False
        self._write(None if value is None else to_text(value) for value in read_row(row, self._readers))
        self.rows += 1
        return True

    @property
    def satisfied(self) -> bool:
        """Whether no more rows are needed."""
        return self.more

    def give_up(self) -> None:
        """End a satisfied result."""

    @property
    def note(self) -> str:
        """A note if rows were left out."""
        return f"Truncated at max_export_rows = {self._max_rows}: there are more rows." if self.more else ""

    def _write(self, values: Any) -> None:
        self._file.write(",".join("" if value is None else _field(value) for value in values) + "\r\n")


@contextmanager
def csv_file(
    folder: Path, name: str, max_rows: int, *, overwrite: bool, owns: Callable[[Path], bool]
) -> Iterator[CsvSink]:
    """Give a sink, and make the file when the block has ended without an error.

    Raises:
        ToolError: The name is not a file in the folder, the file exists, or it cannot be written.
    """
    if Path(name).name != name or not name.lower().endswith(".csv") or name.startswith(".") or not name.isprintable():
        raise ToolError(f"{name!r} is not a name for the file: use one that ends in .csv, without a folder.")
    path = folder / name
    if owns(path):
        raise ToolError(f"{name!r} is a file of mcp-host itself: choose another name.")
    if os.path.lexists(path) and not overwrite:
        raise ToolError(f"There is already a file {name!r}: choose another name, or set overwrite to true.")
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    except OSError as error:
        raise ToolError(f"The folder for exports cannot be written: {error.strerror}.") from None
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            sink = CsvSink(file, max_rows)
            yield sink
        if not sink.begun:
            raise ToolError("The statement returns no rows, so there is nothing to export.")
        sink.bytes = os.path.getsize(temporary)
        _publish(temporary, path, overwrite=overwrite)
    except OSError as error:
        raise ToolError(f"The file {name!r} cannot be written: {error.strerror}.") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _publish(temporary: str, path: Path, *, overwrite: bool) -> None:
    """Give the complete file its name."""
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise ToolError(f"There is already a file {path.name!r}: it was made meanwhile.") from None


def _field(text: str) -> str:
    if text and not any(character in text for character in '",\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'
