"""Changes to the plugins of a text: adds, enables, disables and removes them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import tomlkit

from mcp_host.config.origins import dotted
from mcp_host.config.references import is_reference
from mcp_host.errors import ErrorCode, HostError
from mcp_host.manage.configedit.document import Document
from mcp_host.manage.configedit.statements import StatementKind, by_hand, parts_of


def enable_plugin(text: str, name: str) -> str:
    """Return the text with the plugin enabled. A new `[plugins.NAME]` comes after the tables of the other plugins."""
    file = Document(text)
    if name not in file.plugins:
        _add(file, name)
    elif file.plugins[name].get("enabled") is False:
        _switch_on(file, name)
    return file.checked(("plugins", name, "enabled"), lambda new: new["plugins"][name].get("enabled", True) is True)


def add_plugin(text: str, name: str, values: Mapping[str, Any]) -> str:
    """Return the text with a new table `[plugins.NAME]` that has these values, after the tables of other plugins."""
    file = Document(text)
    if name in file.plugins:
        raise HostError(f"there is already a table {dotted(('plugins', name))}", code=ErrorCode.ALREADY_EXISTS)
    _add(file, name, values)
    return file.checked(("plugins", name), lambda new: bool(new["plugins"].get(name) == values))


def disable_plugin(text: str, name: str) -> str:
    """Return the text with `enabled = false` in the plugin's table. The rest of the table stays the same."""
    file = Document(text)
    if file.plugins[name].get("enabled") is not False:
        _switch_off(file, name)
    return file.checked(("plugins", name, "enabled"), lambda new: new["plugins"][name].get("enabled") is False)


def remove_plugin(text: str, name: str) -> tuple[str, str]:
    """Return the text without the plugin's tables and keys, and the removed lines with their comments."""
    file = Document(text)
    removed = _remove(file, name)
    return file.checked(("plugins", name), lambda new: name not in new.get("plugins", {})), removed


def _add(file: Document, name: str, values: Mapping[str, Any] | None = None) -> None:
    inline = file.find("plugins")
    if inline is not None:
        table = tomlkit.inline_table()
        table.update(values or {})
        file.edit(inline, lambda plugins: plugins.update({name: table}))
        return
    header = f"[{dotted(('plugins', name))}]"
    # The comment is about the installed plugin with this name, and not about one with values of its own.
    if values is None and (comment := _commented_out(file, name)) is not None:
        file.parts[comment : comment + 1] = parts_of(header + file.end)
        return
    mine = [n for n, part in enumerate(file.parts) if part.path[:1] == ("plugins",)]
    at = file.section_end(mine[-1] if mine else len(file.parts))
    close = (StatementKind.VALUE, StatementKind.HEADER)
    above = max((n for n in mine if file.parts[n].kind is StatementKind.HEADER), default=0) - 1
    compact = above >= 0 and file.parts[above].kind in close and file.parts[at - 1].kind in close
    compact = compact and not values
    file.insert(at, *([""] if at > 0 and not compact else []), header, *_lines(values or {}))


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each key, and for each key of a table that is no reference."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value and not is_reference(value):
            for inner, part in value.items():
                yield f"{_key(key, inner)} = {_toml(part)}"
        else:
            yield f"{_key(key)} = {_toml(value)}"


def _key(*keys: str) -> str:
    # JSON does not escape this character, and TOML does not allow it.
    return dotted(keys).replace("\x7f", r"\u007f")


def _toml(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(tomlkit.item(value).as_string())
    inner = ", ".join(f"{_key(key)} = {_toml(each)}" for key, each in value.items())
    return f"{{ {inner} }}" if inner else "{}"


def _commented_out(file: Document, name: str) -> int | None:
    """Return the index of `# [plugins.NAME]`, which `init` writes, unless a key would get into that table."""
    for index, part in enumerate(file.parts):
        if part.kind is StatementKind.COMMENT and re.match(r"#[ \t]*\[plugins\.", part.text):
            with suppress(tomllib.TOMLDecodeError):
                data = tomllib.loads(part.text.removeprefix("#").strip())
                rest = (after.kind for after in file.parts[index + 1 :])
                following = next((kind for kind in rest if kind in (StatementKind.HEADER, StatementKind.VALUE)), None)
                if data == {"plugins": {name: {}}} and following is not StatementKind.VALUE:
                    return index
    return None


def _switch_on(file: Document, name: str) -> None:
    index = file.find("plugins", name, "enabled")
    if index is None:
        inline = file.find("plugins", name)
        below = () if inline is not None else (name,)
        inline = inline if inline is not None else file.find("plugins")
        if inline is None:
            raise by_hand(f"the place of plugins.{name} is not found")
        file.edit(inline, lambda plugin: plugin.pop("enabled"), *below)
        return
    part = file.parts[index]
    kept = file.parts[:index] + file.parts[index + 1 :]
    named = any(other.path[:2] == ("plugins", name) for other in kept)
    if part.text.strip() != f"{dotted(part.key)} = false" or not named:
        # A person wrote a line that has a comment, so the line stays.
        text = part.text[: part.value_at] + part.text[part.value_at :].replace("false", "true", 1)
        file.parts[index] = replace(part, text=text)
        return
    file.parts = kept
    around = [other.kind for other in kept[index - 1 : index + 1]]
    following = next(
        (other for other in kept[index:] if other.kind in (StatementKind.HEADER, StatementKind.VALUE)), part
    )
    is_below = following.kind is StatementKind.HEADER and following.path[:2] == ("plugins", name)
    if around == [StatementKind.HEADER, StatementKind.BLANK] and is_below:
        # The header that `_switch_off` inserted above the plugin's other tables.
        del kept[index - 1 : index + 1]


def _switch_off(file: Document, name: str) -> None:
    path = ("plugins", name, "enabled")
    if (index := file.find(*path)) is not None:
        part = file.parts[index]
        text = part.text[: part.value_at] + part.text[part.value_at :].replace("true", "false", 1)
        file.parts[index] = replace(part, text=text)
    elif (index := file.find(*path[:1])) is not None:
        file.edit(index, lambda plugin: plugin.update({"enabled": False}), name)
    elif (index := file.find(*path[:2])) is not None:
        file.edit(index, lambda plugin: plugin.update({"enabled": False}))
    elif (index := file.find(*path[:2], kind=StatementKind.HEADER)) is not None:
        following = file.parts[index + 1 : index + 2]
        indent = following[0].indent if following and following[0].kind is StatementKind.VALUE else ""
        file.insert_into(index, f"{indent}enabled = false")
    else:
        mine = [n for n, part in enumerate(file.parts) if part.path[:2] == path[:2]]
        if not mine:
            raise by_hand(f"the place of {dotted(path[:2])} is not found")
        first = file.parts[mine[0]]
        if first.kind is StatementKind.VALUE:
            # stats.prefix = "x", below [plugins] or at the top of the file
            key = dotted(path[len(first.table) :])
            file.insert_into(mine[0], f"{first.indent}{key} = false")
        else:
            # [plugins.stats.settings] alone
            header = f"[{dotted(path[:2])}]"
            file.insert(file.comments_before(mine[0]), header, "enabled = false", "")


def _remove(file: Document, name: str) -> str:
    path = ("plugins", name)
    if (index := file.find("plugins")) is not None:
        inline = tomlkit.inline_table()
        inline.update(file.plugins[name])
        file.edit(index, lambda plugins: plugins.pop(name))
        return f"{dotted(path)} = {inline.as_string()}{file.end}"
    removed = ""
    while mine := [
        n
        for n, part in enumerate(file.parts)
        if part.path[:2] == path and (part.kind is StatementKind.HEADER or part.table[:2] != path)
    ]:
        start, end = mine[-1], mine[-1] + 1
        if file.parts[start].kind is StatementKind.HEADER:
            start, end = file.comments_before(start), file.content_end(start)
        removed = "".join(part.text for part in file.parts[start:end]) + removed
        if file.parts[mine[-1]].kind is StatementKind.HEADER:
            while start == 0 and end < len(file.parts) and file.parts[end].kind is StatementKind.BLANK:
                end += 1
            while start > 0 and file.parts[start - 1].kind is StatementKind.BLANK:
                start -= 1
        del file.parts[start:end]
    return removed
