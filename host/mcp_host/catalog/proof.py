"""Checks each item before it is served: its wire form fits every protocol version, JSON, and JSON Schema.

One item that does not fit would turn a list into an error for every client.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import mcp.types as types
import pydantic_core
from mcp.shared.inbound import find_invalid_x_mcp_header
from mcp_types import methods
from pydantic import BaseModel, ValidationError

from mcp_host.catalog.jsonschemas import refuse_bad_schema
from mcp_host.catalog.sizes import measure
from mcp_host.errors import HostError, encodable, wrapped
from mcp_host.plugins.kinds import Kind

_WireT = TypeVar("_WireT", bound=BaseModel)


def proven(kind: Kind, wire: _WireT, warn: Callable[[str], None]) -> _WireT:
    """Return the wire form in which an item can be served to clients of every protocol version.

    Text that UTF-8 cannot encode is replaced, with a warning.

    Raises:
        HostError: No form can be read by every client. The text names the field.
    """
    wire = _finite(wire, warn)
    try:
        dumped = wire.model_dump(by_alias=True, mode="json", exclude_none=True, warnings=False)
        fitting, changed = _encodable(dumped)
        # Clients read it, too, and readers of JSON have a limit of nesting.
        pydantic_core.from_json(pydantic_core.to_json(fitting))
    except Exception as error:
        raise wrapped(error, "it is not JSON") from error
    if changed:
        if fitting.get("name") != dumped.get("name") or _uri(fitting) != _uri(dumped):
            raise HostError("its name or URI has half of a surrogate pair, which UTF-8 cannot encode")
        warn("its text has half of a surrogate pair, which UTF-8 cannot encode; it is served as U+FFFD")
        wire = type(wire).model_validate(fitting)
    for version in _versions(kind.list_method):
        try:
            methods.serialize_server_result(kind.list_method, version, {**_ENVELOPE, kind.list_key: [fitting]})
        except ValidationError as error:
            raise HostError(f"clients of protocol {version} cannot read it: {_first_fault(error)}") from error
    if isinstance(wire, types.Tool):
        refuse_bad_schema("its input_schema", wire.input_schema)
        if wire.output_schema is not None:
            refuse_bad_schema("its output schema", wire.output_schema)
        reason = find_invalid_x_mcp_header(wire.input_schema)
        if reason is not None:
            raise HostError(f"it has an invalid x-mcp-header annotation: {reason}")
    return wire


_ENVELOPE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
"""Further fields of lists of 2026-07-28. The versions before ignore them."""


@cache
def _versions(method: str) -> tuple[str, ...]:
    return tuple(version for listed, version in methods.SERVER_RESULTS if listed == method)


def _uri(dumped: dict[str, Any]) -> object:
    return dumped.get("uri") or dumped.get("uriTemplate")


def _encodable(value: Any) -> tuple[Any, bool]:
    """Return the value without halves of surrogate pairs, and whether there were any."""
    if isinstance(value, str):
        fitting = encodable(value)
        return fitting, fitting != value
    if isinstance(value, list):
        items = [_encodable(item) for item in value]
        return [item for item, _ in items], any(changed for _, changed in items)
    if isinstance(value, dict):
        pairs = [(_encodable(key), _encodable(item)) for key, item in value.items()]
        return {key: item for (key, _), (item, _) in pairs}, any(a or b for (_, a), (_, b) in pairs)
    return value, False


def _finite(wire: _WireT, warn: Callable[[str], None]) -> _WireT:
    """Return the wire form without numbers that JSON does not have. Pydantic would write null for them, silently."""
    for field in ("input_schema", "output_schema", "meta"):
        value = getattr(wire, field, None)
        without = value if field == "meta" else _without_bad_defaults(value)
        if without != value:
            warn(f"its {field} has an infinite default, which JSON cannot express; it is served without that default")
            wire = wire.model_copy(update={field: without})
        if not measure(without, sys.maxsize).finite:
            raise HostError(f"its {field} has a NaN or an infinity, which JSON cannot express")
    return wire


def _without_bad_defaults(value: Any) -> Any:
    """Return a schema without each `default` that JSON cannot express, such as `float("inf")`."""
    if isinstance(value, dict):
        return {
            key: _without_bad_defaults(item)
            for key, item in value.items()
            if not (key == "default" and isinstance(item, float) and not math.isfinite(item))
        }
    return [_without_bad_defaults(item) for item in value] if isinstance(value, list) else value


def _first_fault(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # The location begins with the key of the list and the index of the item.
    return f"{'.'.join(str(part) for part in detail['loc'][2:])}: {detail['msg']}"


def object_schema(schema: dict[str, Any], warn: Callable[[str], None]) -> dict[str, Any]:
    """Return an input schema with the `type` that the protocol requires, if it has no `type`."""
    if "type" in schema:
        return schema
    warn('its input_schema has no "type", and the protocol requires "object"; it is served with it')
    return {**schema, "type": "object"}
