"""The results of the tools as pydantic models. A client sees them as output schemas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from mcp_plugin_stats.values import Scalar

Operation = Literal["count", "sum", "mean", "median", "min", "max", "variance", "stdev", "quantiles"]
Aggregate = Literal["count", "sum", "mean", "median", "min", "max", "variance", "stdev"]
Method = Literal["pearson", "spearman"]


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
