"""The settings of `[plugins.stats.settings]`: which files are data sets, and how much work one call may make."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, field_validator, model_validator

Format = Literal["csv", "tsv", "parquet", "json", "jsonl", "xlsx", "duckdb", "sqlite"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xlsx": "xlsx",
    ".duckdb": "duckdb",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
}

PACKED = (".gz", ".zst")
"""Suffixes of compressed files. They come after the suffix of the format."""

DELIMITED = ("csv", "tsv")
TABULAR = ("csv", "tsv", "xlsx")
"""The formats whose cells are texts, so that types are found from them."""

UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}

SMALLEST_MEMORY = 128_000_000
"""Bytes below which DuckDB cannot read even a small file."""

DatasetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
"""A name that needs no quotes in SQL and in a URI."""

ColumnTypeName = Annotated[
    str,
    StringConstraints(
        pattern=r"(?i)^(varchar|text|string|boolean|(tiny|small|big|huge)int|integer|int|double|float|real"
        r"|decimal(\(\d{1,2} *(, *\d{1,2})?\))?|date|time|timestamp|timestamptz|timestamp with time zone|uuid)$"
    ),
]
"""The types that a column of texts can be given."""


def format_of(path: str) -> Format | None:
    """Return the format for the suffix of a file's name or of a glob, or None if the suffix is unknown."""
    name = PurePath(path.lower())
    suffix = PurePath(name.stem).suffix if name.suffix in PACKED else name.suffix
    return SUFFIXES.get(suffix)


class ReaderOptions(BaseModel, extra="forbid"):
    """How texts become columns. What is not set is found from all rows."""

    encoding: str | None = Field(
        default=None,
        description="The encoding of text, such as windows-1252 or gbk; default: by the byte order mark, else UTF-8.",
    )
    header: bool | None = Field(default=None, description="Whether the first row has the names of the columns.")
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="CSV: the character between cells, such as ; or |."
    )
    quote: str = Field(default='"', min_length=1, max_length=1, description="CSV: the character around texts.")
    skip: int = Field(default=0, ge=0, description="CSV: how many lines at the start of a file are left out.")
    comment: str | None = Field(
        default=None, min_length=1, max_length=3, description="CSV: lines that begin with this are left out, such as #."
    )
    decimal: Literal[".", ","] = Field(default=".", description="What separates decimals in numbers.")
    thousands: str | None = Field(
        default=None, min_length=1, max_length=1, description="What separates thousands in numbers, such as a comma."
    )
    date_format: str | None = Field(
        default=None, description="How dates are written, as for strptime: %d/%m/%Y for 31/12/2024."
    )
    types: dict[str, ColumnTypeName] = Field(
        default_factory=dict, description='Types by column, such as { zip = "VARCHAR", price = "DECIMAL(12,2)" }.'
    )
    all_text: bool = Field(default=False, description="Read every column as text.")
    null_values: list[str] = Field(default=["", "NA"], description="Texts that mean a missing value.")
    null_padding: bool | None = Field(
        default=None,
        description="Short rows: true fills them up (and adds columns for long rows), false refuses them; default: "
        "they are filled up with a warning, and long rows are refused.",
    )

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                "".encode(name)
            except LookupError:
                raise ValueError(f"{name!r} is no encoding that Python knows, such as windows-1252 or gbk") from None
        return name

    @model_validator(mode="after")
    def _different_signs(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal are both {self.decimal!r}: they must be different")
        return self


class DatasetFile(ReaderOptions):
    """One data set: a file, or several files with the same columns."""

    path: str = Field(
        min_length=1,
        description="A file, a folder, or a glob (data/*.csv, data/**/*.parquet); a relative path starts at the folder "
        "of mcp-host.toml.",
    )
    format: Format | None = Field(
        default=None,
        description="Needed for folders and other suffixes: csv, tsv, parquet, json, jsonl, xlsx, duckdb or sqlite.",
    )
    table: str | None = Field(
        default=None, description="DuckDB and SQLite: the table; xlsx: the sheet. Needed only if there are several."
    )
    hive_partitioning: bool = Field(
        default=True, description="Globs and folders: folders such as year=2024 are columns."
    )
    description: str = Field(default="", description="One line for the model about the data.")

    @model_validator(mode="after")
    def _knows_its_format(self) -> Self:
        if self.format is None and format_of(self.path) is None:
            known = " ".join(SUFFIXES)
            suffix = PurePath(self.path).suffix
            raise ValueError(
                f"{f'the suffix {suffix} is unknown' if suffix else 'the path has no suffix'} "
                f"(known: {known}, for text also {' '.join(PACKED)} after it): "
                'add the format, such as format = "csv"'
            )
        return self

    @model_validator(mode="after")
    def _has_only_options_of_its_format(self) -> Self:
        used = self.model_fields_set - {"path", "format", "table", "hive_partitioning", "description"}
        unfit = {name for name in used if self.read_as not in READERS[name]}
        if self.table is not None and self.read_as not in ("xlsx", "duckdb", "sqlite"):
            unfit.add("table")
        if unfit:
            raise ValueError(f"{', '.join(sorted(unfit))}: not for the format {self.read_as}")
        return self

    @property
    def read_as(self) -> Format:
        """The given format, else the format for the suffix."""
        return self.format or format_of(self.path) or "csv"


READERS: dict[str, tuple[str, ...]] = {
    "encoding": (*DELIMITED, "json", "jsonl"),
    **dict.fromkeys(("delimiter", "quote", "skip", "comment"), DELIMITED),
    **dict.fromkeys(
        ("header", "decimal", "thousands", "date_format", "types", "all_text", "null_values", "null_padding"), TABULAR
    ),
}
"""The formats for which each option has a meaning."""


def _table(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


PathOrTable = Annotated[DatasetFile, BeforeValidator(_table, json_schema_input_type=DatasetFile | str)]
"""A data set as it is written in the settings: only its path, or a table."""


class Settings(BaseModel, extra="forbid"):
    """The keys of `[plugins.stats.settings]`."""

    datasets: dict[DatasetName, PathOrTable] = Field(
        default_factory=dict,
        description='Data sets by name: a path (datasets.sales = "data/sales.parquet") or a table (path, format, ...)',
    )
    shipped: bool = Field(
        default=True, description="Also serve the Palmer penguins that come with the plugin, as `penguins`."
    )
    digits: int = Field(default=4, ge=0, le=15, description="Decimals kept in computed figures.")
    max_rows: int = Field(
        default=100, ge=1, le=10_000, description="Most rows in a query's result, a sample or a grouping."
    )
    max_numbers: int = Field(default=100_000, ge=1, description="Most numbers that calculate_statistics accepts.")
    query_timeout: float = Field(default=20.0, gt=0, le=3600, description="Seconds after which a query is stopped.")
    load_timeout: float = Field(300.0, gt=0, le=3600, description="Seconds after which reading a data file is stopped.")
    memory_limit: str = Field(
        default="256MiB",
        description="How much the worker, in which files are read and queries run, may grow, such as 256MiB or 2GB.",
    )
    max_result_bytes: int = Field(
        default=100_000,
        ge=1_000,
        le=10_000_000,
        description="About the most bytes of a result; more rows are left out.",
    )
    export_folder: str | None = Field(
        default=None, description="The folder for export_query; without it, there is no such tool."
    )

    @field_validator("datasets")
    @classmethod
    def _different_names(cls, datasets: dict[str, DatasetFile]) -> dict[str, DatasetFile]:
        seen: dict[str, str] = {}
        for name in datasets:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                raise ValueError(f"{other} and {name} are the same name in SQL: rename one of them")
        return datasets

    @field_validator("memory_limit")
    @classmethod
    def _memory(cls, text: str) -> str:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B)", text.strip(), re.IGNORECASE)
        if match is None:
            raise ValueError("write a number and a unit, such as 256MiB or 2GB")
        if float(match[1]) * UNITS[match[2].lower()] < SMALLEST_MEMORY:
            raise ValueError("DuckDB needs at least 128MB")
        return match[1] + match[2]

    @property
    def memory(self) -> int:
        """The `memory_limit` in bytes."""
        match = re.fullmatch(r"([\d.]+)([A-Za-z]+)", self.memory_limit)
        assert match is not None
        return int(float(match[1]) * UNITS[match[2].lower()])
