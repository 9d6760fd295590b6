"""CSV and TSV files as parts of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mcp_plugin_stats.reading.layout import SEP, text_rows
from mcp_plugin_stats.reading.table import Part
from mcp_plugin_stats.reading.texts import open_text
from mcp_plugin_stats.settings import ReaderOptions


def delimited(
    path: Path, label: str, partition: Mapping[str, str], options: ReaderOptions, progress: Callable[[], None]
) -> tuple[Part, str | None]:
    """Return the part for one file, and the delimiter that its first line names for Excel (`sep=;`)."""
    told = None
    if options.delimiter is None and not options.skip:
        with open_text(path, options.encoding) as text:
            told = SEP.fullmatch(text.readline(1000))
    if told:
        options = options.model_copy(update={"skip": 1})
    return Part(label, text_rows(path, options, progress), dict(partition)), told[1] if told else None
