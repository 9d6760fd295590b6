"""The results of the tools and resources, as pydantic models: what a client sees as the output schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

TableKind = Literal["table", "view"]


class TableEntry(BaseModel):
    """A table that can be asked about."""

    name: str = Field(description="Its name; schema.table when it is not in the default schema.")
    kind: TableKind = Field(description="table, or view (a materialized one too).")
    schema_uri: str = Field(description="The resource with its columns.")
    sample_uri: str = Field(description="The resource with its first rows.")
    sample_rows: int = Field(description="Most rows that this resource gives, asked with ?rows=N.")


class TableName(BaseModel):
    """A table's name and kind."""

    name: str = Field(description="Its name; schema.table when it is not in the default schema.")
    kind: TableKind = Field(description="table or view.")


class Tables(BaseModel):
    """The tables of the database."""

    tables: list[TableName] = Field(description="Tables and views, by name.")
    truncated: bool = Field(description="Whether there are more than are listed.")


class Column(BaseModel):
    """A column."""

    name: str = Field(description="Its name.")
    type: str = Field(description="Its type, as the database calls it.")
    nullable: bool = Field(description="Whether it may be NULL.")
    default: str | None = Field(default=None, description="The SQL expression of its default value.")
    comment: str | None = Field(default=None, description="What its owner says about it.")


class ForeignKey(BaseModel):
    """A reference to rows of another table."""

    columns: list[str] = Field(description="The columns that refer.")
    table: str = Field(description="The table they refer to.")
    to: list[str] = Field(description="Its columns.")


class Index(BaseModel):
    """An index."""

    name: str | None = Field(description="Its name.")
    columns: list[str] = Field(description="Its columns or expressions, in order.")
    unique: bool = Field(description="Whether no two rows may be the same in them.")


class TableSchema(BaseModel):
    """What a table is made of."""

    table: str = Field(description="The table.")
    kind: TableKind = Field(description="table or view.")
    comment: str | None = Field(default=None, description="What its owner says about it.")
    columns: list[Column] = Field(description="Its columns, in order.")
    primary_key: list[str] = Field(description="The columns of the primary key.")
    foreign_keys: list[ForeignKey] = Field(description="What it refers to.")
    indexes: list[Index] = Field(description="Its indexes and unique constraints.")


class QueryResult(BaseModel):
    """The rows of a query."""

    columns: list[str] = Field(description="The names of the columns, in order.")
    rows: list[list[Any]] = Field(description="The rows, each in the order of the columns.")
    row_count: int = Field(description="Rows listed here.")
    truncated: bool = Field(description="Whether there are more rows than are listed.")
    unseen_rows: int | None = Field(description="Rows not listed; null when there are too many to count.")
    note: str = Field(default="", description="What to know of a truncated result.")


class ExecuteResult(BaseModel):
    """What a change did."""

    rows_affected: int | None = Field(description="Rows changed; null where the database does not say.")
    columns: list[str] = Field(description="The columns of what it returned (RETURNING), if anything.")
    rows: list[list[Any]] = Field(description="The rows it returned.")
    note: str = Field(default="", description="What to know of a truncated result.")


class Plan(BaseModel):
    """How the database would run a statement."""

    plan: list[str] = Field(description="The plan, line by line, as the database shows it.")


class Sample(BaseModel):
    """The first rows of a table."""

    table: str = Field(description="The table.")
    columns: list[str] = Field(description="The names of its columns.")
    rows: list[list[Any]] = Field(description="The rows, each in the order of the columns.")
