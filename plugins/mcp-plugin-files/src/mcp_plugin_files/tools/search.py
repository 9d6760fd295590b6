"""`search_files` finds the lines of files that match a pattern."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

from pydantic import Field

from mcp_host import Tool, ToolError
from mcp_plugin_files.candidates import Candidates, OpenBatch, batches, candidates
from mcp_plugin_files.engines import RE2, Engine, Hit, Query, engine_for
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folderview import glob_of
from mcp_plugin_files.listing import Walk
from mcp_plugin_files.models import FoundLine, SearchResult
from mcp_plugin_files.passages import Passage, passages
from mcp_plugin_files.paths import parts_of
from mcp_plugin_files.served import Files
from mcp_plugin_files.tools.parameters import FilesContext, GlobParam, for_the_model

MOST_CONTEXT = 20
"""The most lines of context before and after a match."""


async def search_files(
    pattern: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1000,
            description="A regular expression (RE2 and Rust syntax, no look-around), matched within lines; with \\n or "
            "(?s), across lines.",
        ),
    ],
    ctx: FilesContext,
    root: Annotated[str | None, Field(description="Search only this root; default: all roots.")] = None,
    path: Annotated[str, Field(description="A folder's or file's path in the root; empty for the root itself.")] = "",
    glob: GlobParam = None,
    literal: Annotated[bool, Field(description="Read the pattern as plain text.")] = False,
    ignore_case: Annotated[bool, Field(description="Ignore upper and lower case.")] = False,
    context: Annotated[
        int, Field(ge=0, le=MOST_CONTEXT, description="How many lines to show before and after each match.")
    ] = 0,
) -> SearchResult:
    """Search the text of all files. Returns path, number and text of every matching line. Binary files are left out.

    Progress counts files.
    """
    if "\0" in pattern:
        raise ToolError("The pattern cannot contain a NUL.")
    files, settings = ctx.state, ctx.settings
    query = Query(pattern, literal, ignore_case)
    engine = engine_for(files.ripgrep, settings.max_search_bytes, files.threads, query)
    with for_the_model():
        if root is None and not path and files.roots.names:
            roots, parts = list(files.roots), parts_of("")
        else:
            chosen, parts = files.roots.locate(root, path)
            roots = [chosen]
        wanted = glob_of(glob)
        await engine.check(query)

        def look(walk: Walk) -> Candidates:
            return candidates(roots, parts, walk, wanted, settings.max_search_bytes)

        found = await files.walk(look)
        result = _Result(list(found.notes), settings.max_results, settings.max_characters)
        done = searched = 0
        for names in batches(found.files):
            await ctx.report_progress(done, len(found.files), f"{len(result.matches)} lines found")
            batch = OpenBatch()
            try:
                await files.run(lambda batch=batch, names=names: batch.open(names))  # type: ignore[misc]
                hits = result.within(await _hits(files, engine, query, batch, result))
                opened = [file.searched for file in batch.files]
                show = partial(passages, hits, opened, context, settings.max_search_bytes)
                result.add(await files.run(show), batch)
                searched += len(batch.files)
            finally:
                batch.close()
            done += len(names)
            if result.truncated:
                break
        await ctx.report_progress(done, len(found.files), f"{len(result.matches)} lines found")
    return SearchResult(
        matches=result.matches, files=searched, truncated=result.truncated or found.full, notes=result.notes
    )


@dataclass
class _Result:
    """What was found so far, with its limits."""

    notes: list[str]
    room_for_hits: int
    room_for_characters: int
    matches: list[FoundLine] = field(default_factory=list)
    truncated: bool = False

    def within(self, hits: list[Hit]) -> list[Hit]:
        """Return the hits for which there is room."""
        self.truncated = self.truncated or len(hits) > self.room_for_hits
        kept = hits[: self.room_for_hits]
        self.room_for_hits -= len(kept)
        return kept

    def add(self, shown: Iterable[Passage], batch: OpenBatch) -> None:
        for passage in shown:
            self.room_for_characters -= len(passage.text)
            if self.room_for_characters < 0:
                self.truncated = True
                return
            found = batch.files[passage.file].found
            self.matches.append(FoundLine(root=found.root.name, path=found.path, line=passage.line, text=passage.text))


async def _hits(files: Files, engine: Engine, query: Query, batch: OpenBatch, result: _Result) -> list[Hit]:
    """Return the hits in a batch in order. RE2 searches what ripgrep does not read right."""
    most = result.room_for_hits + 1
    python = RE2(files.settings.max_search_bytes, files.threads)
    hits: list[Hit] = []
    for plain in (True, False):
        places = [place for place, file in enumerate(batch.files) if file.plain == plain]
        if not places:
            continue
        try:
            found = await (engine if plain else python).search(query, [batch.files[at].searched for at in places], most)
        except FileRefusedError as error:  # The pattern is valid for ripgrep only.
            note = f"Only text in UTF-8 and UTF-16 was searched: {error}"
            result.notes += [note] if note not in result.notes else []
            continue
        hits += [replace(hit, file=places[hit.file]) for hit in found]
    return sorted(hits, key=lambda hit: (hit.file, hit.line))


SEARCH_FILES = Tool(search_files, title="Search files", read_only=True, idempotent=True, open_world=False)
