"""The parameters that several tools share, with their descriptions for the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Scalar = str | int | float | bool | None

SqlParam = Annotated[
    str,
    Field(description="One statement in the database's own SQL. Write :name for a value in `parameters`."),
]
ParametersParam = Annotated[
    dict[str, Scalar | list[Scalar]] | None,
    Field(
        description='Values by name: {"city": "Bern"} for city = :city; a list for IN :name. Dates and JSON as text.'
    ),
]
TableParam = Annotated[str, Field(description="Name of the table, as in list_tables; some are schema.table.")]
DatabaseParam = Annotated[str, Field(description="Which database, if there are several; default: the first.")]
