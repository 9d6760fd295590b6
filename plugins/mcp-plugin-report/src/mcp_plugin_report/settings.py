"""The settings of `[plugins.report.settings]`: where data come from, and the size and number of reports."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

CatalogUri = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")]


class Settings(BaseModel, extra="forbid"):
    """The keys of `[plugins.report.settings]`."""

    catalogs: list[CatalogUri] = Field(
        default=["stats://datasets", "sql://tables"],
        description="Resources that list data: JSON objects with name, schema_uri and sample_uri.",
    )
    max_rows: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Most first rows that a report uses if it is not made from all.",
    )
    max_columns: int = Field(default=30, ge=1, le=200, description="Most columns in a report.")
    preview_rows: int = Field(default=5, ge=0, le=100, description="Number of first rows that a report shows.")
    digits: int = Field(default=4, ge=0, le=15, description="Decimals kept in computed figures.")
    keep: int = Field(default=20, ge=1, le=1000, description="Most kept reports; a new one removes the oldest.")
