"""Filters the items of a plugin by its table in the TOML, and writes the line that leaves an item out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import mcp.types as types
from pydantic import ValidationError

from mcp_host.api import SchemaTool, Tool
from mcp_host.catalog.facts import annotations_of
from mcp_host.config import NameFilter
from mcp_host.errors import HostError, describe_validation, did_you_mean, wrapped
from mcp_host.plugins.kinds import FilterKey
from mcp_host.plugins.plugin import LoadedPlugin

_PartT = TypeVar("_PartT")


def kept(
    plugin: LoadedPlugin, key: FilterKey, name_filter: NameFilter, parts: Sequence[tuple[str, _PartT]]
) -> list[tuple[str, _PartT]]:
    """Keep the items that `allow` names and `deny` does not. Globs match names with and without the prefix."""
    prefix = "" if key == "resources" else plugin.section.prefix

    def matches(name: str, pattern: str) -> bool:
        return name == pattern or fnmatchcase(name, pattern) or fnmatchcase(name.removeprefix(prefix), pattern)

    for list_name, patterns in (("allow", name_filter.allow or ()), ("deny", name_filter.deny)):
        for pattern in patterns:
            if not any(matches(name, pattern) for name, _ in parts):
                _warn_about(plugin, f"{key}.{list_name}", pattern, [name for name, _ in parts])
    return [
        (name, part)
        for name, part in parts
        if (name_filter.allow is None or any(matches(name, pattern) for pattern in name_filter.allow))
        and not any(matches(name, pattern) for pattern in name_filter.deny)
    ]


def warn_about_timeouts(plugin: LoadedPlugin, names: Sequence[str]) -> None:
    prefix = plugin.section.prefix
    for key in plugin.section.tools.timeouts:
        if key not in names and prefix + key not in names:
            _warn_about(plugin, "tools.timeouts", key, names)


def _warn_about(plugin: LoadedPlugin, key: str, pattern: str, names: Sequence[str]) -> None:
    plugin.warn(f"{key}: {pattern!r} matches nothing{did_you_mean(pattern, names)}")


def hints_match(plugin: LoadedPlugin, tool: Tool | SchemaTool) -> bool:
    wanted = plugin.section.tools
    hints = annotations_of(tool) or types.ToolAnnotations()
    pairs = (
        (wanted.read_only, hints.read_only_hint),
        (wanted.destructive, hints.destructive_hint),
        (wanted.idempotent, hints.idempotent_hint),
        (wanted.open_world, hints.open_world_hint),
    )
    # A hint that the author left out is unknown, so it does not match.
    return all(want is None or hint == want for want, hint in pairs)


def deny_line(plugin: LoadedPlugin, key: FilterKey, name: str) -> str:
    """Return the table and its line that leave out one item of a plugin, and the items that are left out already."""
    names = dict.fromkeys((*getattr(plugin.section, key).deny, name))
    listed = ", ".join(json.dumps(denied, ensure_ascii=False).replace("\x7f", "\\u007f") for denied in names)
    return f"{plugin.table} {key}.deny = [{listed}]"


def guarded(
    plugin: LoadedPlugin,
    label: str,
    key: FilterKey | None,
    name: str,
    part: _PartT,
    build: Callable[[str, _PartT], Any],
) -> Any:
    """Build one item. An error names the item (`label` and `name`) and has the line that leaves it out as its hint.

    Raises:
        HostError: The item cannot be built. Annotations and schemas may run any code of the plugin, which may raise
            anything.
    """
    deny = deny_line(plugin, key, name) if key is not None else ""
    try:
        return build(name, part)
    except ValidationError as error:
        what = f"{label} {name!r}: {describe_validation(error, 'the value')}"
        raise HostError(what, where=plugin.where, hint=deny) from error
    except BaseException as error:
        raise wrapped(error, f"{label} {name!r}", where=plugin.where, hint=deny) from error
