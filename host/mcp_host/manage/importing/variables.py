"""The environment variables that imported tables refer to: their names, and where their values stand now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mcp_host.manage.importing.substitutes import Reference

_OF_THE_HOST: Final = re.compile(r"MCP_(?:HOST.*|TRANSPORT|PORT|LOG_LEVEL|DEBUG)")
"""The variables that change the host's own configuration."""


@dataclass(frozen=True)
class Variable:
    """One variable that a table refers to.

    `where` is the key in the client's file that has its value or names it. `value` is the value there: the text itself,
    or the client's own reference, such as `${input:token}`. None if the client takes it from elsewhere.
    """

    name: str
    where: str
    value: str | None = field(default=None, repr=False)
    is_secret: bool = False
    """Whether the client's file has the value itself."""


class Variables:
    """Gives out names of variables, each for one value.

    `reserved` are names that have a meaning already. A variable of the environment is used only for its own value.
    """

    def __init__(self, reserved: Iterable[str] = (), environ: Mapping[str, str] | None = None) -> None:
        self._reserved = set(reserved)
        self._values: dict[str, str] = dict(environ or {})

    def secret(self, plugin: str, key: str, value: str, where: str) -> Variable:
        """Return a variable for a secret, named after the plugin and the key."""
        base, own = _words(plugin), _words(key)
        first = base.partition("_")[0]
        short = own if own.startswith(first) and len(first) > 2 else f"{base}_{own}"
        wanted = [short, f"{base}_{own}", *(f"{base}_{own}_{number}" for number in range(2, 1000))]
        name = next(name for name in map(_safe, wanted) if self._is_free(name, value))
        self._values[name] = value
        return Variable(name, where, value, is_secret=True)

    def referred(self, reference: Reference, where: str) -> Variable:
        """Return the variable of a client's reference. An input gets a variable that is named after its id."""
        name = reference.name if reference.kind == "env" else _safe(_words(reference.name))
        self._reserved.add(name)
        return Variable(name, where, reference.original or None)

    def _is_free(self, name: str, value: str) -> bool:
        return name not in self._reserved and self._values.get(name, value) == value


def _words(text: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^A-Za-z0-9]+", "_", spaced).strip("_").upper() or "SERVER"


def _safe(name: str) -> str:
    return f"SERVER_{name}" if name[0].isdigit() or _OF_THE_HOST.fullmatch(name) else name
