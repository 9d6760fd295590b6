"""The output schema of a tool, from its return annotation, and the check of its results."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import enum
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Never,
    NoReturn,
    NotRequired,
    Required,
    Union,
    cast,
    get_args,
    get_origin,
)

import mcp.types as types
from mcp.server.mcpserver.utilities.func_metadata import StrictJsonSchema
from mcp.server.mcpserver.utilities.types import Audio, Image
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model
from pydantic_core import PydanticSerializationError
from typing_extensions import ReadOnly, TypedDict, get_type_hints, is_typeddict
from typing_inspection.introspection import is_union_origin

from mcp_host.catalog.jsonschemas import SchemaMaker, refuse_unfit, validator_of
from mcp_host.catalog.signatures import Function, no_schema
from mcp_host.catalog.sizes import runs_code
from mcp_host.errors import HostError, text_of, wrapped


@dataclass(frozen=True)
class PythonOutput:
    """The output of a tool by its return annotation. Results are checked, and their JSON has the names of aliases."""

    adapter: TypeAdapter[Any]
    schema: dict[str, Any]
    wrapped: bool
    runs_code: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs_code", runs_code(self.adapter.core_schema))

    def structured(self, result: Any, drained: Callable[[Any], Any]) -> dict[str, Any]:
        """Return the structured content, which conforms to the schema (spec: Tools, Structured Content)."""
        given = {"result": result} if self.wrapped else result
        # Pydantic reads an `Iterable` when it is dumped, not when it is validated.
        validated = drained(self.adapter.validate_python(given, by_alias=True, by_name=True))
        try:
            return self._dumped(validated, warnings="error")
        except PydanticSerializationError as error:
            if not str(error).startswith("Pydantic serializer warnings"):
                raise
        # A value has another type than declared. Its JSON may conform nevertheless.
        dumped = self._dumped(validated, warnings=False)
        refuse_unfit(validator_of(self.schema), dumped)
        return dumped

    def _dumped(self, validated: Any, warnings: bool | Literal["error"]) -> dict[str, Any]:
        if isinstance(validated, BaseModel) and self.schema.get("additionalProperties") is not False:
            # The instance dumps itself, so that a subclass keeps its own fields.
            return validated.model_dump(mode="json", by_alias=True, warnings=warnings, fallback=str)
        dumped = self.adapter.dump_python(validated, mode="json", by_alias=True, warnings=warnings, fallback=str)
        return cast("dict[str, Any]", dumped)


_NOTES: tuple[Literal["default", "title", "description"], ...] = ("default", "title", "description")


class _OutputSchema(SchemaMaker, StrictJsonSchema):
    """Makes the schemas of results as serializers return them."""

    def default_schema(self, schema: Any) -> dict[str, Any]:
        # Pydantic neither checks a default nor warns when it dumps None: `x: str = None` is often null.
        described = super().default_schema(schema)
        if schema.get("default", ...) is not None or schema["schema"]["type"] in ("nullable", "any", "none"):
            return described
        annotations: dict[str, Any] = {key: described.pop(key) for key in _NOTES if key in described}
        return {"anyOf": [described, {"type": "null"}], **annotations}

    def ser_schema(self, schema: Any) -> dict[str, Any] | None:
        # Without a return annotation, the function may return anything.
        if schema["type"] in ("function-plain", "function-wrap") and "return_schema" not in schema:
            return {}
        return super().ser_schema(schema)


def output_of(function: Function, structured: bool | None) -> tuple[PythonOutput | None, tuple[str, ...]]:
    """Return the output of a tool, or None and warnings that give the reason.

    The schema describes results as they are sent: pydantic's serialization mode, with aliases. If its root is not an
    object, results are wrapped in `result`.

    Raises:
        HostError: The author requires structured output, but no schema can be made.
    """
    if structured is False:
        return None, ()
    try:
        annotation = _data_of(function.signature.return_annotation, content=structured is True)
        output = None if annotation is _NO_DATA else _python_output(function.name, annotation)
    except Exception as error:
        # Pydantic and the code of annotations may raise anything for a type that is not data.
        if structured:
            raise wrapped(error, "its return annotation has no JSON Schema") from error
        return None, (no_schema(f"none can be made from its return annotation ({text_of(error)})"),)
    if output is None and structured:
        raise HostError("its return annotation has no data for structured output")
    return output, ()


_NO_DATA: Any = object()
"""Stands for a return annotation without structured output: content blocks, or no annotation."""

_CONTENT = (*get_args(types.ContentBlock), Image, Audio)
_UNTYPED = (dict, list, tuple, set, frozenset, object)


def _data_of(annotation: Any, *, content: bool) -> Any:
    """Return the part of a return annotation that is data. With `content`, content blocks are data, too."""
    if annotation is inspect.Signature.empty:
        return _NO_DATA
    if _is_class(annotation, types.InputRequiredResult):
        return _NO_DATA
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is not None and not arguments:
        annotation = origin  # `typing.Dict` is `dict`.
    if origin is Annotated:
        if _is_class(arguments[0], types.CallToolResult):
            # The author makes the result. The annotation has the type of its structured content.
            return Annotated[arguments[1:]] if len(arguments) > 2 else arguments[1]
        if _data_of(arguments[0], content=content) is _NO_DATA:
            return _NO_DATA
        return annotation
    if is_union_origin(origin):
        arms = tuple(arm for arm in arguments if not _is_class(arm, types.InputRequiredResult))
        if any(_is_class(arm, types.CallToolResult) for arm in arms) or (not content and any(map(_is_content, arms))):
            return _NO_DATA
        if len(arms) < len(arguments):
            return _data_of(Union[arms], content=content)  # noqa: UP007 - there is no other way to write it
        return annotation
    if _is_class(annotation, types.CallToolResult) or annotation in _UNTYPED:
        return _NO_DATA
    return _NO_DATA if not content and _is_content(annotation) else annotation


def _is_class(annotation: Any, kind: type) -> bool:
    return isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, kind)


def _is_content(annotation: Any) -> bool:
    """Return whether a type is a content block, or a list or union with one."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_content(get_args(annotation)[0])
    if is_union_origin(origin) or origin in (list, tuple, Sequence):
        return any(_is_content(argument) for argument in get_args(annotation))
    return _is_class(annotation, _CONTENT)  # type: ignore[arg-type]


def _python_output(name: str, annotation: Any) -> PythonOutput:
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    kind = get_origin(bare) or bare
    if bare in _NEVER or (isinstance(kind, type) and issubclass(kind, _NOT_DATA)):
        raise TypeError(f"{getattr(kind, '__name__', kind)} is not a type of data")
    annotation = _model_of(bare) if _is_plain_class(bare) else _readable(annotation)
    adapter = TypeAdapter(annotation)
    schema = _schema_of(adapter)
    if schema.get("type") == "object" and _is_object(bare, kind):
        return PythonOutput(adapter, schema, wrapped=False)
    adapter = TypeAdapter(create_model(f"{name}Output", result=(annotation, ...)))
    return PythonOutput(adapter, _schema_of(adapter), wrapped=True)


_NEVER: tuple[Any, ...] = (NoReturn, Never)
_NOT_DATA = (Iterator, AsyncIterator, Awaitable, concurrent.futures.Future)


def _is_object(bare: Any, kind: Any) -> bool:
    """Return whether results are objects with keys that the author has named, or with text keys."""
    if kind is dict:
        return get_args(bare)[0] is str
    return (
        bool(is_typeddict(kind))
        or dataclasses.is_dataclass(kind)
        or _is_class(kind, BaseModel)
        or _is_plain_class(kind)
    )


def _is_plain_class(kind: Any) -> bool:
    """Return whether it is an ordinary class with annotated attributes."""
    return (
        isinstance(kind, type)
        and kind.__module__ not in sys.stdlib_module_names
        and not issubclass(kind, (BaseModel, enum.Enum, tuple, list, dict, set, frozenset, str, bytes, int, float))
        and not is_typeddict(kind)
        and not dataclasses.is_dataclass(kind)
        and not hasattr(kind, "__get_pydantic_core_schema__")
        and bool(get_type_hints(kind))
    )


def _model_of(kind: type[Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if not name.startswith("_") and not _is_class_variable(hint):
            fields[name] = (hint, getattr(kind, name, ...))
    return create_model(kind.__name__, __config__=ConfigDict(from_attributes=True), **fields)


def _is_class_variable(hint: Any) -> bool:
    origin: Any = get_origin(hint)
    return origin is ClassVar


def _readable(annotation: Any) -> Any:
    """Replace `typing.TypedDict` by that of `typing_extensions`: pydantic refuses it before Python 3.12."""
    if sys.version_info >= (3, 12):
        return annotation
    if is_typeddict(annotation):
        hints = {name: _unmarked(hint) for name, hint in get_type_hints(annotation, include_extras=True).items()}
        items = {name: _readable(hint) for name, hint in hints.items()}
        if items == hints and type(annotation).__module__ != "typing":
            return annotation
        required = annotation.__required_keys__
        marked = {name: item if name in required else NotRequired[item] for name, item in items.items()}
        made: Any = TypedDict(annotation.__name__, marked)  # type: ignore[misc]
        made.__doc__ = annotation.__doc__
        return made
    arguments = get_args(annotation)
    readable = tuple(map(_readable, arguments))
    if readable == arguments:
        return annotation
    origin: Any = get_origin(annotation)
    return Union[readable] if is_union_origin(origin) else origin[readable]  # noqa: UP007


def _unmarked(hint: Any) -> Any:
    while get_origin(hint) in (Required, NotRequired, ReadOnly):
        (hint,) = get_args(hint)
    return hint


def _schema_of(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    schema = adapter.json_schema(mode="serialization", schema_generator=_OutputSchema)
    ref = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    # The root of a model that refers to itself is among the definitions. The protocol requires `type` at the root.
    return {**schema["$defs"][ref], **{k: v for k, v in schema.items() if k != "$ref"}} if ref else schema
