"""Animations on a terminal: a bar while a call reports progress, a spinner while an installer works.

Both are from rich, which is imported only when they are shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_host.cli.output import write
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bar() -> Progress:
    """Return a bar for stderr. It disappears when it is stopped."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show that the block is running: with a spinner on a terminal, with a line elsewhere."""
    if not sys.stderr.isatty():
        write(printable(text), sys.stderr)
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status(Text(printable(text))):
        yield
