"""Whether a schema that a plugin advertises is JSON Schema 2020-12 (SEP-1613) that clients can use as it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DATA = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are data, not schemas."""


def faults(schema: Mapping[str, Any], *, of_arguments: bool) -> Iterator[str]:
    """Yield what is wrong with a schema. One of arguments describes an object (spec: Tool.inputSchema)."""
    dialect = schema.get("$schema", _DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") != _DIALECT:
        yield f"$schema says {dialect!r}, not JSON Schema 2020-12"
    try:
        # Formats are left out: `regex` would be Python's, and the specification's is ECMA-262.
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        where = "".join(f"[{part!r}]" for part in error.absolute_path)
        yield f"{error.message}{f' at {where}' if where else ''}"
        return
    if of_arguments and schema.get("type") != "object":
        yield f"its type is {schema.get('type')!r}, not 'object'"
    anchors = {value for key, value in _keywords(schema) if key in ("$anchor", "$dynamicAnchor")}
    for reference in sorted({value for key, value in _keywords(schema) if key in ("$ref", "$dynamicRef")}):
        if not reference.startswith("#"):
            yield f"$ref {reference!r} leads out of the schema, where clients do not go"
        elif reference[1:] not in anchors and not _leads_somewhere(schema, reference[1:]):
            yield f"$ref {reference!r} leads nowhere"


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if isinstance(value, str):
                yield key, value
            elif key not in _DATA:
                yield from _keywords(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _keywords(value)


def _leads_somewhere(schema: Any, pointer: str) -> bool:
    """Follow a JSON Pointer (RFC 6901)."""
    if pointer and not pointer.startswith("/"):
        return False
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, Mapping) and key in schema:
            schema = schema[key]
        elif isinstance(schema, list) and key.isdecimal() and int(key) < len(schema):
            schema = schema[int(key)]
        else:
            return False
    return True
