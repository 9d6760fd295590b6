"""JSON Schema: validators that never fetch anything, and the check of schemas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import PydanticSerializationError
from referencing import Registry, Resource, Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

from mcp_host.errors import HostError


class SchemaMaker(GenerateJsonSchema):
    """Makes the schemas of pydantic's types, without the defaults that JSON cannot express."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, float) and not math.isfinite(dft):
            raise PydanticSerializationError("JSON has no such number")  # Pydantic writes null.
        return super().encode_default(dft)

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        if kind != "non-serializable-default":
            super().emit_warning(kind, detail)


def validator_of(schema: Mapping[str, Any]) -> Validator:
    """Return a validator of the schema's own draft. References are looked up only inside the schema."""
    return _kind_of(schema)(schema, registry=Registry())


def refuse_unfit(validator: Validator, made: Any) -> None:
    """Check a result against its output schema.

    Raises:
        ValueError: It does not conform. The text may repeat a value, so it is for the log.
    """
    fault = best_match(validator.iter_errors(made))
    if fault is not None:
        path = ".".join(str(part) for part in fault.absolute_path) or "its root"
        raise ValueError(f"the result does not conform to the output schema at {path}: {fault.message}")


def refuse_bad_schema(what: str, schema: Mapping[str, Any]) -> None:
    """Check that a schema is JSON Schema, and that it has the target of each of its references.

    Raises:
        HostError: Something is wrong with it. The text begins with `what`.
    """
    # The whole check takes several milliseconds, and most schemas have only common keywords.
    fault = None if _is_plain(schema) else best_match(_meta_validator(_kind_of(schema)).iter_errors(schema))
    if fault is not None:
        path = ".".join(str(part) for part in fault.absolute_path)
        raise HostError(f"{what} is not JSON Schema: {path + ': ' if path else ''}{fault.message}")
    _look_up_references(what, schema)


def _kind_of(schema: Mapping[str, Any]) -> type[Validator]:
    named = schema.get("$schema")
    known = {"$schema": named} if isinstance(named, str) else {}
    return validator_for(known, default=Draft202012Validator)


_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_TEXTS = frozenset({"$ref", "title", "description", "format"})
_COUNTS = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})


def _is_plain(schema: object) -> bool:
    """Return whether it has only common keywords, with values that each draft since 6 allows."""
    if isinstance(schema, bool):
        return True
    return isinstance(schema, dict) and all(_is_plain_keyword(key, value) for key, value in schema.items())


def _is_plain_keyword(key: object, value: Any) -> bool:
    match key:
        case "type":
            return isinstance(value, str) and value in _TYPES
        case "default" | "const":
            return True
        case "properties" | "$defs":
            return isinstance(value, dict) and all(map(_is_plain, value.values()))
        case "items" | "additionalProperties":
            return _is_plain(value)
        case "anyOf" | "oneOf" | "allOf":
            return isinstance(value, list) and bool(value) and all(map(_is_plain, value))
        case "required":
            names = value if isinstance(value, list) else [None]
            return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        case "enum":
            return isinstance(value, list)
    if key in _TEXTS:
        return isinstance(value, str)
    if key in _COUNTS:
        return type(value) is int and value >= 0
    return key in _NUMBERS and type(value) in (int, float)


@cache
def _meta_validator(kind: type[Validator]) -> Validator:
    return kind(kind.META_SCHEMA)


def _look_up_references(what: str, schema: Mapping[str, Any]) -> None:
    specification: Specification[Any] = specification_with(str(schema.get("$schema", "")), default=DRAFT202012)
    root: Resource[Any] = specification.create_resource(schema)
    outer = Registry().resolver_with_root(root)
    for part, resolver in _parts(root, outer):
        for keyword in ("$ref", "$dynamicRef"):
            reference = part.get(keyword) if isinstance(part, Mapping) else None
            if isinstance(reference, str):
                try:
                    circular = _is_circular(reference, resolver)
                except Unresolvable as error:
                    raise HostError(f"{what} refers to {reference!r}, which is not in it") from error
                if circular:
                    raise HostError(f"{what} has the reference {reference!r}, which leads back to itself")


def _parts(resource: Resource[Any], resolver: Any) -> Iterator[tuple[Any, Any]]:
    yield resource.contents, resolver
    for inner in resource.subresources():
        yield from _parts(inner, resolver.in_subresource(inner))


def _is_circular(reference: str, resolver: Any) -> bool:
    """Return whether the reference leads only to further references, without an end."""
    passed: set[int] = set()
    found: Any = {"$ref": reference}
    while isinstance(found, Mapping) and isinstance(found.get("$ref"), str):
        resolved = resolver.lookup(found["$ref"])
        found, resolver = resolved.contents, resolved.resolver
        if id(found) in passed:
            return True
        passed.add(id(found))
    return False
