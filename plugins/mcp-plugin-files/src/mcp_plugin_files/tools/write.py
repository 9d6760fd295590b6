"""`write_file` writes a new file, or replaces the text of a file that the caller has seen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Tool, ToolError
from mcp_plugin_files.models import Written
from mcp_plugin_files.paths import parts_of, uri_of
from mcp_plugin_files.reading import digest
from mcp_plugin_files.tools.parameters import FileParam, FilesContext, HashText, RootParam, for_the_model
from mcp_plugin_files.writing import create, replace


async def write_file(
    path: FileParam,
    text: Annotated[str, Field(description="The whole text; written as UTF-8 with unchanged line ends.")],
    ctx: FilesContext,
    root: RootParam = None,
    expected_hash: Annotated[
        HashText | None,
        Field(description="To replace a file: its hash, from read_file. Without it, only a new file is written."),
    ] = None,
) -> Written:
    """Write a text file. To replace an existing file, read it first and give the hash that read_file returned.

    Missing folders are created. To change a part of a file, use edit_file.
    """
    files = ctx.state
    most = files.settings.max_bytes
    with for_the_model():
        chosen, parts = files.roots.get(root), parts_of(path)
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise ToolError("text contains lone surrogates, which cannot be encoded.") from None
        if len(data) > most:
            raise ToolError(f"The text has {len(data)} bytes; at most {most} may be written (max_bytes).")
        if expected_hash is None:
            await files.write(lambda: create(chosen, parts, data))
        else:
            await files.write(lambda: replace(chosen, parts, data, expected_hash, most))
    return Written(
        root=chosen.name,
        path="/".join(parts),
        uri=uri_of(chosen.name, parts),
        size=len(data),
        hash=digest(data),
        created=expected_hash is None,
    )


WRITE_FILE = Tool(write_file, title="Write a file", read_only=False, destructive=True, open_world=False)
