"""`search_files` finds the lines of all files that match a pattern."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Tool, ToolError
from mcp_plugin_files.candidates import Candidates, OpenBatch, batches, candidates
from mcp_plugin_files.engines import Hit, Query, engine_for
from mcp_plugin_files.folderview import glob_of
from mcp_plugin_files.listing import Walk
from mcp_plugin_files.models import FoundLine, SearchResult
from mcp_plugin_files.paths import parts_of
from mcp_plugin_files.tools.parameters import FilesContext, FolderParam, GlobParam, for_the_model


async def search_files(
    pattern: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1000,
            description="A regular expression (RE2 and Rust syntax, no look-around), matched within lines.",
        ),
    ],
    ctx: FilesContext,
    root: Annotated[str | None, Field(description="Search only this root; default: all roots.")] = None,
    path: FolderParam = "",
    glob: GlobParam = None,
    literal: Annotated[bool, Field(description="Read the pattern as plain text.")] = False,
    ignore_case: Annotated[bool, Field(description="Ignore upper and lower case.")] = False,
) -> SearchResult:
    """Search the text of all files. Returns path, number and text of every matching line. Binary files are left out.

    Progress counts files.
    """
    if "\n" in pattern or "\0" in pattern:
        raise ToolError("The pattern cannot contain a line break or a NUL: it is matched within single lines.")
    files, settings = ctx.state, ctx.settings
    query = Query(pattern, literal, ignore_case)
    engine = engine_for(files.ripgrep, settings.max_search_bytes, files.threads)
    with for_the_model():
        if root is None and path and len(files.roots.names) > 1:
            raise ToolError(f"Give the root of the folder. Roots: {', '.join(files.roots.names)}.")
        roots = list(files.roots) if root is None and files.roots.names else [files.roots.get(root)]
        parts, wanted = parts_of(path), glob_of(glob)
        await engine.check(query)

        def look(walk: Walk) -> Candidates:
            return candidates(roots, parts, walk, wanted, settings.max_search_bytes)

        found = await files.walk(look)
        matches: list[FoundLine] = []
        done = searched = 0
        for names in batches(found.files):
            await ctx.report_progress(done, len(found.files), f"{len(matches)} lines found")
            batch = OpenBatch()
            try:
                await files.run(lambda batch=batch, names=names: batch.open(names))  # type: ignore[misc]
                hits = await engine.search(
                    query, [descriptor for descriptor, _ in batch.files], settings.max_results + 1
                )
                matches += [_line(hit, batch) for hit in hits]
                searched += len(batch.files)
            finally:
                batch.close()
            done += len(names)
            if len(matches) > settings.max_results:
                break
        await ctx.report_progress(done, len(found.files), f"{len(matches)} lines found")
    most = settings.max_results
    return SearchResult(
        matches=matches[:most], files=searched, truncated=len(matches) > most or found.full, notes=found.notes
    )


def _line(hit: Hit, batch: OpenBatch) -> FoundLine:
    _, found = batch.files[hit.file]
    return FoundLine(root=found.root.name, path=found.path, line=hit.line, text=hit.text)


SEARCH_FILES = Tool(search_files, title="Search files", read_only=True, idempotent=True, open_world=False)
