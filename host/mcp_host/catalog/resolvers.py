"""Runs the functions of `Annotated[T, Resolve(...)]` in the plugin's compartment, and adapts the forms they ask for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, cast

from mcp.server.mcpserver.resolve import Elicit, Resolve, _ParamPlan, _resolver_key, _ResolverPlan

from mcp_host.catalog.forms import Form
from mcp_host.plugins.bulkhead import Bulkhead

Resolved = Mapping[str, tuple[Resolve, bool]]
"""By parameter: its resolver, and whether it takes the whole answer or only the data."""
Plans = Mapping[Hashable, _ResolverPlan]
"""By function: how its parameters are filled."""


def with_own_resolvers(resolved: Resolved, plans: Plans, bulkhead: Bulkhead) -> tuple[Resolved, Plans]:
    """Return both with wrapped functions.

    The SDK runs plain functions in threads that all plugins share, and renders the model of an `Elicit` as it is.
    """
    wrapped = {key: _wrapped(plan.fn, plan.is_async, bulkhead) for key, plan in plans.items()}

    def marker(given: Resolve) -> Resolve:
        return Resolve(wrapped[_resolver_key(given.fn)])

    def parameter(given: _ParamPlan) -> _ParamPlan:
        return _ParamPlan(given.kind, given.resolve and marker(given.resolve), given.wants_union)

    own = {
        _resolver_key(wrapped[key]): _ResolverPlan(
            wrapped[key],
            {name: parameter(given) for name, given in plan.params.items()},
            is_async=True,
            wire_key=plan.wire_key,
        )
        for key, plan in plans.items()
    }
    return {name: (marker(given), union) for name, (given, union) in resolved.items()}, own


def _wrapped(fn: Callable[..., Any], is_async: bool, bulkhead: Bulkhead) -> Callable[..., Any]:
    async def resolve(**arguments: Any) -> Any:
        if is_async:
            result = await fn(**arguments)
        else:
            result = await bulkhead.call_in_thread(functools.partial(fn, **arguments))
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, Elicit):
            return Elicit(result.message, cast("type[Any]", Form.of(result.schema)))
        return result

    return resolve
