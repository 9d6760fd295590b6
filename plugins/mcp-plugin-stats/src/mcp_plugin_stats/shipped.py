"""The data sets that come with the plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files

from mcp_plugin_stats.settings import DatasetFile

PENGUINS = "The Palmer penguins: species, island, bill, flipper and body mass of 344 penguins, 2007-2009 (CC0)."


@contextmanager
def shipped_files() -> Iterator[dict[str, DatasetFile]]:
    """Yield the files by name. They are on disk during the context (a zipped installation is unpacked for it)."""
    with as_file(files("mcp_plugin_stats") / "data" / "penguins.csv") as path:
        yield {"penguins": DatasetFile(path=str(path), null_values=["NA"], description=PENGUINS, format="csv")}
