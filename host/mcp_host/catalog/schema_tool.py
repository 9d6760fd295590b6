"""Serves a tool that has a JSON Schema, and a handler that takes all arguments as one mapping."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pydantic_core
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from mcp.server.mcpserver import Context as SDKContext

from mcp_host.api import SchemaTool
from mcp_host.catalog.arguments import with_json_read
from mcp_host.catalog.implementations import ToolBody
from mcp_host.catalog.jsonschemas import refuse_unfit, validator_of
from mcp_host.catalog.python_function import Compartment
from mcp_host.catalog.results import Converter, ToolResult
from mcp_host.catalog.signatures import Function
from mcp_host.catalog.sizes import Size, measure
from mcp_host.errors import BadArgumentsError, did_you_mean
from mcp_host.plugins.plugin import LoadedPlugin

_CHEAP = 4096
"""The most bytes of arguments that are checked in the event loop. Larger ones are checked in a thread."""

_MOST_FAULTS = 10
"""The most faults of one call's arguments that its error names."""


def schema_tool(plugin: LoadedPlugin, name: str, tool: SchemaTool) -> ToolBody:
    """Return a tool that checks its arguments by the schema and passes them to the handler."""
    handler = tool.handler
    arguments = SchemaArguments(tool.input_schema, plugin.limits.argument_depth)
    output = SchemaOutput.of(tool.output_schema) if tool.output_schema is not None else None
    target = handler if inspect.isroutine(handler) else getattr(handler, "__call__", handler)  # noqa: B004
    is_async = inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)
    function = Function(lambda call: handler(*call), name, "", inspect.Signature(), is_async)
    compartment = Compartment(
        function,
        plugin.bulkhead,
        Converter(f"tool {name}", plugin),
        output_runs_code=output is not None and output.runs_code,
    )

    def finish(result: Any, measured: Size | None) -> ToolResult:
        return compartment.converter.tool_result(result, output, measured)

    async def run(given: Mapping[str, Any], context: SDKContext[Any, Any]) -> ToolResult:
        check = functools.partial(arguments.validate, given, f"tool {name}")
        checked = check() if arguments.are_cheap(given) else await plugin.bulkhead.call_in_thread(check)
        return cast("ToolResult", await compartment.run({"call": (checked, context)}, {}, finish))

    doc = inspect.getdoc(handler) if inspect.isroutine(handler) else None
    return ToolBody(run, doc or "", dict(tool.input_schema), output.schema if output else None)


class SchemaArguments:
    """Checks arguments with a JSON Schema. `depth` is the deepest nesting of JSON inside a text.

    References are looked up only inside the schema, and nothing is fetched.
    """

    def __init__(self, schema: Mapping[str, Any], depth: int) -> None:
        self._validator = validator_of(schema)
        self._has_patterns = _has_patterns(schema)
        self._known = list(schema["properties"]) if isinstance(schema.get("properties"), Mapping) else []
        self._depth = depth

    def are_cheap(self, given: Mapping[str, Any]) -> bool:
        """Return whether the check takes so little time that it can run in the event loop."""
        return not self._has_patterns and measure(given, _CHEAP).size <= _CHEAP

    def validate(self, given: Mapping[str, Any], what: str) -> Mapping[str, Any]:
        """Return the arguments. A text that does not fit is read as JSON if that fits.

        Raises:
            BadArgumentsError: They do not fit. The text names the fields and repeats no value.
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
    """Checks structured content with a JSON Schema.

    A large result takes long, so the check always runs in a thread of the plugin (`runs_code`).
    """

    schema: dict[str, Any]
    wrapped: bool
    validator: Validator
    runs_code: bool = True

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> SchemaOutput:
        """Wrap results in `result` if the root is not an object: clients of the handshake versions need an object."""
        wrapped = schema.get("type") != "object"
        used = dict(schema)
        if wrapped:
            dialect = {"$schema": used.pop("$schema")} if "$schema" in used else {}
            inner = used if "$id" in used else _moved(used)
            used = {**dialect, "type": "object", "properties": {"result": inner}, "required": ["result"]}
        return cls(used, wrapped, validator_of(used))

    def structured(self, result: Any, drained: Callable[[Any], Any]) -> dict[str, Any]:
        """Return the result as JSON's types.

        Raises:
            ValueError: It does not conform to the schema.
        """
        made = pydantic_core.to_jsonable_python({"result": result} if self.wrapped else result, fallback=str)
        refuse_unfit(self.validator, made)
        return cast("dict[str, Any]", made)


def _moved(schema: Any) -> Any:
    """Return the schema with references that are right when it is below `result`."""
    if isinstance(schema, Mapping):
        return {key: _reference(value) if key == "$ref" else _moved(value) for key, value in schema.items()}
    return [_moved(part) for part in schema] if isinstance(schema, list) else schema


def _reference(value: Any) -> Any:
    inside = isinstance(value, str) and (value == "#" or value.startswith("#/"))
    return f"#/properties/result{value[1:]}" if inside else _moved(value)


def _has_patterns(schema: Any) -> bool:
    """Return whether it has regular expressions, which may take long even for a short text."""
    if isinstance(schema, Mapping):
        return any(key in ("pattern", "patternProperties") or _has_patterns(part) for key, part in schema.items())
    return isinstance(schema, list) and any(map(_has_patterns, schema))
