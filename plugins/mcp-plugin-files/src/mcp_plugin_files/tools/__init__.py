"""The tools, one file for each. Tools that write are served only if a root is writable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mcp_host import Tool
from mcp_plugin_files.settings import Settings
from mcp_plugin_files.tools.delete import DELETE_FILE
from mcp_plugin_files.tools.edit import EDIT_FILE
from mcp_plugin_files.tools.listing import LIST_FILES
from mcp_plugin_files.tools.move import MOVE_FILE
from mcp_plugin_files.tools.read import READ_FILE
from mcp_plugin_files.tools.search import SEARCH_FILES
from mcp_plugin_files.tools.write import WRITE_FILE

MOST_CHARACTERS = 600
"""The most characters for the roots in the description of `list_files`. Clients accept 1024 in all."""


def tools_of(settings: Settings) -> Iterator[Tool]:
    """Yield the tools for these settings. The description of `list_files` lists the roots for the model."""
    yield replace(LIST_FILES, description=f"{LIST_FILES.fn.__doc__} {roots_in_words(settings)}")
    yield READ_FILE
    yield SEARCH_FILES
    if settings.writable:
        yield WRITE_FILE
        yield EDIT_FILE
        yield MOVE_FILE
        yield DELETE_FILE


def roots_in_words(settings: Settings) -> str:
    """Return the names and descriptions of the roots, cut if they are too long."""
    roots = []
    for name, folder in settings.folders.items():
        about = [folder.description.rstrip(".")] if folder.description else []
        about += ["writable"] if folder.writable else []
        roots.append(f"{name} ({', '.join(about)})" if about else name)
    text = f"Roots: {', '.join(roots)}." if roots else "There are no roots."
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


__all__ = ["roots_in_words", "tools_of"]
