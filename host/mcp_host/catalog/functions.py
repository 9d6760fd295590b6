"""Turns whatever callable an author gives into one async function with a name, a doc and an evaluated signature."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from typing_extensions import get_type_hints

from mcp_host.errors import HostError, text_of
from mcp_host.plugins.bulkhead import Bulkhead


@dataclass(frozen=True)
class Function:
    """A callable as the host sees it.

    `signature` has evaluated annotations and no parameter that a `functools.partial` has bound by name.
    """

    call: Callable[..., Any]
    name: str
    doc: str
    signature: inspect.Signature
    is_async: bool


def function_name(fn: Callable[..., Any]) -> str:
    """Return the name an author gave a callable: a function's own, or that of an object's class in snake_case."""
    inner = _unwrapped(fn)
    return getattr(inner, "__name__", None) or _snake(type(inner).__name__)


def inspect_function(fn: Callable[..., Any]) -> Function:
    """Read a function, bound method, `functools.partial` or callable object.

    Raises:
        HostError: It is an async generator, has no readable signature, an annotation that cannot be evaluated, or
            parameters that cannot be passed by name.
    """
    bound: set[str] = set()
    inner: Any = fn
    while isinstance(inner, functools.partial):
        bound |= set(inner.keywords)
        inner = inner.func
    name = function_name(fn)
    is_function = inspect.isroutine(inner) or inspect.isclass(inner)
    target = inner if is_function else getattr(inner, "__call__", inner)  # noqa: B004 - its kind is asked, not whether
    if inspect.isasyncgenfunction(target):
        raise HostError(f"{name} is an async generator, which has no one result", hint="return a list instead")
    signature = _signature(fn, target, name)
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
        is_async=inspect.iscoroutinefunction(target),
    )


def _signature(fn: Callable[..., Any], target: Any, name: str) -> inspect.Signature:
    """The signature with evaluated annotations, the names within them (`list["Point"]`) included."""
    try:
        signature = inspect.signature(fn, eval_str=True)
        given = {
            parameter.name: parameter.annotation
            for parameter in signature.parameters.values()
            if parameter.annotation is not parameter.empty and parameter.annotation is not None
        }
        if signature.return_annotation is not signature.empty and signature.return_annotation is not None:
            given["return"] = signature.return_annotation
        names = getattr(inspect.unwrap(target), "__globals__", {})
        hints = get_type_hints(SimpleNamespace(__annotations__=given), globalns=names, include_extras=True)
    except NameError as error:
        raise HostError(
            f"the annotations of {name} cannot be evaluated: {error}",
            hint="import what they name at the top of the module, not under TYPE_CHECKING",
        ) from error
    except Exception as error:
        raise HostError(f"{name} has no readable signature: {text_of(error)}") from error
    return signature.replace(
        parameters=[
            parameter.replace(annotation=hints.get(parameter.name, parameter.annotation))
            for parameter in signature.parameters.values()
        ],
        return_annotation=hints.get("return", signature.return_annotation),
    )


def _outcome(call: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[Any, BaseException | None]:
    """Call, and hand an exception back as a value: a `GeneratorExit` through a future closes all who await it."""
    try:
        return call(**arguments), None
    except BaseException as error:
        return None, error


def _unwrapped(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def as_async(function: Function, bulkhead: Bulkhead, *, name: str | None = None) -> Callable[..., Any]:
    """Return `async (**arguments)` that runs the function: on the loop if async, else in a thread of `bulkhead`. The
    wrapper carries the name, doc, signature and annotations the SDK reads.
    """
    call = function.call

    if function.is_async:

        async def wrapper(**arguments: Any) -> Any:
            return await call(**arguments)

    else:

        async def wrapper(**arguments: Any) -> Any:
            result, error = await bulkhead.in_thread(functools.partial(_outcome, call, arguments))
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # it refers to this frame
            # A plain function may hand back a coroutine: a lambda around an async one, for instance.
            return await result if inspect.isawaitable(result) else result

    wrapper.__name__ = wrapper.__qualname__ = name or function.name
    wrapper.__doc__ = function.doc
    wrapper.__signature__ = function.signature  # type: ignore[attr-defined]
    annotations = {
        parameter.name: parameter.annotation
        for parameter in function.signature.parameters.values()
        if parameter.annotation is not parameter.empty
    }
    if function.signature.return_annotation is not inspect.Signature.empty:
        annotations["return"] = function.signature.return_annotation
    wrapper.__annotations__ = annotations
    return wrapper


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
