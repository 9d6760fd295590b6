"""The parameters that several tools share, with the descriptions a model reads, and how they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import Field

from mcp_host import Context, ToolError
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.served import Files
from mcp_plugin_files.settings import Settings

FilesContext = Context[Settings, Files]
"""The context of every tool here: `.settings`, and `.state`, what is served."""

RootParam = Annotated[str | None, Field(description="Name of the root; may be left out when there is only one.")]
FileParam = Annotated[str, Field(description="The file's path from the root down, such as notes/today.md.")]
FolderParam = Annotated[str, Field(description="A folder's path from the root down; empty for the root itself.")]
GlobParam = Annotated[
    str | None,
    Field(description="Only files whose path in the folder fits this pattern, as in a .gitignore: *.md, src/**/*.py."),
]
HashText = Annotated[str, Field(pattern=r"^\s*[0-9a-fA-F]{16}\s*$")]


@contextmanager
def for_the_model() -> Iterator[None]:
    """Let the model read why a file is refused."""
    try:
        yield
    except FileRefusedError as error:
        raise ToolError(str(error)) from None
