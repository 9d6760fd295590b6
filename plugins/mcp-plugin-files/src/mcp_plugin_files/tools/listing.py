"""`list_files` lists a folder, or all folders below it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Tool
from mcp_plugin_files.folderview import glob_of, list_folder, tree_of
from mcp_plugin_files.listing import Walk
from mcp_plugin_files.models import Listing
from mcp_plugin_files.tools.parameters import FilesContext, FolderParam, GlobParam, RootParam, for_the_model


async def list_files(
    ctx: FilesContext,
    root: RootParam = None,
    path: FolderParam = "",
    glob: GlobParam = None,
    recursive: Annotated[
        bool, Field(description="Also list the folders below; a glob always searches them, too.")
    ] = False,
    tree: Annotated[
        bool, Field(description="Return only names, as an indented tree of all folders below. Needs the least text.")
    ] = False,
) -> Listing:
    """List the files and folders in a folder, with sizes and times. Begin here if you do not know a root yet."""
    files = ctx.state
    with for_the_model():
        (chosen, parts), pattern = files.roots.locate(root, path), glob_of(glob)

        def work(walk: Walk) -> Listing:
            if tree:
                return tree_of(chosen, parts, walk, files.settings.max_characters, glob=pattern)
            deep = recursive or pattern is not None
            return list_folder(chosen, parts, walk, files.settings.max_results, deep=deep, glob=pattern)

        return await files.walk(work)


LIST_FILES = Tool(list_files, title="List files", read_only=True, idempotent=True, open_world=False)
