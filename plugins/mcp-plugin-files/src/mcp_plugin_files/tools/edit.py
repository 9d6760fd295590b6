"""`edit_file` replaces one passage of a text."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Tool
from mcp_plugin_files.edits import Edit
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.models import Written
from mcp_plugin_files.paths import parts_of, uri_of
from mcp_plugin_files.reading import digest
from mcp_plugin_files.tools.parameters import FileParam, FilesContext, HashText, RootParam, for_the_model
from mcp_plugin_files.writing import current, replace, with_edits


async def edit_file(
    path: FileParam,
    old_text: Annotated[str, Field(description="The passage to replace, exactly as it is, and only once in the file.")],
    new_text: Annotated[str, Field(description="The new passage; empty to delete the old one.")],
    expected_hash: Annotated[HashText, Field(description="The file's hash, from read_file or from the last change.")],
    ctx: FilesContext,
    root: RootParam = None,
) -> Written:
    """Replace one passage of a text file. Encoding, byte order mark and line ends do not change.

    Refused if the file has changed since its hash was read, or if the passage does not occur exactly once.
    """
    files = ctx.state
    most = files.settings.max_bytes

    def work() -> bytes:
        contents = current(chosen, parts, expected_hash, most)
        data = with_edits(contents, [Edit(old_text, new_text)], uri)
        if len(data) > most:
            raise FileRefusedError(f"{uri} would have {len(data)} bytes; at most {most} may be written (max_bytes).")
        replace(chosen, parts, data, expected_hash, most)
        return data

    with for_the_model():
        chosen, parts = files.roots.get(root), parts_of(path)
        uri = uri_of(chosen.name, parts)
        data = await files.write(work)
    return Written(root=chosen.name, path="/".join(parts), uri=uri, size=len(data), hash=digest(data), created=False)


EDIT_FILE = Tool(edit_file, title="Edit a file", read_only=False, destructive=True, open_world=False)
