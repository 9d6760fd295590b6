"""Reads an author's callable: its name, its documentation, and its signature with evaluated annotations."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from typing_extensions import get_type_hints

from mcp_host.errors import HostError, text_of, wrapped


@dataclass(frozen=True)
class Function:
    """A callable and what the host knows about it.

    `signature` has evaluated annotations and no parameter that a `functools.partial` has bound by name. `warnings` are
    for its author.
    """

    call: Callable[..., Any]
    name: str
    doc: str
    signature: inspect.Signature
    is_async: bool
    warnings: tuple[str, ...] = ()


def function_name(fn: Callable[..., Any]) -> str:
    """Return the name of a function. For another callable, return the name of its class in snake_case."""
    inner: Any = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    return getattr(inner, "__name__", None) or _snake(type(inner).__name__)


def inspect_function(fn: Callable[..., Any]) -> Function:
    """Read a function, bound method, `functools.partial` or callable object.

    Raises:
        HostError: It has no readable signature, an annotation of a parameter that cannot be evaluated, or parameters
            that cannot be passed by name.
    """
    bound: set[str] = set()
    inner: Any = fn
    while isinstance(inner, functools.partial):
        bound |= set(inner.keywords)
        inner = inner.func
    name = function_name(fn)
    is_function = inspect.isroutine(inner) or inspect.isclass(inner)
    target = inner if is_function else getattr(inner, "__call__", inner)  # noqa: B004 - its kind is asked, not whether
    signature, warnings = _signature(fn, target, name)
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise HostError(
                f"parameter {str(parameter).partition(':')[0]!r} of {name} cannot be passed by name",
                hint="declare parameters that have a name of their own, without *, ** or /",
            )
        if parameter.name not in bound:
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
    # getdoc(object.__call__) would find the docstring of `type.__call__` where the author wrote none.
    doc = inspect.getdoc(inner) if is_function else inspect.cleandoc(target.__doc__ or "") or inspect.getdoc(inner)
    return Function(
        call=fn,
        name=name,
        doc=doc or "",
        signature=signature.replace(parameters=parameters),
        is_async=inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target),
        warnings=warnings,
    )


def _signature(fn: Callable[..., Any], target: Any, name: str) -> tuple[inspect.Signature, tuple[str, ...]]:
    """Return the signature with evaluated annotations, also the names inside them (`list["Point"]`), and warnings.

    A return annotation that cannot be evaluated is left out with a warning, because only the output schema needs it.
    """
    names = getattr(inspect.unwrap(target), "__globals__", {})
    warnings: tuple[str, ...] = ()
    try:
        signature = inspect.signature(fn, eval_str=True)
        hints = _hints(signature, names)
    except Exception as error:
        try:
            signature = _without_return(fn, names)
            hints = _hints(signature, names)
        except Exception:
            raise _unreadable(name, error) from error
        warnings = (no_schema(f"its return annotation cannot be evaluated ({text_of(error)})"),)
    evaluated = signature.replace(
        parameters=[
            parameter.replace(annotation=hints.get(parameter.name, parameter.annotation))
            for parameter in signature.parameters.values()
        ],
        return_annotation=hints.get("return", signature.return_annotation),
    )
    return evaluated, warnings


def _unreadable(name: str, error: Exception) -> HostError:
    if isinstance(error, NameError):
        return HostError(
            f"the annotations of {name} cannot be evaluated: {error}",
            hint="import what they name at the top of the module, not under TYPE_CHECKING",
        )
    return wrapped(error, f"{name} has no readable signature")


def _hints(signature: inspect.Signature, names: Mapping[str, Any]) -> Mapping[str, Any]:
    given = {
        parameter.name: parameter.annotation
        for parameter in signature.parameters.values()
        if parameter.annotation is not parameter.empty and parameter.annotation is not None
    }
    if signature.return_annotation is not signature.empty and signature.return_annotation is not None:
        given["return"] = signature.return_annotation
    return get_type_hints(SimpleNamespace(__annotations__=given), globalns=dict(names), include_extras=True)


def _without_return(fn: Callable[..., Any], names: Mapping[str, Any]) -> inspect.Signature:
    """Return the signature without its return annotation, which cannot be evaluated."""
    signature = inspect.signature(fn)
    parameters = [
        parameter.replace(annotation=eval(parameter.annotation, dict(names)))
        if isinstance(parameter.annotation, str)
        else parameter
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)


def no_schema(why: str) -> str:
    """Return the warning about a tool that is served without an output schema."""
    return f"there is no output schema, because {why}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
