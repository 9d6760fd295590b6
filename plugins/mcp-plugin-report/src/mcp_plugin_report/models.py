"""The report as data, and the results of the tools and of the list of kept reports."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

Period = Literal["day", "month", "year"]
ColumnKind = Literal["number", "time", "boolean", "text", "empty"]


class Source(BaseModel):
    """Data for a report."""

    id: str = Field(description="The id for generate_report, such as stats/penguins.")
    name: str = Field(description="Its name in the plugin that serves it.")
    description: str = Field(description="A description of the data, if there is one.")
    schema_uri: str = Field(description="The resource with its columns.")
    sample_uri: str = Field(description="The resource with its rows.")
    sample_rows: int | None = Field(default=None, description="Most rows that this resource returns, if known.")
    aggregate_uri: str | None = Field(default=None, description="The resource with figures from all rows, if any.")


class MissingCatalog(BaseModel):
    """A resource that should list data but cannot be used."""

    catalog: str = Field(description="The resource that should list data.")
    reason: str = Field(description="Why it could not be used.")


class Sources(BaseModel):
    """All data for reports."""

    sources: list[Source] = Field(description="The data, grouped by plugin.")
    missing: list[MissingCatalog] = Field(description="Resources that list no data at the moment, and why.")


class Bar(BaseModel):
    """One bar of a chart."""

    label: str = Field(description="Its value or range of values.")
    count: int = Field(description="Rows in it.")


class Chart(BaseModel):
    """How often each value or range of values occurs."""

    shape: Literal["columns", "bars"] = Field(
        description="columns: upright, each for a range of numbers or times; bars: horizontal, each for a value."
    )
    bars: list[Bar] = Field(description="The bars, in drawing order.")
    first: str = Field(default="", description="The value where upright columns begin.")
    last: str = Field(default="", description="The value where upright columns end.")
    others: int = Field(default=0, description="Rows whose values have no bar of their own.")


class Figures(BaseModel):
    """Figures of a column of numbers. The standard deviation is that of a sample (divided by n - 1)."""

    min: float | int
    q1: float | int
    median: float | int
    mean: float | int
    q3: float | int
    max: float | int
    stdev: float | int | None = Field(description="None for a single value.")


class ColumnReport(BaseModel):
    """One column of a report."""

    name: str = Field(description="Its name.")
    type: str = Field(description="Its type in the source.")
    kind: ColumnKind = Field(description="The kind of its values.")
    count: int = Field(description="Rows with a value.")
    missing: int = Field(description="Rows without a value.")
    distinct: int = Field(description="Different values.")
    first: str | None = Field(default=None, description="Columns of times: the earliest.")
    last: str | None = Field(default=None, description="Columns of times: the latest.")
    figures: Figures | None = Field(default=None, description="Columns of numbers only.")
    chart: Chart | None = Field(default=None, description="None if a chart would show nothing.")
    partial: str = Field(
        default="", description="Why it is made from the first rows only, while the report is made from all rows."
    )


class TrendPoint(BaseModel):
    """One period of a trend."""

    period: str = Field(description="The day, month or year.")
    rows: int = Field(description="Rows in it.")
    means: list[float | int | None] = Field(description="The mean of each column of numbers; None without values.")


class Trend(BaseModel):
    """How rows and means develop over a column of dates."""

    column: str = Field(description="The column of dates.")
    period: Period = Field(description="What a point stands for.")
    numbers: list[str] = Field(description="The columns whose means are given.")
    points: list[TrendPoint] = Field(description="The periods with rows, the earliest first.")
    cut: int = Field(description="Earlier periods that are left out.")


class Crosstab(BaseModel):
    """How often the values of two columns occur together."""

    row: str = Field(description="The column whose values are the rows.")
    column: str = Field(description="The column whose values are the columns.")
    rows: list[str] = Field(description="Its most frequent values.")
    columns: list[str] = Field(description="Its most frequent values.")
    counts: list[list[int]] = Field(description="For each row, the number of rows of the data in each column.")
    others: int = Field(description="Rows of the data with other values.")
    complete: bool = Field(description="False if there are so many pairs that the rare ones were not counted.")


class Report(BaseModel):
    """A report as data. Texts from the data are shortened and have no invisible characters."""

    id: str = Field(description="Its id in report://reports/{id}.")
    title: str = Field(description="Its title.")
    source: str = Field(description="The data it is made from.")
    source_uri: str = Field(description="The resource that the data were read from.")
    description: str = Field(description="A description of the data, if their source has one.")
    created: datetime = Field(description="When it was made (UTC).")
    rows: int = Field(description="Rows it is made from.")
    total: int | None = Field(description="Rows of the source, or None if it does not report them.")
    basis: str = Field(description="The same in words: which rows the report is made from, and of how many.")
    columns: list[ColumnReport] = Field(description="Its columns.")
    left_out: list[str] = Field(description="Columns of the data that it leaves out.")
    trend: Trend | None = Field(default=None, description="The development over a column of dates, if there is one.")
    crosstab: Crosstab | None = Field(default=None, description="The cross-tab of two columns, if it was asked for.")
    preview: list[list[str]] = Field(description="The first rows, in the order of the columns.")
    html_uri: str = Field(description="The resource with the report as a self-contained HTML page.")
    markdown_uri: str = Field(description="The resource with the report as Markdown.")


class KeptReport(BaseModel):
    """One of the kept reports."""

    id: str = Field(description="Its id.")
    title: str = Field(description="Its title.")
    source: str = Field(description="The data it is made from.")
    created: datetime = Field(description="When it was made (UTC).")
    basis: str = Field(description="Which rows it is made from, and of how many.")
    uri: str = Field(description="The resource with its figures as JSON.")
    html_uri: str = Field(description="The resource with its HTML page.")
    markdown_uri: str = Field(description="The resource with its Markdown.")


class Deleted(BaseModel):
    """A deleted report."""

    id: str = Field(description="Its id.")
    title: str = Field(description="Its title.")
