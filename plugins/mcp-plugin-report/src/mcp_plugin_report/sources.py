"""The data that reports are made from, found and read through other plugins' resources alone."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from mcp import MCPError
from pydantic import BaseModel, PositiveInt, TypeAdapter, ValidationError

from mcp_host import ResourceError, ResourceNotFoundError, ToolError
from mcp_plugin_report.app import Reports
from mcp_plugin_report.models import MissingCatalog, Source, Sources
from mcp_plugin_report.texts import shown

T = TypeVar("T")

LONGEST_DESCRIPTION: Final = 300
"""Characters of a description that are kept."""


NOT_SERVED: Final = "no enabled plugin serves it"


class _Entry(BaseModel):
    name: str
    schema_uri: str
    sample_uri: str
    sample_rows: PositiveInt | None = None
    description: str | None = None


class _Column(BaseModel):
    name: str
    type: str | None = None


class _Schema(BaseModel):
    columns: list[_Column]
    rows: int | None = None
    comment: str | None = None


class _Sample(BaseModel):
    columns: list[str]
    rows: list[list[Any]]


_ENTRIES: Final = TypeAdapter(list[_Entry])
_SCHEMA: Final = TypeAdapter(_Schema)
_SAMPLE: Final = TypeAdapter(_Sample)


class UnreadableError(Exception):
    """A resource could not be read, or holds something else than it should; the text says which and why."""

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(f"{uri}: {why}")
        self.why = why


class RefusedError(UnreadableError):
    """The plugin that has the resource said why it does not give it."""


@dataclass(frozen=True)
class Schema:
    """A source's columns with the type that is said of each, and, where it says so, how many rows it has, of what."""

    types: dict[str, str]
    rows: int | None
    comment: str


@dataclass(frozen=True)
class Rows:
    """The first rows of a source, each in the order of its columns."""

    columns: list[str]
    rows: list[list[Any]]


async def find_sources(ctx: Reports) -> Sources:
    """Everything that the configured catalogs list; one that is not served, or broken, is said and left out."""
    found: list[Source] = []
    missing: list[MissingCatalog] = []
    for catalog in ctx.settings.catalogs:
        try:
            entries = await _read(ctx, catalog, _ENTRIES)
        except UnreadableError as error:
            missing.append(MissingCatalog(catalog=catalog, reason=error.why))
            continue
        scheme = catalog.partition(":")[0]
        found += [
            Source(
                id=f"{scheme}/{entry.name}",
                name=entry.name,
                description=shown(entry.description or "", LONGEST_DESCRIPTION),
                schema_uri=entry.schema_uri,
                sample_uri=entry.sample_uri,
                sample_rows=entry.sample_rows,
            )
            for entry in entries
        ]
    return Sources(sources=found, missing=missing)


def choose(wanted: str, known: Sources) -> Source:
    """The source of this id, or of this name where that is clear.

    Raises:
        ToolError: There is none, or several; the text lists what there is and what is missing.
    """
    ids = [source.id for source in known.sources]
    for same in (
        [source for source in known.sources if source.id == wanted],
        [source for source in known.sources if source.name == wanted],
        [source for source in known.sources if wanted.lower() in (source.id.lower(), source.name.lower())],
    ):
        if len(same) == 1:
            return same[0]
        if same:
            raise ToolError(f"There are several data called {wanted!r}: say {' or '.join(s.id for s in same)}.")
    names = {**{source.name.lower(): source.id for source in known.sources}, **{id.lower(): id for id in ids}}
    near = difflib.get_close_matches(wanted.lower(), names, n=1)
    parts = [f"There are no data {shown(wanted)!r}."]
    if near:
        parts.append(f"Did you mean {names[near[0]]!r}?")
    parts.append(f"Data: {', '.join(ids[:30]) or 'none'}{f' and {len(ids) - 30} more' if len(ids) > 30 else ''}.")
    parts += [f"Not available: {gap.catalog} ({gap.reason})." for gap in known.missing]
    raise ToolError(" ".join(parts))


async def read_schema(ctx: Reports, source: Source) -> Schema:
    """The columns of a source. Raises UnreadableError."""
    schema = await _read(ctx, source.schema_uri, _SCHEMA)
    types = {column.name: column.type or "" for column in schema.columns}
    return Schema(types, schema.rows, shown(schema.comment or "", LONGEST_DESCRIPTION))


async def read_rows(ctx: Reports, source: Source, wanted: int) -> Rows:
    """The first `wanted` rows of a source, or as many as it gives at once.

    A source that refuses so many is asked for what it gives without a number.

    Raises:
        UnreadableError: It gives none at all.
    """
    asked = min(wanted, source.sample_rows or wanted)
    try:
        sample = await _read(ctx, _with_rows(source.sample_uri, asked), _SAMPLE)
    except RefusedError as refusal:
        try:
            sample = await _read(ctx, source.sample_uri, _SAMPLE)
        except RefusedError:
            raise refusal from None
    ragged = next((n for n, row in enumerate(sample.rows, 1) if len(row) != len(sample.columns)), None)
    if ragged is not None:
        raise UnreadableError(source.sample_uri, f"row {ragged} has not one value for each column")
    return Rows(sample.columns, sample.rows[:wanted])


def nearest(name: str, names: Sequence[str]) -> str:
    """A did-you-mean for a name, or nothing."""
    near = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _with_rows(uri: str, rows: int) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode({'rows': rows})}"


async def _read(ctx: Reports, uri: str, shape: TypeAdapter[T]) -> T:
    try:
        contents = list(await ctx.read_resource(uri))
    except (ResourceNotFoundError, ResourceError, MCPError) as error:
        why = str(error).rstrip(".")
        raise RefusedError(uri, NOT_SERVED if why.startswith("Unknown resource:") else why) from None
    try:
        text = contents[0].content if contents else b""
        # JSON has no NaN: where a source writes one all the same, the value is missing.
        return shape.validate_python(json.loads(text, parse_constant=lambda _: None))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(uri, f"it holds no {_wanted(shape)}{_first(error)}") from None


def _wanted(shape: TypeAdapter[Any]) -> str:
    if shape is _ENTRIES:
        return "list of data with name, schema_uri and sample_uri"
    return "columns with names" if shape is _SCHEMA else "columns and rows"


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return " (it is no JSON)"
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f" ({'.'.join(map(str, detail['loc'])) or 'all of it'}: {detail['msg']})"
