"""The arguments of a Python function: their JSON Schema, and the check of what a caller sent."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from mcp_host.catalog.jsonschemas import SchemaMaker
from mcp_host.catalog.sizes import measure, runs_code
from mcp_host.errors import BadArgumentsError, describe_validation, did_you_mean


class Arguments:
    """The parameters of one function as a pydantic model.

    The model's fields are numbered, so a parameter may have any name, also one that pydantic uses (`model_config`,
    `schema`, `copy`). Callers use the parameter's alias if it has one, otherwise its name. `depth` is the deepest
    nesting of JSON inside a text.
    """

    def __init__(self, function: str, parameters: Sequence[inspect.Parameter], *, depth: int) -> None:
        self._parameters = {f"p{number}": parameter.name for number, parameter in enumerate(parameters)}
        fields: dict[str, Any] = {
            field: _field(parameter) for field, parameter in zip(self._parameters, parameters, strict=True)
        }
        self._model: type[BaseModel] = create_model(
            f"{function}Arguments", __config__=ConfigDict(arbitrary_types_allowed=True), **fields
        )
        self._depth = depth
        self.schema: dict[str, Any] = self._model.model_json_schema(by_alias=True, schema_generator=SchemaMaker)
        self.names: Collection[str] = tuple(self.schema.get("properties", {}))
        self.required: frozenset[str] = frozenset(self.schema.get("required", ()))
        self.runs_code = runs_code(self._model.__pydantic_core_schema__)
        """Whether the validation calls functions of the author."""

    def validate(self, given: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Return the function's keyword arguments. Names that it does not take are ignored.

        Models often send JSON inside a text instead of a list or an object. Such a text is read as JSON, but only if
        the text itself does not fit.

        Raises:
            BadArgumentsError: They do not fit. The text names `what` and the fields, and repeats no value.
        """
        try:
            return self._validated(given)
        except ValidationError as error:
            unfit = {str(detail["loc"][0]) for detail in _details(error) if detail["loc"]}
            parsed = with_json_read(given, unfit, self._depth)
            if parsed is not None:
                try:
                    return self._validated(parsed)
                except ValidationError:
                    pass  # The first error is about what the caller sent.
            lines = [describe_validation(error)]
            # An unknown name is ignored if the rest fits. Here it is probably the cause.
            lines += [
                f"there is no argument {name!r}{did_you_mean(name, self.names)}"
                for name in given
                if name not in self.names
            ]
            raise BadArgumentsError(f"Invalid arguments for {what}: {'; '.join(lines)}") from None

    def _validated(self, given: Mapping[str, Any]) -> dict[str, Any]:
        model = self._model.__pydantic_validator__.validate_python(dict(given))
        values = model.__dict__
        return {parameter: values[field] for field, parameter in self._parameters.items()}


def _field(parameter: inspect.Parameter) -> Any:
    """Return a pydantic field definition. An alias in the author's `Field` replaces the parameter's name."""
    named = Field(alias=parameter.name)
    if parameter.annotation is parameter.empty:
        annotation: Any = Annotated[Any, WithJsonSchema({"title": parameter.name, "type": "string"}), named]
    elif get_origin(parameter.annotation) is Annotated:
        inner, *metadata = get_args(parameter.annotation)
        annotation = Annotated[(inner, named, *metadata)]
    else:
        annotation = Annotated[parameter.annotation, named]
    return annotation if parameter.default is parameter.empty else (annotation, parameter.default)


def with_json_read(given: Mapping[str, Any], names: Collection[str], depth: int) -> dict[str, Any] | None:
    """Return the arguments with the texts of these names read as JSON, or None if no text is JSON.

    JSON that is only a text is not read, and JSON that is nested deeper than `depth` is not, either.
    """
    read: dict[str, Any] = {}
    for name in names:
        text = given.get(name)
        if not isinstance(text, str):
            continue
        try:
            value = pydantic_core.from_json(text, allow_inf_nan=False)
        except ValueError:
            continue
        if not isinstance(value, str) and measure(value, 2 * len(text) + 1024, depth).depth <= depth:
            read[name] = value
    return {**given, **read} if read else None


def _details(error: ValidationError) -> Sequence[Any]:
    return error.errors(include_url=False, include_input=False, include_context=False)
