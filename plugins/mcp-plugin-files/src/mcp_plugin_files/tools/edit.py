"""`edit_file` replaces one or several passages of a text."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from mcp_host import Tool, ToolError
from mcp_plugin_files.diffs import diff_of
from mcp_plugin_files.edits import Edit
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.models import Written
from mcp_plugin_files.paths import uri_of
from mcp_plugin_files.tools.parameters import (
    DryRunParam,
    FileParam,
    FilesContext,
    HashText,
    RootParam,
    for_the_model,
    written,
)
from mcp_plugin_files.writing import current, replace, with_edits

MOST_EDITS = 100
"""The most edits in one call."""

OldText = Annotated[str, Field(description="The passage to replace, exactly as it is, and only once in the file.")]
NewText = Annotated[str, Field(description="The new passage; empty to delete the old one.")]


class EditParam(BaseModel):
    """One edit."""

    old_text: str
    new_text: str


async def edit_file(
    path: FileParam,
    expected_hash: Annotated[HashText, Field(description="The file's hash, from read_file or from the last change.")],
    ctx: FilesContext,
    old_text: OldText | None = None,
    new_text: NewText | None = None,
    edits: Annotated[
        list[EditParam] | None,
        Field(max_length=MOST_EDITS, description="Several edits, made in order, instead of old_text and new_text."),
    ] = None,
    root: RootParam = None,
    dry_run: DryRunParam = False,
) -> Written:
    """Replace passages of a text file: all of them, or none. Encoding, byte order mark and line ends do not change.

    Refused if the file has changed since its hash was read, or if a passage does not occur exactly once.
    """
    if edits and old_text is None and new_text is None:
        wanted = [Edit(edit.old_text, edit.new_text) for edit in edits]
    elif not edits and old_text is not None and new_text is not None:
        wanted = [Edit(old_text, new_text)]
    else:
        raise ToolError("Give either old_text and new_text, or edits.")
    files = ctx.state
    most = files.settings.max_bytes

    def work() -> Written:
        contents = current(chosen, parts, expected_hash, most)
        data = with_edits(contents, wanted, uri)
        if len(data) > most:
            raise FileRefusedError(f"{uri} would have {len(data)} bytes; at most {most} may be written (max_bytes).")
        if dry_run:
            assert contents.encoding is not None
            before, after = contents.encoding.decode(contents.data), contents.encoding.decode(data)
            return written(
                chosen,
                parts,
                contents.data,
                diff=diff_of("/".join(parts), before, after, files.settings.max_characters),
            )
        replace(chosen, parts, data, expected_hash, most)
        return written(chosen, parts, data)

    with for_the_model():
        chosen, parts = files.roots.locate(root, path)
        uri = uri_of(chosen.name, parts)
        return await (files.run(work) if dry_run else files.write(work))


EDIT_FILE = Tool(edit_file, title="Edit a file", read_only=False, destructive=True, open_world=False)
