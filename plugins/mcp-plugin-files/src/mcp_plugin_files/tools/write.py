"""`write_file` writes a new file, or replaces the text of a file that the caller has seen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Tool, ToolError
from mcp_plugin_files.diffs import diff_of
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
from mcp_plugin_files.writing import create, current, replace, require_new


async def write_file(
    path: FileParam,
    text: Annotated[str, Field(description="The whole text; written as UTF-8 with unchanged line ends.")],
    ctx: FilesContext,
    root: RootParam = None,
    expected_hash: Annotated[
        HashText | None,
        Field(description="To replace a file: its hash, from read_file. Without it, only a new file is written."),
    ] = None,
    dry_run: DryRunParam = False,
) -> Written:
    """Write a text file. To replace an existing file, read it first and give the hash that read_file returned.

    Missing folders are created. To change a part of a file, use edit_file.
    """
    files = ctx.state
    most = files.settings.max_bytes
    with for_the_model():
        chosen, parts = files.roots.locate(root, path)
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise ToolError("text contains lone surrogates, which cannot be encoded.") from None
        if len(data) > most:
            raise ToolError(f"The text has {len(data)} bytes; at most {most} may be written (max_bytes).")

        def work() -> Written:
            if dry_run:
                before = None if expected_hash is None else current(chosen, parts, expected_hash, most)
                if before is None:
                    require_new(chosen, parts)
                elif before.encoding is None:
                    raise FileRefusedError(f"{uri_of(chosen.name, parts)} is not text now, so there is no diff.")
                old = before.encoding.decode(before.data) if before and before.encoding else ""
                diff = diff_of("/".join(parts), old, text, files.settings.max_characters)
                return written(chosen, parts, before.data if before else None, diff=diff)
            if expected_hash is None:
                create(chosen, parts, data)
            else:
                replace(chosen, parts, data, expected_hash, most)
            return written(chosen, parts, data, created=expected_hash is None)

        return await (files.run(work) if dry_run else files.write(work))


WRITE_FILE = Tool(write_file, title="Write a file", read_only=False, destructive=True, open_world=False)
