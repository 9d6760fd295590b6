"""Puts down what goes wrong with a part to that part, with the line that leaves it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from mcp_host.catalog.filters import FilterKey, deny_line
from mcp_host.errors import HostError, text_of
from mcp_host.plugins.plugin import LoadedPlugin

_FILTERS: Mapping[str, FilterKey] = {"tool": "tools", "resource": "resources", "prompt": "prompts"}

_PartT = TypeVar("_PartT")


def guarded(plugin: LoadedPlugin, kind: str, name: str, part: _PartT, build: Callable[[str, _PartT], Any]) -> Any:
    """Run one binding step; what goes wrong is put down to the part by its name."""
    deny = deny_line(plugin, _FILTERS[kind], name) if kind in _FILTERS else ""
    try:
        return build(name, part)
    except HostError as error:
        what, hint = error.what, error.hint
        raise HostError(f"{kind} {name!r}: {what}", where=plugin.where, hint=hint or deny) from error
    except BaseException as error:
        # Annotations are evaluated and schemas asked for here, which may run any code of the plugin's.
        raise HostError(f"{kind} {name!r}: {_explained(error)}", where=plugin.where, hint=deny) from error


def _explained(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details)
    return text_of(error)
