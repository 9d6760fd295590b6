"""The results of the tools as pydantic models. A client sees them as output schemas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from mcp_plugin_stats.values import Scalar

Operation = Literal["count", "sum", "mean", "median", "min", "max", "variance", "stdev", "quantiles"]
Aggregate = Literal["count", "sum", "mean", "median", "min", "max", "variance", "stdev"]
Method = Literal["pearson", "spearman"]
ChartKind = Literal["line", "bar", "scatter", "box"]
ChartAggregate = Literal["count", "sum", "mean", "median", "min", "max"]
Period = Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
Number = int | float | str
"""A number as JSON. One that JSON readers may change is a text with all its digits (`mcp_host.values`)."""


class Quartiles(BaseModel):
    """The values below which a quarter, half and three quarters of all values are."""

    q1: int | float | None = Field(description="First quartile.")
    median: int | float | None = Field(description="Second quartile.")
    q3: int | float | None = Field(description="Third quartile.")


class Statistics(BaseModel):
    """One statistic of a list of numbers."""

    operation: Operation = Field(description="What was calculated.")
    count: int = Field(description="How many numbers there were.")
    value: int | float | None = Field(description="The result; null for quantiles.")
    quantiles: Quartiles | None = Field(default=None, description="The quartiles, when operation is quantiles.")


class TopValue(BaseModel):
    """A value and how often it occurs."""

    value: Any = Field(description="The value.")
    count: int = Field(description="In how many rows it occurs.")


class ColumnSummary(BaseModel):
    """A summary of one column."""

    name: str = Field(description="The column's name.")
    type: str = Field(description="DuckDB's type of the column.")
    count: int = Field(description="Rows that have a value.")
    nulls: int = Field(description="Rows without a value.")
    distinct: int = Field(description="Different values.")
    non_finite: int = Field(default=0, description="NaN and infinite values; the figures below leave them out.")
    min: Scalar = Field(default=None, description="Smallest value of numbers, dates and times.")
    max: Scalar = Field(default=None, description="Largest value of numbers, dates and times.")
    mean: float | None = Field(default=None, description="Arithmetic mean of numbers.")
    stdev: float | None = Field(default=None, description="Sample standard deviation of numbers.")
    quantiles: Quartiles | None = Field(default=None, description="Quartiles of numbers (interpolated).")
    top: list[TopValue] = Field(default_factory=list, description="Most frequent values that occur more than once.")


class ColumnType(BaseModel):
    """A column's name and type."""

    name: str = Field(description="The column's name.")
    type: str = Field(description="DuckDB's type of the column.")


class DatasetDescription(BaseModel):
    """A summary of a data set, column by column."""

    dataset: str = Field(description="The data set.")
    rows: int = Field(description="Rows in it.")
    warnings: list[str] = Field(description="What was decided when the file was read, and is not certain.")
    columns: list[ColumnSummary] = Field(description="One summary per column, in the file's order.")
    not_described: list[ColumnType] = Field(description="The columns for which there was no space.")


class Correlation(BaseModel):
    """The correlation of two columns."""

    a: str = Field(description="One column.")
    b: str = Field(description="The other column.")
    correlation: float | None = Field(description="From -1 to 1; null if it has no meaning, as for a constant column.")
    rows: int = Field(description="Rows in which both columns have a finite value.")


class Correlations(BaseModel):
    """The correlations of all pairs, strongest first."""

    dataset: str = Field(description="The data set.")
    method: Method = Field(description="pearson: linear; spearman: of the ranks.")
    pairs: list[Correlation] = Field(description="One entry per pair of columns.")


class Group(BaseModel):
    """The aggregate of one group."""

    key: list[Any] = Field(description="The values of the `by` columns, in their order; null for a missing value.")
    value: Scalar = Field(description="The aggregate of the group.")
    rows: int = Field(description="Rows in the group.")


class Groups(BaseModel):
    """An aggregate per group, in the order of the keys."""

    dataset: str = Field(description="The data set.")
    by: list[str] = Field(description="The columns that make the groups.")
    column: str | None = Field(description="The aggregated column; null when rows were counted.")
    aggregate: Aggregate = Field(description="What was calculated.")
    groups: list[Group] = Field(description="The groups.")
    truncated: bool = Field(description="Whether there are more groups than are listed.")


class QueryResult(BaseModel):
    """The rows of a query."""

    columns: list[ColumnType] = Field(description="The columns of the result, in order.")
    rows: list[list[Any]] = Field(description="The rows, each in the order of the columns.")
    row_count: int = Field(description="Rows listed here.")
    truncated: bool = Field(description="Whether the query has more rows than are listed.")
    warnings: list[str] = Field(description="What is uncertain in the data sets of the query.")


class Exported(BaseModel):
    """A file that was written."""

    file: str = Field(description="Its name in the export folder.")
    rows: int = Field(description="Rows in it.")


class Tick(BaseModel):
    """A labelled place of an axis."""

    value: str = Field(description="The moment, in ISO form.")
    label: str = Field(description="What is written there.")


class Axis(BaseModel):
    """An axis of a chart."""

    title: str = Field(description="What is written beside it.")
    scale: Literal["number", "time", "bands", "categories"] = Field(
        description="number and time: continuous; bands: values in their order; categories: values without an order."
    )
    period: Period | None = Field(default=None, description="What a point on an axis of time stands for.")
    zero: bool = Field(default=False, description="Whether zero is on the axis.")
    values: list[Scalar] = Field(default_factory=list, description="bands and categories: the values, as drawn.")
    labels: list[str] = Field(default_factory=list, description="How these values are written; short, and unique.")
    ticks: list[Tick] = Field(default_factory=list, description="time: the labelled places.")


class Point(BaseModel):
    """A point of a line or of a scatter chart, or a bar."""

    x: Scalar = Field(description="Its value on the x axis; a period or range has its first one; null is missing.")
    y: Number | None = Field(description="Its value on the y axis; null if it cannot be computed.")
    series: str | None = Field(default=None, description="Its series, if there are several.")
    rows: int | None = Field(default=None, description="The rows with a value that y is computed from.")


class Box(BaseModel):
    """A box. Its quartiles are interpolated linearly, as in numpy.

    Its whiskers end at the last values that are at most 1.5 times the interquartile range away from the box.
    """

    x: Scalar = Field(description="Its value on the x axis; null is missing, or there is one box.")
    series: str | None = Field(default=None, description="Its series, if there are several.")
    rows: int = Field(description="The values in it.")
    min: Number = Field(description="The smallest value.")
    low: Number = Field(description="Where the lower whisker ends.")
    q1: float = Field(description="The first quartile.")
    median: float = Field(description="The second quartile.")
    q3: float = Field(description="The third quartile.")
    high: Number = Field(description="Where the upper whisker ends.")
    max: Number = Field(description="The largest value.")
    beyond: int = Field(description="How many values are beyond the whiskers.")
    outliers: list[Number] = Field(description="Different values of these, at most 20, the most extreme first.")


class Chart(BaseModel):
    """A chart as data. All figures are computed from all rows."""

    dataset: str = Field(description="The data set.")
    kind: ChartKind = Field(description="The kind of the chart.")
    title: str = Field(description="What it shows, in words.")
    rows: int = Field(description="Rows of the data set.")
    notes: list[str] = Field(description="What is left out, sampled or put together, with numbers.")
    warnings: list[str] = Field(description="What was decided when the file was read, and is not certain.")
    x: Axis = Field(description="The x axis.")
    y: Axis = Field(description="The y axis.")
    group: str | None = Field(default=None, description="The column that makes the series, if one does.")
    series: list[str] = Field(description="The series; empty if there is only one.")
    stacked: bool = Field(default=False, description="Whether bars of one x are stacked; else they are side by side.")
    points: list[Point] = Field(default_factory=list, description="line, bar and scatter: the points.")
    boxes: list[Box] = Field(default_factory=list, description="box: the boxes.")
    vega_lite: dict[str, Any] = Field(description="The chart as a Vega-Lite specification with its data.")


class DatasetEntry(BaseModel):
    """One data set."""

    name: str = Field(description="Its name in tools and in SQL.")
    description: str = Field(description="What the data are.")
    format: str = Field(description="The file's format.")
    source: str = Field(description="The file as configured, or the plugin that contains it.")
    schema_uri: str = Field(description="The resource with its columns.")
    sample_uri: str = Field(description="The resource with its first rows.")
    sample_rows: int = Field(description="Most rows that this resource returns, with ?rows=N.")
    aggregate_uri: str = Field(description="The resource with figures from all its rows, for other plugins.")
    warnings: list[str] = Field(description="What is not certain about it. It is known when it has been used once.")


class DatasetSchema(BaseModel):
    """The columns of a data set."""

    dataset: str = Field(description="The data set.")
    rows: int = Field(description="Rows in it.")
    warnings: list[str] = Field(description="What was decided when the file was read, and is not certain.")
    columns: list[ColumnType] = Field(description="Its columns, in the file's order.")


class Sample(BaseModel):
    """The first rows of a data set."""

    dataset: str = Field(description="The data set.")
    columns: list[str] = Field(description="The names of its columns.")
    rows: list[list[Any]] = Field(description="The rows, each in the order of the columns.")
