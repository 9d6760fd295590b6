"""CSV and TSV files as parts of a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.layout import SEP, text_rows
from mcp_plugin_stats.reading.table import Part
from mcp_plugin_stats.reading.texts import as_utf8, open_text
from mcp_plugin_stats.settings import ReaderOptions
from mcp_plugin_stats.sources import SourceFile

LONGEST = 1_000
"""The most characters of the first line that are looked at."""

OTHERS = {
    "an HTML page": re.compile(r"\s*<(!doctype html|html|head|body)\b", re.IGNORECASE),
    "XML": re.compile(r"\s*<\?xml\b"),
    'JSON (set format = "json" or "jsonl")': re.compile(r"""\s*(\[\s*)?\{\s*("[^"]*"\s*:|$)"""),
}
"""What files with the wrong suffix are, and how they begin."""


def delimited(source: SourceFile, options: ReaderOptions, copy: Path, progress: Callable[[], None]) -> Part:
    """Return the part for one file. Its first line may name the delimiter for Excel (`sep=;`).

    `copy` is where the text is written if the file is compressed or in another encoding than UTF-8.
    """
    text = as_utf8(source.path, options.encoding, copy)
    if options.delimiter is None and not options.skip:
        with open_text(text, None) as lines:
            first = lines.readline(LONGEST)
        other = next((name for name, pattern in OTHERS.items() if pattern.match(first)), None)
        if other is not None:
            raise DataError(f"line 1: it is {other}, not a table of delimited text: {first.strip()[:60]!r}")
        told = SEP.fullmatch(first)
        if told:
            options = options.model_copy(update={"skip": 1, "delimiter": told[1]})
    return Part(source.label, text_rows(text, options, progress), options, source.partition, text)
