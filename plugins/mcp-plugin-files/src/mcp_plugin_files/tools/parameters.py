"""The parameters that several tools share, with their descriptions for the model, and the tools' errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import Field

from mcp_host import Context, ToolError
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.models import Written
from mcp_plugin_files.paths import Parts, uri_of
from mcp_plugin_files.reading import digest
from mcp_plugin_files.roots import Root
from mcp_plugin_files.served import Files
from mcp_plugin_files.settings import Settings

FilesContext = Context[Settings, Files]
"""The context of every tool here, with the plugin's settings and state."""

RootParam = Annotated[str | None, Field(description="Name of the root; may be left out if there is only one.")]
FileParam = Annotated[str, Field(description="The file's path in the root, such as notes/today.md.")]
FolderParam = Annotated[str, Field(description="A folder's path in the root; empty for the root itself.")]
GlobParam = Annotated[
    str | None,
    Field(description="Only files whose path matches this pattern, as in a .gitignore: *.md, src/**/*.py."),
]
DryRunParam = Annotated[bool, Field(description="Change nothing, and return what would change as a unified diff.")]
HashText = Annotated[str, Field(pattern=r"^\s*[0-9a-fA-F]{16}\s*$")]


@contextmanager
def for_the_model() -> Iterator[None]:
    """Raise the reason why a file is refused as an error for the model."""
    try:
        yield
    except FileRefusedError as error:
        raise ToolError(str(error)) from None


def written(root: Root, parts: Parts, data: bytes | None, *, created: bool = False, diff: str | None = None) -> Written:
    """Return the result for a file whose content is `data` now, or None if it does not exist."""
    return Written(
        root=root.name,
        path="/".join(parts),
        uri=uri_of(root.name, parts),
        size=len(data or b""),
        hash=None if data is None else digest(data),
        created=created,
        diff=diff,
    )
