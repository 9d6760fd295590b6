"""Finds out whether two Starlette routes can match the same path."""

from __future__ import annotations

from collections.abc import Iterator
from string import digits, hexdigits
from typing import Final

from starlette.routing import PARAM_REGEX, BaseRoute, Mount, Route, WebSocketRoute

from mcp_host.catalog.uris import Only, Token, meet

_ANY: Final = frozenset[str]()
_VALUES: Final[dict[str, frozenset[str] | Only]] = {
    "str": frozenset("/"),
    "int": Only(frozenset(digits)),
    "float": Only(frozenset(digits + ".")),
    "uuid": Only(frozenset(hexdigits + "-")),
}
"""What a parameter can contain, by its convertor. One with another convertor can contain anything."""


def shown(route: BaseRoute) -> str:
    """Return a route's path, or the name of its type if it has no path."""
    return str(getattr(route, "path", type(route).__name__))


def can_take(first: BaseRoute, second: BaseRoute) -> bool:
    """Return True if a request may match both routes, whatever its method. A route without a path may match any."""
    return meet(list(_tokens(first)), list(_tokens(second)))


def _tokens(route: BaseRoute) -> Iterator[Token]:
    if not isinstance(route, Route | WebSocketRoute | Mount):
        yield _ANY
        return
    path, end = route.path, 0
    for parameter in PARAM_REGEX.finditer(path):
        yield from path[end : parameter.start()]
        yield _VALUES.get((parameter[2] or ":str").removeprefix(":"), _ANY)
        end = parameter.end()
    yield from path[end:]
    if isinstance(route, Mount):
        yield "/"
        yield _ANY
