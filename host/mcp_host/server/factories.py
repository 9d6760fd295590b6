"""Calls a function that makes a server or a plugin, with the settings of its table."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from mcp_host.config.secrets import resolve_secrets
from mcp_host.errors import HostError, describe_validation, did_you_mean
from mcp_host.plugins.loader import Surroundings
from mcp_host.plugins.plugin import LoadedPlugin

_HINT = "the parameters of the function are the settings"


def made_by(factory: Callable[..., Any], plugin: LoadedPlugin, around: Surroundings) -> tuple[object, frozenset[str]]:
    """Return what a function makes, called with the settings as keyword arguments, and the secrets among them.

    A value becomes what the parameter's annotation says, for example a path. A coroutine function runs to its end in an
    event loop of its own.

    Raises:
        HostError: The settings do not fit its parameters.
    """
    name = getattr(factory, "__qualname__", repr(factory))
    resolved = resolve_secrets(
        plugin.section.settings,
        base_dir=around.base_dir,
        environ=around.environ,
        where=lambda keys: around.where("plugins", plugin.name, "settings", *keys),
    )
    signature = _signature(factory)
    try:
        signature.bind(**resolved.values)
    except TypeError:
        raise HostError(
            f"the settings do not fit {name}{signature}: {_unfit(signature, resolved.values)}",
            where=around.where("plugins", plugin.name, "settings"),
            hint=_HINT,
        ) from None
    made = factory(**_converted(resolved.values, signature, name, around.where("plugins", plugin.name, "settings")))
    return (_awaited(made) if inspect.iscoroutine(made) else made), resolved.secrets


def _signature(factory: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(factory, eval_str=True)
    except Exception:
        # An annotation may name what only type checkers import.
        return inspect.signature(factory)


def _converted(values: dict[str, Any], signature: inspect.Signature, name: str, where: str) -> dict[str, Any]:
    converted, unfit = dict(values), []
    for key, value in values.items():
        parameter = signature.parameters.get(key)
        if parameter is None or parameter.annotation is parameter.empty or isinstance(parameter.annotation, str):
            continue
        try:
            converted[key] = TypeAdapter(parameter.annotation).validate_python(value)
        except ValidationError as error:
            unfit.append(describe_validation(error, key))
        except PydanticUserError:
            # A type that pydantic does not know takes the value as it is.
            continue
    if unfit:
        raise HostError(f"the settings do not fit {name}{signature}: {'; '.join(unfit)}", where=where, hint=_HINT)
    return converted


def _unfit(signature: inspect.Signature, settings: dict[str, Any]) -> str:
    """Return what is missing and what is too much. No value is repeated."""
    parameters = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = [parameter.name for parameter in parameters]
    missing = [p.name for p in parameters if p.default is p.empty and p.name not in settings]
    unknown = [f"{name!r}{did_you_mean(name, names)}" for name in settings if name not in names]
    parts = [f"missing {', '.join(missing)}"] if missing else []
    parts += [f"unknown {', '.join(unknown)}"] if unknown else []
    return "; ".join(parts) or "it has parameters without a name"


def _awaited(coroutine: Any) -> object:
    """Run a coroutine in a thread of its own: this one may have a running event loop."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome[:] = [asyncio.run(coroutine), None]
        except BaseException as error:
            outcome[:] = [None, error]

    thread = threading.Thread(target=run, name="making a plugin")
    thread.start()
    thread.join()
    made, error = outcome
    if error is not None:
        raise error
    return made
