"""CSV and TSV files as parts of a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mcp_plugin_stats.reading.layout import SEP, text_rows
from mcp_plugin_stats.reading.table import Part
from mcp_plugin_stats.reading.texts import as_utf8, open_text
from mcp_plugin_stats.settings import ReaderOptions
from mcp_plugin_stats.sources import SourceFile


def delimited(source: SourceFile, options: ReaderOptions, copy: Path, progress: Callable[[], None]) -> Part:
    """Return the part for one file. Its first line may name the delimiter for Excel (`sep=;`).

    `copy` is where the text is written if the file is compressed or in another encoding than UTF-8.
    """
    text = as_utf8(source.path, options.encoding, copy)
    if options.delimiter is None and not options.skip:
        with open_text(text, None) as lines:
            told = SEP.fullmatch(lines.readline(1000))
        if told:
            options = options.model_copy(update={"skip": 1, "delimiter": told[1]})
    return Part(source.label, text_rows(text, options, progress), options, source.partition, text)
