"""The rules about the definitions of a plugin's tools, resources, templates and prompts, as clients see them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mcp_host.authoring.plugincheck import rules
from mcp_host.authoring.plugincheck.observations import KINDS, Listing
from mcp_host.authoring.plugincheck.report import Verdicts
from mcp_host.authoring.plugincheck.rules import Rule
from mcp_host.errors import Problem

CLIENT_PREFIX = "mcp__mcp-host__"
"""The prefix that clients put before a tool's name: `mcp__SERVER__`, here with the server's default name."""

LONGEST_NAME = 64
"""The most characters of a tool's name for model providers (`^[a-zA-Z0-9_-]{1,64}$`), with the client's prefix."""

LONGEST_DESCRIPTION = 1024
"""The most characters of a tool's description for OpenAI-compatible endpoints. Claude Code cuts at 2048, silently."""

_JOINERS = "\u200c\u200d"
"""Zero-width joiner and non-joiner: allowed only inside Persian, Indic scripts and emoji."""

_NOT_SHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""The Unicode categories of control, format (bidi, zero-width, tag), surrogate, private and unassigned characters."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""Keywords whose values are data, not schemas."""

Item = Mapping[str, Any]
Look = Callable[[Listing, str], Iterator[Problem]]


def judge_definitions(listing: Listing, plugin: str, verdicts: Verdicts) -> None:
    """Apply the rules about definitions. A rule is not checked if the plugin has none of its kinds."""
    for rule, kinds, look in _LOOKS:
        if any(listing[kind] for kind in kinds):
            verdicts.extend(rule, look(listing, plugin))
        else:
            verdicts.skipped(f"it contributes no {' and no '.join(kinds)}", rule)


def judge_stability(first: Listing, second: Listing, plugin: str, verdicts: Verdicts) -> None:
    """Compare the definitions that two processes got."""
    verdicts.extend(rules.DEFINITIONS_STABLE, _differences(first, second, plugin))


def _place(kind: str, item: Item, plugin: str) -> str:
    return f"{kind.removesuffix('s')} {_key(item)!r} of plugin {plugin}"


def _key(item: Item) -> str:
    return str(item.get("uri") or item.get("uriTemplate") or item["name"])


def _every(listing: Listing, plugin: str, *kinds: str) -> Iterator[tuple[Item, str]]:
    for kind in kinds or KINDS:
        for item in listing[kind]:
            yield item, _place(kind, item, plugin)


def _long_names(listing: Listing, plugin: str) -> Iterator[Problem]:
    budget = LONGEST_NAME - len(CLIENT_PREFIX)
    for tool, place in _every(listing, plugin, "tools"):
        if len(tool["name"]) > budget:
            yield Problem(
                f"its name has {len(tool['name'])} characters; with {CLIENT_PREFIX!r} before it, {budget} are left",
                place,
                "give it a shorter name",
            )


def _odd_names(listing: Listing, plugin: str) -> Iterator[Problem]:
    for tool, place in _every(listing, plugin, "tools"):
        if odd := sorted(set(re.sub("[A-Za-z0-9_-]", "", tool["name"]))):
            yield Problem(
                f"its name contains {' '.join(map(repr, odd))}, which MCP allows but model providers refuse",
                place,
                f"call it {re.sub('[^A-Za-z0-9_-]', '_', tool['name'])!r}",
            )


def _undescribed(listing: Listing, plugin: str) -> Iterator[Problem]:
    for item, place in _every(listing, plugin):
        if not str(item.get("description", "")).strip():
            yield Problem("it has no description", place, "write a docstring, or description=...")


def _long_descriptions(listing: Listing, plugin: str) -> Iterator[Problem]:
    for tool, place in _every(listing, plugin, "tools"):
        length = len(tool.get("description", ""))
        if length > LONGEST_DESCRIPTION:
            yield Problem(
                f"its description has {length} characters; some clients refuse or cut more than {LONGEST_DESCRIPTION}",
                place,
                "keep only what the model needs to choose the tool, and describe the parameters in their own places",
            )


def _undescribed_parameters(listing: Listing, plugin: str) -> Iterator[Problem]:
    for tool, place in _every(listing, plugin, "tools"):
        schema = tool["inputSchema"]
        properties = schema.get("properties")
        for name, field in properties.items() if isinstance(properties, Mapping) else ():
            if not _describes(field, schema):
                hint = f'{name}: Annotated[..., Field(description="...")]'
                yield Problem(f"parameter {name!r} has no description", place, hint)
    for prompt, place in _every(listing, plugin, "prompts"):
        for argument in prompt.get("arguments", ()):
            if not argument.get("description"):
                hint = f'{argument["name"]}: Annotated[..., Field(description="...")]'
                yield Problem(f"argument {argument['name']!r} has no description", place, hint)


def _describes(field: Any, schema: Item) -> bool:
    """Return whether a parameter has a description, or the definition of its type has one."""
    if not isinstance(field, Mapping):
        return False
    reference = str(field.get("$ref", ""))
    definition = schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {}) if reference else {}
    return bool(field.get("description") or definition.get("description"))


def _hidden_text(listing: Listing, plugin: str) -> Iterator[Problem]:
    for item, place in _every(listing, plugin):
        for path, text in texts_of(item):
            if hidden := invisible(text):
                yield Problem(f"{path} contains {', '.join(hidden)}", place, "remove it")


def _other_dialects(listing: Listing, plugin: str) -> Iterator[Problem]:
    """Clients read schemas as 2020-12 (SEP-1613). That they are valid is proven when a tool is bound."""
    for tool, place in _every(listing, plugin, "tools"):
        for key, words in (("inputSchema", "input schema"), ("outputSchema", "output schema")):
            dialect = tool.get(key, {}).get("$schema", _DIALECT)
            if str(dialect).rstrip("#") != _DIALECT:
                yield Problem(f"its {words} is {dialect!r}, not JSON Schema 2020-12", place, "let the host derive it")


def _no_read_only(listing: Listing, plugin: str) -> Iterator[Problem]:
    for tool, place in _every(listing, plugin, "tools"):
        if _hint(tool, "readOnlyHint") is None:
            yield Problem(
                "it does not declare whether it only reads, so clients ask before every call",
                place,
                "read_only=True, or read_only=False and destructive=...",
            )


def _destructive(listing: Listing, plugin: str) -> Iterator[Problem]:
    for tool, place in _every(listing, plugin, "tools"):
        read_only, destructive = _hint(tool, "readOnlyHint"), _hint(tool, "destructiveHint")
        if read_only and destructive:
            yield Problem("it declares that it only reads and that it is destructive", place, "remove one of the hints")
        elif read_only is False and destructive is None:
            yield Problem(
                "it writes but does not declare whether it is destructive, so clients assume that it is",
                place,
                "destructive=False if it only adds, otherwise destructive=True",
            )


def _hint(tool: Item, name: str) -> bool | None:
    value = tool.get("annotations", {}).get(name)
    return value if isinstance(value, bool) else None


def _differences(first: Listing, second: Listing, plugin: str) -> Iterator[Problem]:
    hint = "remove from the definition what differs between processes: the order of a set, an id, a time"
    for kind in KINDS:
        one, other = ({_key(item): item for item in listing[kind]} for listing in (first, second))
        if list(one) != list(other):
            only = sorted(set(one) ^ set(other))
            what = f"only one has {', '.join(map(repr, only))}" if only else "their order differs"
            yield Problem(f"two processes get different {kind}: {what}", f"plugin {plugin}", hint)
        for key in one.keys() & other.keys():
            if differing := [
                field for field, value in one[key].items() if _text(value) != _text(other[key].get(field))
            ]:
                what = f"two processes get a different {', '.join(differing)}"
                yield Problem(what, _place(kind, one[key], plugin), hint)


def _text(value: Any) -> str:
    """Return the JSON. The order of keys matters to a client that compares or caches the text of a definition."""
    return json.dumps(value)


# Characters that a person does not see but a model reads


def invisible(text: str) -> list[str]:
    """Return each code point that is not shown, such as `U+200B ZERO WIDTH SPACE`, once. Lines may end with LF."""
    found = {}
    for index, character in enumerate(text):
        if _is_shown(character) or (character in _JOINERS and _joins(text, index)):
            continue
        name = unicodedata.name(character, "control character" if unicodedata.category(character) == "Cc" else "")
        found[character] = f"U+{ord(character):04X} {name}".strip()
    return list(found.values())


def _is_shown(character: str) -> bool:
    if character in "\n\t":
        return True
    # Variation selectors 17 to 256 can hide a whole message in one emoji.
    return unicodedata.category(character) not in _NOT_SHOWN and not 0xE0100 <= ord(character) <= 0xE01EF


def _joins(text: str, index: int) -> bool:
    around = text[index - 1 : index] + text[index + 1 : index + 2]
    return len(around) == 2 and not any(side.isascii() for side in around)


def texts_of(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each text of a tool, resource, template or prompt that a model reads, also keys, with its path."""
    for key, value in item.items():
        if key not in ("_meta", "icons"):
            yield from _texts(key, value)


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"a name in {path}", key
            yield from _texts(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(f"{path}[{number}]", inner)


_LOOKS: tuple[tuple[Rule, tuple[str, ...], Look], ...] = (
    (rules.NAME_LENGTH, ("tools",), _long_names),
    (rules.NAME_CHARACTERS, ("tools",), _odd_names),
    (rules.DESCRIPTION_PRESENT, KINDS, _undescribed),
    (rules.DESCRIPTION_LENGTH, ("tools",), _long_descriptions),
    (rules.PARAMETERS_DESCRIBED, ("tools", "prompts"), _undescribed_parameters),
    (rules.TEXT_VISIBLE, KINDS, _hidden_text),
    (rules.SCHEMAS_DIALECT, ("tools",), _other_dialects),
    (rules.HINT_READ_ONLY, ("tools",), _no_read_only),
    (rules.HINT_DESTRUCTIVE, ("tools",), _destructive),
)
