"""Serves a tool that is described by a JSON Schema and run by a handler that takes all arguments as one mapping."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pydantic_core
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from mcp.server.mcpserver import Context as SDKContext
from referencing import Registry
from referencing.exceptions import Unresolvable

from mcp_host.api import SchemaTool
from mcp_host.catalog.arguments import with_json_read
from mcp_host.catalog.implementations import ToolBody
from mcp_host.catalog.python_function import Compartment
from mcp_host.catalog.results import Converter, ToolResult
from mcp_host.catalog.signatures import Function
from mcp_host.catalog.sizes import Size
from mcp_host.errors import BadArgumentsError, HostError, did_you_mean
from mcp_host.plugins.plugin import LoadedPlugin

_MOST_FAULTS = 10
"""Faults of one call's arguments that its error names."""


def schema_tool(plugin: LoadedPlugin, name: str, tool: SchemaTool) -> ToolBody:
    """Return a tool that checks its arguments by the schema and passes them to the handler."""
    handler = tool.handler
    arguments = SchemaArguments(tool.input_schema, plugin.limits.argument_depth)
    output = SchemaOutput.of(tool.output_schema) if tool.output_schema is not None else None
    target = handler if inspect.isroutine(handler) else getattr(handler, "__call__", handler)  # noqa: B004
    is_async = inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)
    function = Function(lambda call: handler(*call), name, "", inspect.Signature(), is_async)
    compartment = Compartment(function, plugin.bulkhead, Converter(f"tool {name}", plugin))

    def finish(result: Any, measured: Size | None) -> ToolResult:
        return compartment.converter.tool_result(result, output, measured)

    async def run(given: Mapping[str, Any], context: SDKContext[Any, Any]) -> ToolResult:
        checked = arguments.validate(given, f"tool {name}")
        return cast("ToolResult", await compartment.run({"call": (checked, context)}, {}, finish))

    doc = inspect.getdoc(handler) if inspect.isroutine(handler) else None
    return ToolBody(run, doc or "", dict(tool.input_schema), output.schema if output else None)


class SchemaArguments:
    """Arguments that are checked by a JSON Schema; `depth` is the deepest nesting of JSON inside a text.

    References are looked up inside of the schema only, and nothing is fetched.
    """

    def __init__(self, schema: Mapping[str, Any], depth: int) -> None:
        self._validator = _validator(schema)
        self._known = list(schema["properties"]) if isinstance(schema.get("properties"), Mapping) else []
        self._depth = depth

    def validate(self, given: Mapping[str, Any], what: str) -> Mapping[str, Any]:
        """Return the arguments as they were sent; a text is read as JSON where it is not a fit value and its JSON is.

        Raises:
            BadArgumentsError: They do not fit; the text names the fields and repeats no value.
        """
        faults = list(self._validator.iter_errors(given))
        if not faults:
            return given
        unfit = {str(fault.absolute_path[0]) for fault in faults if fault.absolute_path}
        read = with_json_read(given, unfit, self._depth)
        if read is not None and self._validator.is_valid(read):
            return read
        raise BadArgumentsError(f"Invalid arguments for {what}: {'; '.join(self._texts(faults))}")

    def _texts(self, faults: Sequence[ValidationError]) -> Sequence[str]:
        return list(dict.fromkeys(self._text(fault) for fault in faults))[:_MOST_FAULTS]

    def _text(self, fault: ValidationError) -> str:
        field = ".".join(str(part) for part in fault.absolute_path) or "arguments"
        expected: Any = fault.validator_value
        match fault.validator:
            case "required":
                missing = [name for name in expected if isinstance(fault.instance, dict) and name not in fault.instance]
                return f"{field}: {', '.join(missing)} is required"
            case "additionalProperties" | "unevaluatedProperties":
                known = self._known if not fault.absolute_path else []
                instance: Any = fault.instance
                listed: Any = fault.schema
                unknown = [str(name) for name in instance if name not in listed.get("properties", {})]
                named = [f"{name!r}{did_you_mean(name, known)}" for name in unknown[:_MOST_FAULTS]]
                return f"{field}: there is no {', '.join(named)}"
            case "anyOf" | "oneOf" | "not" | "allOf" | "if" | "contains":
                return f"{field}: it does not fit {fault.validator}"
            case keyword:
                return f"{field}: {keyword} must be {pydantic_core.to_json(expected, fallback=str).decode()}"


@dataclass(frozen=True)
class SchemaOutput:
    """Structured content that is checked by a JSON Schema."""

    schema: dict[str, Any]
    wrapped: bool
    validator: Validator
    runs_code: bool = False

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> SchemaOutput:
        """Wrap results in `result` where the root is no object, as clients of the handshake versions need it."""
        wrapped = schema.get("type") != "object"
        inner = {key: value for key, value in schema.items() if key not in ("$schema", "$defs")}
        around = {key: schema[key] for key in ("$schema", "$defs") if key in schema}
        used = (
            {**around, "type": "object", "properties": {"result": inner}, "required": ["result"]}
            if wrapped
            else dict(schema)
        )
        return cls(used, wrapped, _validator(used))

    def structured(self, result: Any) -> dict[str, Any]:
        """Return the result as JSON's types.

        Raises:
            ValueError: It does not conform to the schema.
        """
        made = pydantic_core.to_jsonable_python({"result": result} if self.wrapped else result)
        fault = next(self.validator.iter_errors(made), None)
        if fault is not None:
            path = ".".join(str(part) for part in fault.absolute_path) or "its root"
            raise ValueError(f"the result does not conform to the output schema at {path}: {fault.message}")
        return cast("dict[str, Any]", made)


def _validator(schema: Mapping[str, Any]) -> Validator:
    kind = validator_for(schema, default=Draft202012Validator)
    made = kind(schema, registry=Registry())
    try:
        made.is_valid({})
    except Unresolvable as error:
        raise HostError(f"its schema refers to something that is not in it: {error}") from error
    except Exception:
        return made  # It is no schema at all: its proof says so, with the place.
    return made
