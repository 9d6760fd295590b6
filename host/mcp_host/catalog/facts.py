"""The name, deadline, scopes and hints of an item, from its author and from the TOML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp.types as types
from pydantic import BaseModel

from mcp_host.api import Prompt, Resource, SchemaTool, Tool
from mcp_host.catalog.signatures import function_name
from mcp_host.errors import HostError
from mcp_host.plugins.plugin import LoadedPlugin


def author_name(part: Tool | SchemaTool | Prompt) -> str:
    return part.name if isinstance(part, SchemaTool) else part.name or function_name(part.fn)


def scopes_of(part: Tool | SchemaTool | Resource | Prompt) -> frozenset[str]:
    if isinstance(part.scopes, str):
        raise HostError(f"its scopes are the text {part.scopes!r}", hint=f'write a list: scopes=["{part.scopes}"]')
    return frozenset(part.scopes)


def timeout_of(
    plugin: LoadedPlugin, own: float | None, by_name: Mapping[str, float] | None = None, name: str = ""
) -> float | None:
    """Return the first deadline of these: in the TOML for the tool or the plugin, the author's, the host's."""
    section = plugin.section
    given: object = own  # an author may give anything
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float) or not given > 0):
        raise HostError(f"its timeout is {own!r}, not a number of seconds above 0")
    if by_name:
        for key in (name, name.removeprefix(section.prefix)):
            if key in by_name:
                return by_name[key]
    for timeout in (section.timeout, own):
        if timeout is not None:
            return timeout
    return plugin.default_timeout


def annotations_of(tool: Tool | SchemaTool) -> types.ToolAnnotations | None:
    hints = {
        "read_only_hint": tool.read_only,
        "destructive_hint": tool.destructive,
        "idempotent_hint": tool.idempotent,
        "open_world_hint": tool.open_world,
    }
    given = {name: value for name, value in hints.items() if value is not None}
    own: Any = tool.annotations  # an author may give anything
    if own is None and not given:
        return None
    # It may be a dict, or made without validation.
    fields = own.model_dump(exclude_unset=True, warnings=False) if isinstance(own, BaseModel) else own
    read = types.ToolAnnotations.model_validate(fields or {})
    return types.ToolAnnotations.model_validate({**read.model_dump(exclude_unset=True), **given})
