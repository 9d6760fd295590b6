"""Puts `MCP_*` variables and command-line flags over the tables of the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from mcp_host.config.annotations import annotation_at, names_of
from mcp_host.config.origins import Keys, dotted
from mcp_host.config.references import is_reference
from mcp_host.config.sections import HostConfig
from mcp_host.errors import ConfigError, Problem, did_you_mean

DEEPEST: Final = 64
"""How deep tables and lists may be nested: far more than any file needs, and few enough for every parser."""

_SHORT_VARIABLES: Final[Mapping[str, Keys]] = {
    "MCP_TRANSPORT": ("transport", "kind"),
    "MCP_HOST": ("transport", "host"),
    "MCP_PORT": ("transport", "port"),
    "MCP_LOG_LEVEL": ("host", "log_level"),
    "MCP_DEBUG": ("host", "debug"),
}

_SERVICE_LINK: Final = re.compile("[a-z]+://")

_SERVICE_LINK_WARNING: Final = Problem(
    "the variable is ignored, because it has the address of another service: Kubernetes sets it for a service that is "
    "named mcp",
    where="environment: MCP_PORT",
    hint="enableServiceLinks: false   (in the pod), or another name for the service",
)

_LONG_VARIABLE: Final = "MCP_HOST__"

_BOOL_WORDS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


@dataclass
class Draft:
    """The tables of the file with variables and flags over them. `labels` names the source of each value put over."""

    data: dict[str, Any]
    labels: dict[Keys, str] = dataclass_field(default_factory=dict)
    flags: set[Keys] = dataclass_field(default_factory=set)
    problems: list[Problem] = dataclass_field(default_factory=list)
    warnings: list[Problem] = dataclass_field(default_factory=list)

    def put(self, keys: Keys, value: Any, label: str) -> None:
        """Set a value. A table is merged into a table key by key, unless it refers to a secret."""
        table: Any = self.data
        for depth, key in enumerate(keys[:-1], 1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                self.problems.append(Problem(f"{dotted(keys[:depth])!r} is not a table", where=label))
                return
        key = keys[-1]
        if isinstance(value, Mapping) and not is_reference(value):
            if not isinstance(table.get(key), dict):
                table[key] = {}
                self.labels[keys] = label
            for inner in value:
                self.put((*keys, inner), value[inner], label)
        else:
            table[key] = value
            self.labels[keys] = label

    def put_flags(self, flags: Mapping[str, Any]) -> None:
        """Put command-line flags over the rest. None means that a flag was not given."""
        for keys, value in _leaves(flags):
            name = "transport" if keys == ("transport", "kind") else str(keys[-1]).replace("_", "-")
            self.put(keys, value, f"command line: --{name}")
            self.flags.add(keys)

    def put_variables(self, environ: Mapping[str, str]) -> None:
        """Put the `MCP_*` variables over the file. An empty variable counts as not set."""
        for name, keys in _SHORT_VARIABLES.items():
            text = environ.get(name)
            if text and name == "MCP_PORT" and _SERVICE_LINK.match(text):
                self.warnings.append(_SERVICE_LINK_WARNING)
            elif text:
                self._put_text(name, keys, text)
        long = [name for name in environ if name.startswith(_LONG_VARIABLE) and environ[name]]
        # Whole tables first: MCP_HOST__PLUGINS may add the plugin that MCP_HOST__PLUGINS__STATS__PREFIX changes.
        for name in sorted(long, key=lambda name: (name.count("__"), name)):
            try:
                keys = self._keys(name.removeprefix(_LONG_VARIABLE))
            except ConfigError as error:
                hint = f"{error.hint}, or unset {name}"
                self.problems.append(replace(error.problem, where=f"environment: {name}", hint=hint))
            else:
                self._put_text(name, keys, environ[name])

    def _put_text(self, name: str, keys: Keys, text: str) -> None:
        label = f"environment: {name}"
        if re.search("[\ud800-\udfff]", name + text):
            # How Python shows the bytes of a variable that are not UTF-8.
            where = f"environment: {name.encode(errors='replace').decode()}"
            self.problems.append(Problem("the variable is not UTF-8 text", where=where))
            return
        value = _value(text, annotation_at(HostConfig, keys))
        if deeper_than(DEEPEST, value):
            self.problems.append(too_deep(label))
        else:
            self.put(keys, value, label)

    def _keys(self, name: str) -> Keys:
        """Return the path that a variable names. It matches keys of the models and names in the file."""
        keys: Keys = ()
        table: Any = self.data
        words = name.split("__")
        while words:
            fixed = names_of(annotation_at(HostConfig, keys))
            key, used = _match(words, fixed or (table if isinstance(table, dict) else ()))
            if not used:
                if keys == ("plugins",):
                    known = list(table) if isinstance(table, dict) else []
                    what = f"the file names no plugin {words[0].lower()!r}{did_you_mean(words[0].lower(), known)}"
                    raise ConfigError(what, hint=f"add [plugins.{words[0].lower()}] to the file")
                key, used = words[0].lower() if words[0].isupper() else words[0], 1
            keys, words = (*keys, key), words[used:]
            table = table.get(key) if isinstance(table, dict) else None
        return keys


def _leaves(table: Mapping[str, Any], above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value and not is_reference(value):
            yield from _leaves(value, (*above, key))
        elif value is not None:
            yield (*above, key), value


def _match(words: list[str], names: Mapping[str, Any] | list[str] | tuple[()]) -> tuple[str, int]:
    """Return the name that the first words spell, and the number of these words, or 0 if no name matches.

    Case is ignored. `-`, `.` and `_` are equal, because a variable's name cannot contain the first two. A name may
    contain `__`, so the longest spelling is tried first.
    """

    def folded(name: str) -> str:
        return re.sub("[-.]", "_", name.casefold())

    for used in range(len(words), 0, -1):
        spelled = [name for name in names if folded(name) == folded("__".join(words[:used]))]
        if len(spelled) > 1:
            raise ConfigError(f"this may mean {' or '.join(map(repr, spelled))}", hint="write it in the file")
        if spelled:
            return spelled[0], used
    return "", 0


def _value(text: str, annotation: Any) -> Any:
    """Return a variable's value for a key of this type: the text itself, or the JSON value in it."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = text
    table_or_list = parsed if isinstance(parsed, dict | list) else text
    if annotation is Any:
        # A plugin's own setting. Its model is not known here; it converts the text to a number if it needs one.
        return table_or_list
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    for candidate in (text, parsed, _BOOL_WORDS.get(text.lower(), text)):
        try:
            adapter.validate_python(candidate)
        except ValidationError:
            continue
        return candidate
    return table_or_list


def too_deep(where: str) -> Problem:
    return Problem(f"lists or tables are nested more than {DEEPEST} deep", where=where)


def deeper_than(limit: int, value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        tables_and_lists = [inner for inner in level if isinstance(inner, dict | list)]
        level = [held for inner in tables_and_lists for held in (inner.values() if isinstance(inner, dict) else inner)]
    return bool(level)
