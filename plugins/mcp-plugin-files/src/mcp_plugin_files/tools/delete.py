"""`delete_file` deletes a file that the caller has seen, or an empty folder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Tool
from mcp_plugin_files.models import Deleted
from mcp_plugin_files.moving import delete, delete_folder
from mcp_plugin_files.tools.parameters import FileParam, FilesContext, HashText, RootParam, for_the_model


async def delete_file(
    path: FileParam,
    ctx: FilesContext,
    root: RootParam = None,
    expected_hash: Annotated[
        HashText | None,
        Field(description="The file's hash, from read_file. Without it, only an empty folder is deleted."),
    ] = None,
) -> Deleted:
    """Delete a file for good, or an empty folder. To delete a file, read it first and give its hash."""
    files = ctx.state
    with for_the_model():
        chosen, parts = files.roots.locate(root, path)
        if expected_hash is None:
            await files.write(lambda: delete_folder(chosen, parts))
        else:
            await files.write(lambda: delete(chosen, parts, expected_hash, files.settings.max_bytes))
    return Deleted(root=chosen.name, path="/".join(parts))


DELETE_FILE = Tool(delete_file, title="Delete a file", read_only=False, destructive=True, open_world=False)
