"""Finds and reads the data for reports, only through other plugins' resources."""

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
from mcp_host.tables import Aggregate
from mcp_plugin_report.app import Reports
from mcp_plugin_report.models import MissingCatalog, Source, Sources
from mcp_plugin_report.texts import shown

T = TypeVar("T")

LONGEST_DESCRIPTION: Final = 300
"""The most characters of a description."""


NOT_SERVED: Final = "no enabled plugin serves it"


class _Entry(BaseModel):
    name: str
    schema_uri: str
    sample_uri: str
    sample_rows: PositiveInt | None = None
    aggregate_uri: str | None = None
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
    """A resource could not be read, or its content is wrong. The text has its URI and the reason."""

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(f"{uri}: {why}")
        self.why = why


class RefusedError(UnreadableError):
    """The plugin that owns the resource refused it with a reason."""


@dataclass(frozen=True)
class Schema:
    """A source's columns with their types, its number of rows, if known, and its comment."""

    types: dict[str, str]
    rows: int | None
    comment: str


@dataclass(frozen=True)
class Rows:
    """The first rows of a source. Each row is in the order of the columns."""

    columns: list[str]
    rows: list[list[Any]]


async def find_sources(ctx: Reports) -> Sources:
    """Return all data in the configured catalogs. Catalogs that are broken or not served are in `missing`."""
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
                aggregate_uri=entry.aggregate_uri,
            )
            for entry in entries
        ]
    return Sources(sources=found, missing=missing)


def choose(wanted: str, known: Sources) -> Source:
    """Return the source with this id, or the only source with this name.

    Raises:
        ToolError: There is no such source, or more than one. The text lists the data and the missing catalogs.
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
            raise ToolError(f"Several data have the name {wanted!r}: write {' or '.join(s.id for s in same)}.")
    names = {**{source.name.lower(): source.id for source in known.sources}, **{id.lower(): id for id in ids}}
    near = difflib.get_close_matches(wanted.lower(), names, n=1)
    parts = [f"There are no data {shown(wanted)!r}."]
    if near:
        parts.append(f"Did you mean {names[near[0]]!r}?")
    parts.append(f"Data: {', '.join(ids[:30]) or 'none'}{f' and {len(ids) - 30} more' if len(ids) > 30 else ''}.")
    parts += [f"Not available: {gap.catalog} ({gap.reason})." for gap in known.missing]
    raise ToolError(" ".join(parts))


async def read_schema(ctx: Reports, source: Source) -> Schema:
    """Return the columns of a source. Raises UnreadableError."""
    schema = await _read(ctx, source.schema_uri, _SCHEMA)
    types = {column.name: column.type or "" for column in schema.columns}
    return Schema(types, schema.rows, shown(schema.comment or "", LONGEST_DESCRIPTION))


async def read_rows(ctx: Reports, source: Source, wanted: int) -> Rows:
    """Return the first `wanted` rows of a source, or as many as it returns at once.

    If a source refuses this number, it is read without a number.

    Raises:
        UnreadableError: The source cannot be read.
    """
    number = min(wanted, source.sample_rows or wanted)
    try:
        sample = await _read(ctx, _with_rows(source.sample_uri, number), _SAMPLE)
    except RefusedError as refusal:
        try:
            sample = await _read(ctx, source.sample_uri, _SAMPLE)
        except RefusedError:
            raise refusal from None
    uneven = next((n for n, row in enumerate(sample.rows, 1) if len(row) != len(sample.columns)), None)
    if uneven is not None:
        raise UnreadableError(source.sample_uri, f"row {uneven} does not have one value for each column")
    return Rows(sample.columns, sample.rows[:wanted])


async def read_aggregate(ctx: Reports, source: Source, request: Aggregate) -> list[list[Any]]:
    """Return the rows of an aggregate. Raises UnreadableError, also if the source has none."""
    if source.aggregate_uri is None:
        raise UnreadableError(source.sample_uri, "its source has no figures of all rows")
    separator = "&" if "?" in source.aggregate_uri else "?"
    found = await _read(ctx, f"{source.aggregate_uri}{separator}{urlencode({'request': request.text()})}", _SAMPLE)
    wanted = len(request.by) + len(request.measures)
    if any(len(row) != wanted for row in found.rows):
        raise UnreadableError(source.aggregate_uri, "a row does not have one value for each figure")
    return found.rows


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a suggestion for a name, or an empty text."""
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
        # JSON has no NaN. If a source writes one nevertheless, the value counts as missing.
        return shape.validate_python(json.loads(text, parse_constant=lambda _: None))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(uri, f"it does not contain {_wanted(shape)}{_first(error)}") from None


def _wanted(shape: TypeAdapter[Any]) -> str:
    if shape is _ENTRIES:
        return "a list of data with name, schema_uri and sample_uri"
    return "columns with names" if shape is _SCHEMA else "columns and rows"


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return " (it is not JSON)"
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f" ({'.'.join(map(str, detail['loc'])) or 'all of it'}: {detail['msg']})"
