"""JSON Schema: validators that never fetch anything, and what is wrong with a schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource, Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

from mcp_host.errors import HostError


def validator_of(schema: Mapping[str, Any]) -> Validator:
    """Return a validator of the schema's own draft. References are looked up inside of the schema only."""
    return _kind_of(schema)(schema, registry=Registry())


def refuse_unfit(validator: Validator, made: object) -> None:
    """Check a result against its output schema.

    Raises:
        ValueError: It does not conform. The text is for the log: it may repeat a value.
    """
    fault = best_match(validator.iter_errors(made))
    if fault is not None:
        path = ".".join(str(part) for part in fault.absolute_path) or "its root"
        raise ValueError(f"the result does not conform to the output schema at {path}: {fault.message}")


def refuse_bad_schema(what: str, schema: Mapping[str, Any]) -> None:
    """Check that it is JSON Schema, and that each of its references is answered inside of it.

    Raises:
        HostError: It is not. The text begins with `what`.
    """
    fault = best_match(_meta_validator(_kind_of(schema)).iter_errors(schema))
    if fault is not None:
        path = ".".join(str(part) for part in fault.absolute_path)
        raise HostError(f"{what} is not JSON Schema: {path + ': ' if path else ''}{fault.message}")
    try:
        _look_up_references(schema)
    except Unresolvable as error:
        raise HostError(f"{what} refers to {error.ref!r}, which is not in it") from error


def _kind_of(schema: Mapping[str, Any]) -> type[Validator]:
    named = schema.get("$schema")
    known = {"$schema": named} if isinstance(named, str) else {}
    return validator_for(known, default=Draft202012Validator)


@cache
def _meta_validator(kind: type[Validator]) -> Validator:
    return kind(kind.META_SCHEMA)


def _look_up_references(schema: Mapping[str, Any]) -> None:
    specification: Specification[Any] = specification_with(str(schema.get("$schema", "")), default=DRAFT202012)
    root: Resource[Any] = specification.create_resource(schema)
    outer = Registry().resolver_with_root(root)
    for part, resolver in _parts(root, outer):
        for keyword in ("$ref", "$dynamicRef"):
            reference = part.get(keyword) if isinstance(part, Mapping) else None
            if isinstance(reference, str):
                _follow(reference, resolver)


def _parts(resource: Resource[Any], resolver: Any) -> Iterator[tuple[Any, Any]]:
    yield resource.contents, resolver
    for inner in resource.subresources():
        yield from _parts(inner, resolver.in_subresource(inner))


def _follow(reference: str, resolver: Any) -> None:
    """Follow a reference that leads to another one: a circle of nothing but references describes no value."""
    passed: set[int] = set()
    found: Any = {"$ref": reference}
    while isinstance(found, Mapping) and isinstance(found.get("$ref"), str):
        resolved = resolver.lookup(found["$ref"])
        found, resolver = resolved.contents, resolved.resolver
        if id(found) in passed:
            raise HostError(f"its reference {reference!r} leads back to itself")
        passed.add(id(found))
