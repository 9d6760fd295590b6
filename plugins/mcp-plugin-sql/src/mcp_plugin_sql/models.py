"""The results of the tools and resources as pydantic models. A client sees them as output schemas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

TableKind = Literal["table", "view"]


class TableEntry(BaseModel):
    """A table."""

    name: str = Field(description="Its name; schema.table if it is not in the default schema.")
    kind: TableKind = Field(description="table, or view (also for a materialized view).")
    schema_uri: str = Field(description="The resource with its columns.")
    sample_uri: str = Field(description="The resource with its first rows.")
    sample_rows: int = Field(description="Most rows that this resource returns, with ?rows=N.")
    aggregate_uri: str = Field(description="The resource with figures from all its rows, for other plugins.")


class TableName(BaseModel):
    """A table's name and kind."""

    name: str = Field(description="Its name; schema.table if it is not in the default schema.")
    kind: TableKind = Field(description="table or view.")


class Tables(BaseModel):
    """The tables of the database."""

    tables: list[TableName] = Field(description="Tables and views, sorted by name.")
    truncated: bool = Field(description="Whether there are more than are listed.")
    databases: list[str] = Field(description="The names of the databases, if there are several.")


class Column(BaseModel):
    """A column."""

    name: str = Field(description="Its name.")
    type: str = Field(description="Its type, as the database calls it.")
    nullable: bool = Field(description="Whether it may be NULL.")
    default: str | None = Field(default=None, description="The SQL expression of its default value.")
    comment: str | None = Field(default=None, description="Its comment in the database.")


class ForeignKey(BaseModel):
    """A reference to rows of another table."""

    columns: list[str] = Field(description="The columns that refer.")
    table: str = Field(description="The table they refer to.")
    to: list[str] = Field(description="Its columns.")


class Index(BaseModel):
    """An index."""

    name: str | None = Field(description="Its name.")
    columns: list[str] = Field(description="Its columns or expressions, in order.")
    unique: bool = Field(description="Whether two rows may not have the same values in them.")


class TableSchema(BaseModel):
    """The columns, keys and indexes of a table."""

    table: str = Field(description="The table.")
    kind: TableKind = Field(description="table or view.")
    comment: str | None = Field(default=None, description="Its comment in the database.")
    columns: list[Column] = Field(description="Its columns, in order.")
    primary_key: list[str] = Field(description="The columns of the primary key.")
    foreign_keys: list[ForeignKey] = Field(description="Its references to other tables.")
    indexes: list[Index] = Field(description="Its indexes and unique constraints.")


class QueryResult(BaseModel):
    """The rows of a query."""

    columns: list[str] = Field(description="The names of the columns, in order.")
    rows: list[list[Any]] = Field(description="The rows, each in the order of the columns.")
    row_count: int = Field(description="Rows listed here.")
    truncated: bool = Field(description="Whether there are more rows than are listed.")
    unseen_rows: int | None = Field(description="Rows not listed; null if there are too many to count.")
    note: str = Field(default="", description="A note about a truncated result.")


class ExecuteResult(BaseModel):
    """The result of a change."""

    rows_affected: int | None = Field(description="Rows changed; null if the database does not report it.")
    columns: list[str] = Field(description="The columns of the returned rows (RETURNING), if any.")
    rows: list[list[Any]] = Field(description="The returned rows.")
    note: str = Field(default="", description="A note about a truncated result.")


class Exported(BaseModel):
    """A file with the result of a query."""

    file: str = Field(description="Its name in the folder for exports.")
    columns: list[str] = Field(description="The names of the columns, in order.")
    rows: int = Field(description="Rows in the file.")
    bytes: int = Field(description="Its size.")
    note: str = Field(default="", description="A note about rows that were left out.")


class Plan(BaseModel):
    """How the database would run a statement."""

    plan: list[str] = Field(description="The plan, line by line, as the database shows it.")


class Sample(BaseModel):
    """The first rows of a table."""

    table: str = Field(description="The table.")
    columns: list[str] = Field(description="The names of its columns.")
    rows: list[list[Any]] = Field(description="The rows, each in the order of the columns.")
