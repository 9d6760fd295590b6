"""The forms that a plugin asks a client to fill in, and the error for an answer that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ElicitResult
from pydantic import BaseModel, ValidationError

from mcp_host.errors import LONGEST_TEXT, describe_validation

DOES_NOT_FIT = "The client's answer does not fit the form"


class AnswerError(ToolError, ValueError):
    """The client's answer cannot be used. This is not a failure of the plugin.

    The text is for the caller: it names what does not fit and repeats no value. The class is a `ValueError` because
    the SDK raises one for such an answer, and a plugin may already catch it.
    """


def unfit(what: str, error: ValidationError) -> AnswerError:
    """Return the error for an answer that a model refused."""
    return AnswerError(f"{what}: {describe_validation(error)}"[:LONGEST_TEXT])


class Form:
    """A model whose schema has the shape that the protocol allows for a form.

    pydantic writes an enum as a reference to its definition, and a single choice as a constant. The protocol allows
    neither, only lists of choices. A `Form` has the methods of a model that the SDK calls.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model

    @classmethod
    def of(cls, schema: type[BaseModel] | Form) -> Form:
        """Return the form of a model, or the form itself."""
        return schema if isinstance(schema, Form) else cls(schema)

    def model_json_schema(self, **options: Any) -> dict[str, Any]:
        """Return the model's schema with all definitions in place."""
        schema = self.model.model_json_schema(**options)
        definitions = schema.pop("$defs", {})
        fields = schema.get("properties", {})
        return {**schema, "properties": {name: _in_place(field, definitions) for name, field in fields.items()}}

    def model_validate(self, content: object) -> BaseModel:
        """Return the model's instance.

        Raises:
            AnswerError: The content does not fit.
        """
        try:
            return self.model.model_validate(content)
        except ValidationError as error:
            raise unfit(DOES_NOT_FIT, error) from error


def content_of(result: ElicitResult) -> dict[str, Any]:
    """Return the content of an accepted form.

    Raises:
        AnswerError: There is no content.
    """
    if result.content is None:
        raise AnswerError("The client accepted the form but sent no content")
    return dict(result.content)


def _in_place(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a field's schema with the definition it refers to, under the field's own name."""
    field = dict(schema)
    name = str(field.get("$ref", "")).removeprefix("#/$defs/")
    if name in definitions:
        del field["$ref"]
        others = {key: value for key, value in definitions.items() if key != name}
        target = _in_place(definitions[name], others)
        target.pop("title", None)
        field = {**target, **field}
    if isinstance(field.get("items"), Mapping):
        field["items"] = _in_place(field["items"], definitions)
    if isinstance(field.get("const"), str):
        field["enum"] = [field.pop("const")]
    return field
