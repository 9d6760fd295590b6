"""`move_file` gives a file another path in its root."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Tool, ToolError
from mcp_plugin_files.models import Moved
from mcp_plugin_files.moving import move
from mcp_plugin_files.paths import uri_of
from mcp_plugin_files.tools.parameters import FileParam, FilesContext, HashText, RootParam, for_the_model


async def move_file(
    path: FileParam,
    new_path: Annotated[str, Field(description="The file's new path in the same root. It must not exist.")],
    expected_hash: Annotated[HashText, Field(description="The file's hash, from read_file or from the last change.")],
    ctx: FilesContext,
    root: RootParam = None,
) -> Moved:
    """Move or rename a file. Missing folders are created. Never replaces another file."""
    files = ctx.state
    with for_the_model():
        chosen, parts = files.roots.locate(root, path)
        other, new = files.roots.locate(chosen.name, new_path)
        if other is not chosen:
            raise ToolError("A file can be moved only within its root.")
        digest = await files.write(lambda: move(chosen, parts, new, expected_hash, files.settings.max_bytes))
    return Moved(root=chosen.name, path="/".join(new), uri=uri_of(chosen.name, new), hash=digest)


MOVE_FILE = Tool(move_file, title="Move a file", read_only=False, destructive=True, open_world=False)
