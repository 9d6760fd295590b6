"""The report as data, and what the tools and the list of kept reports return."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

Kind = Literal["number", "time", "boolean", "text", "empty"]


class Source(BaseModel):
    """Data that can be reported on."""

    id: str = Field(description="What generate_report takes, such as stats/penguins.")
    name: str = Field(description="Its name where it comes from.")
    description: str = Field(description="What the data are, if that is said.")
    schema_uri: str = Field(description="The resource with its columns.")
    sample_uri: str = Field(description="The resource with its rows.")
    sample_rows: int | None = Field(default=None, description="Most rows that this resource gives, if it says so.")


class MissingCatalog(BaseModel):
    """A place where data were looked for in vain."""

    catalog: str = Field(description="The resource that should list data.")
    reason: str = Field(description="Why it could not be used.")


class Sources(BaseModel):
    """All data that can be reported on now."""

    sources: list[Source] = Field(description="The data, by the plugin they come from.")
    missing: list[MissingCatalog] = Field(description="Places that have none to offer at the moment, and why.")


class Bar(BaseModel):
    """One bar of a chart."""

    label: str = Field(description="The value, or the range of values, it stands for.")
    count: int = Field(description="Rows in it.")


class Chart(BaseModel):
    """How often each value, or range of values, occurs."""

    shape: Literal["columns", "bars"] = Field(
        description="columns stand upright, a range of numbers or times each; bars lie, a value each."
    )
    bars: list[Bar] = Field(description="The bars, in drawing order.")
    first: str = Field(default="", description="The value where upright columns begin.")
    last: str = Field(default="", description="The value where upright columns end.")
    others: int = Field(default=0, description="Rows with values that have no bar of their own.")


class Figures(BaseModel):
    """Figures of a column of numbers; the spread is that of a sample (divided by n - 1)."""

    min: float | int
    q1: float | int
    median: float | int
    mean: float | int
    q3: float | int
    max: float | int
    stdev: float | int | None = Field(description="None for a single value.")


class ColumnReport(BaseModel):
    """What a report says of one column."""

    name: str = Field(description="Its name.")
    type: str = Field(description="Its type, as its source says.")
    kind: Kind = Field(description="How its values were taken.")
    count: int = Field(description="Values that are there.")
    missing: int = Field(description="Values that are missing.")
    distinct: int = Field(description="Different values.")
    first: str | None = Field(default=None, description="Columns of times: the earliest.")
    last: str | None = Field(default=None, description="Columns of times: the latest.")
    figures: Figures | None = Field(default=None, description="Columns of numbers only.")
    chart: Chart | None = Field(default=None, description="None where it would say nothing.")


class Report(BaseModel):
    """A report, before it is a document. Every text of the data is shortened and free of invisible characters."""

    id: str = Field(description="Names it in report://reports/{id}.")
    title: str = Field(description="Its title.")
    source: str = Field(description="The data it is made from.")
    source_uri: str = Field(description="The resource those were read from.")
    description: str = Field(description="What the data are, if their source says so.")
    created: datetime = Field(description="When it was made (UTC).")
    rows: int = Field(description="Rows it is made from.")
    total: int | None = Field(description="Rows that the source has, or None when it does not say.")
    basis: str = Field(description="The same in words: which rows of how many the report is made from.")
    columns: list[ColumnReport] = Field(description="Its columns.")
    left_out: list[str] = Field(description="Columns of the data that it leaves out.")
    preview: list[list[str]] = Field(description="The first rows, in the order of the columns.")
    html_uri: str = Field(description="The resource with the report as a self-contained HTML page.")
    markdown_uri: str = Field(description="The resource with the report as Markdown.")


class KeptReport(BaseModel):
    """One of the kept reports."""

    id: str = Field(description="Its id.")
    title: str = Field(description="Its title.")
    source: str = Field(description="The data it is made from.")
    created: datetime = Field(description="When it was made (UTC).")
    basis: str = Field(description="Which rows of how many it is made from.")
    uri: str = Field(description="The resource with its figures as JSON.")
    html_uri: str = Field(description="The resource with its HTML page.")
    markdown_uri: str = Field(description="The resource with its Markdown.")


class Deleted(BaseModel):
    """A report that is kept no longer."""

    id: str = Field(description="Its id.")
    title: str = Field(description="Its title.")
