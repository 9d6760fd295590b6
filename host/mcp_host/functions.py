"""Turns whatever callable an author gives into one async function with a name, a doc and an evaluated signature."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter

from mcp_host.errors import HostError


@dataclass(frozen=True)
class Function:
    """A callable as the host sees it. `parameters` has no parameter that a `functools.partial` has bound by name."""

    call: Callable[..., Any]
    name: str
    doc: str
    signature: inspect.Signature
    is_async: bool


def inspect_function(fn: Callable[..., Any]) -> Function:
    """Read a function, bound method, `functools.partial` or callable object.

    Raises:
        HostError: It has no readable signature, an annotation that cannot be evaluated, or parameters that
            cannot be passed by name.
    """
    bound: set[str] = set()
    inner: Any = fn
    while isinstance(inner, functools.partial):
        bound |= set(inner.keywords)
        inner = inner.func
    name = getattr(inner, "__name__", None) or _snake(type(inner).__name__)
    try:
        signature = inspect.signature(fn, eval_str=True)
    except NameError as error:
        raise HostError(
            f"the annotations of {name} cannot be evaluated: {error}",
            mend="import what they name at run time, not under TYPE_CHECKING",
        ) from error
    except (TypeError, ValueError) as error:
        raise HostError(f"{name} has no readable signature: {error}") from error
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise HostError(
                f"parameter {str(parameter).partition(':')[0]!r} of {name} cannot be passed by name",
                mend="declare parameters that have a name of their own, without *, ** or /",
            )
        if parameter.name not in bound:
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
    is_function = inspect.isroutine(inner)
    doc = inspect.getdoc(inner if is_function else type(inner).__call__) or (
        "" if is_function else inspect.getdoc(inner)
    )
    target = inner if is_function else getattr(inner, "__call__", inner)  # noqa: B004 - its kind is asked, not whether
    return Function(
        call=fn,
        name=name,
        doc=doc or "",
        signature=signature.replace(parameters=parameters),
        is_async=inspect.iscoroutinefunction(target),
    )


def as_async(function: Function, threads: CapacityLimiter, *, name: str | None = None) -> Callable[..., Any]:
    """Return `async (**arguments)` that runs the function: on the loop if async, else in a thread of `threads`.

    A thread whose caller has gone (timed out, cancelled) is left to finish by itself; it keeps its place in
    `threads` until then. The wrapper carries the name, doc, signature and annotations the SDK reads.
    """
    call = function.call

    if function.is_async:

        async def wrapper(**arguments: Any) -> Any:
            return await call(**arguments)

    else:

        async def wrapper(**arguments: Any) -> Any:
            result = await anyio.to_thread.run_sync(
                functools.partial(call, **arguments), abandon_on_cancel=True, limiter=threads
            )
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
