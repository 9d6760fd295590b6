"""The settings of `[plugins.stats.settings]`: which files are data sets, and how much work one call may make."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, field_validator, model_validator

Format = Literal["csv", "tsv", "parquet", "json", "jsonl"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}

UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}

SMALLEST_MEMORY = 32_000_000
"""Bytes below which DuckDB cannot read even a small file."""

DatasetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
"""A name that needs no quotes in SQL and in a URI."""


def format_of(path: str) -> Format | None:
    """Return the format for the suffix of a file's name, without `.gz`, or None if the suffix is unknown."""
    name = PurePath(path.lower())
    suffix = PurePath(name.stem).suffix if name.suffix == ".gz" else name.suffix
    return SUFFIXES.get(suffix)


class DatasetFile(BaseModel, extra="forbid"):
    """One data file."""

    path: str = Field(min_length=1, description="The file; a relative path starts at the folder of mcp-host.toml.")
    format: Format | None = Field(
        default=None,
        description="Needed only if the suffix is not .csv .tsv .parquet .json .jsonl .ndjson (or one of them + .gz).",
    )
    null_values: list[str] = Field(default=["", "NA"], description="CSV and TSV: texts that mean a missing value.")
    description: str = Field(default="", description="One line for the model about the data.")

    @model_validator(mode="after")
    def _knows_its_format(self) -> Self:
        if self.format is None and format_of(self.path) is None:
            known = " ".join(SUFFIXES)
            raise ValueError(f'the suffix is unknown (known: {known}): add the format, such as format = "csv"')
        return self

    @property
    def read_as(self) -> Format:
        """The given format, else the format for the suffix."""
        return self.format or format_of(self.path) or "csv"


class Settings(BaseModel, extra="forbid"):
    """The keys of `[plugins.stats.settings]`."""

    datasets: dict[DatasetName, DatasetFile | str] = Field(
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
    memory_limit: str = Field(default="512MB", description="Memory DuckDB may use for queries, such as 512MB or 2GiB.")

    @field_validator("datasets")
    @classmethod
    def _files(cls, datasets: dict[str, DatasetFile | str]) -> dict[str, DatasetFile | str]:
        seen: dict[str, str] = {}
        for name in datasets:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                raise ValueError(f"{other} and {name} are the same name in SQL: rename one of them")
        return {
            name: DatasetFile.model_validate({"path": file}) if isinstance(file, str) else file
            for name, file in datasets.items()
        }

    @field_validator("memory_limit")
    @classmethod
    def _memory(cls, text: str) -> str:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B)", text.strip(), re.IGNORECASE)
        if match is None:
            raise ValueError("write a number and a unit, such as 512MB or 2GiB")
        if float(match[1]) * UNITS[match[2].lower()] < SMALLEST_MEMORY:
            raise ValueError("DuckDB needs at least 32MB")
        return match[1] + match[2]

    @property
    def files(self) -> dict[str, DatasetFile]:
        """The configured data sets as tables, also those written in the short form."""
        return {name: file for name, file in self.datasets.items() if isinstance(file, DatasetFile)}
