"""`mcp-host inspect`: shows everything that a client sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mcp_host.cli import completion
from mcp_host.cli.client import HeaderOption, Remote, TokenOption, UrlOption, client, pages, remote
from mcp_host.cli.common import ConfigOption, DisableOption, JsonOption, command_stdout
from mcp_host.cli.output import bold, print_json, table, write
from mcp_host.errors import HostError, did_you_mean
from mcp_host.plugins.kinds import KINDS
from mcp_host.system.texts import one_line, printable

if TYPE_CHECKING:
    from pydantic import BaseModel

_HINTS = {
    "readOnlyHint": ("read-only", "writes"),
    "destructiveHint": ("destructive", "not destructive"),
    "idempotentHint": ("idempotent", "not idempotent"),
    "openWorldHint": ("open world", "closed world"),
}
_COMMANDS = {kind.plural: f"mcp-host {kind.command} {{}}{' {}' if kind.named else ''}" for kind in KINDS}
_NAMED = {kind.plural for kind in KINDS if kind.named}


def inspect(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Show one tool, resource, template or prompt in full: its name or URI.",
            autocompletion=completion.everything,
        ),
    ] = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    header: HeaderOption = None,
    token_env: TokenOption = None,
    as_json: JsonOption = False,
    disable: DisableOption = None,
) -> None:
    """Show everything that is served.

    Tools, resources, templates and prompts, as a client sees them. With NAME, all details of one of them.
    """
    server = remote(url, header, token_env)
    with command_stdout() as stdout:
        _show(asyncio.run(_served(config, server, disable)), name, as_json, stdout)


def _show(served: Mapping[str, Any], name: str | None, as_json: bool, out: TextIO) -> None:
    contents: dict[str, list[dict[str, Any]]] = served["contents"]
    if name is not None:
        found = [(kind, item) for kind, items in contents.items() for item in items if name in _names(item)]
        if not found:
            names = [_key(item) for items in contents.values() for item in items]
            raise HostError(f"nothing is served as {name!r}{did_you_mean(name, names)}", hint="mcp-host inspect")
        if as_json:
            items = [item for _, item in found]
            print_json(items[0] if len(items) == 1 else items, out)
        else:
            write("\n\n".join("\n".join(_one(kind, item, out)) for kind, item in found), out)
    elif as_json:
        print_json({**served["server"], **contents}, out)
    else:
        write("\n\n".join(_everything(served["server"], contents, out)), out)


async def _served(config: Path | None, remote: Remote | None, disable: list[str] | None) -> dict[str, Any]:
    async with client(config, remote, disable) as connected:
        capabilities = connected.server_capabilities
        contents: dict[str, list[dict[str, Any]]] = {}
        for kind in KINDS:
            items = contents[kind.plural] = []
            # A remote server may not have all of them: only what it declares is listed.
            if getattr(capabilities, kind.filter) is not None:
                async for page in pages(getattr(connected, f"list_{kind.list_attribute}")):
                    items.extend(map(_dump, getattr(page, kind.list_attribute)))
        info = connected.server_info
        server = {
            "name": info.name if info else None,
            "version": info.version if info else None,
            "protocol": connected.protocol_version,
            "capabilities": _dump(capabilities),
            "instructions": connected.instructions,
        }
        return {"server": server, "contents": contents}


def _dump(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def _key(item: Mapping[str, Any]) -> str:
    return str(item.get("uri") or item.get("uriTemplate") or item["name"])


def _names(item: Mapping[str, Any]) -> tuple[str, str]:
    return _key(item), str(item["name"])


def _summary(item: Mapping[str, Any]) -> str:
    text = str(item.get("description") or item.get("title") or "")
    return text.strip().partition("\n")[0]


def _everything(server: Mapping[str, Any], contents: Mapping[str, list[dict[str, Any]]], out: TextIO) -> Iterator[str]:
    """Yield one block of text for the server, and one for each kind of thing it serves."""
    about = [one_line(f"{server['name']} {server['version']}".strip()), one_line(f"protocol {server['protocol']}")]
    if server["instructions"]:
        about.append("\n" + server["instructions"])
    yield printable("\n".join(about))
    for kind, items in contents.items():
        if kind in _NAMED:
            rows = [(_key(item), " ".join(_arguments(item)), _summary(item)) for item in items]
            columns: tuple[str, ...] = (kind, "arguments", "about")
        else:
            rows = [(_key(item), str(item.get("mimeType", "")), _summary(item)) for item in items]
            columns = (kind, "type", "about")
        if items:
            yield table(columns, rows, out)


def _arguments(item: Mapping[str, Any]) -> list[str]:
    """Return the names of the arguments. Optional ones are in brackets."""
    return [name if required else f"[{name}]" for name, required, _ in _parameters(item)]


def _parameters(item: Mapping[str, Any]) -> list[tuple[str, bool, Mapping[str, Any]]]:
    """Return name, whether it is required, and schema of each argument of a tool or prompt."""
    if "inputSchema" in item:
        schema = item["inputSchema"]
        required = schema.get("required", ())
        return [(name, name in required, field) for name, field in schema.get("properties", {}).items()]
    return [(each["name"], bool(each.get("required")), each) for each in item.get("arguments", ())]


def _one(kind: str, item: Mapping[str, Any], out: TextIO) -> Iterator[str]:
    """Yield the lines about one tool, resource, template or prompt."""
    yield bold(one_line(f"{kind.removesuffix('s')} {_key(item)}"), out)
    facts = [str(item["title"])] if item.get("title") else []
    plugin = item.get("_meta", {}).get("mcp-host/plugin", {})
    if plugin:
        facts.append(f"plugin {plugin.get('name')} ({plugin.get('distribution')} {plugin.get('version')})")
    facts += [item["mimeType"]] if item.get("mimeType") else []
    hints = item.get("annotations", {})
    facts += [_HINTS[hint][0 if value else 1] for hint, value in hints.items() if hint in _HINTS]
    if facts:
        yield one_line(", ".join(facts))
    if item.get("description"):
        yield printable(f"\n{str(item['description']).strip()}")
    if parameters := _parameters(item):
        rows = [
            (name, _type(field) if kind == "tools" else "", _must(field, required), _about(field))
            for name, required, field in parameters
        ]
        yield "\n" + table(("argument", "type", "needed", "about"), rows, out)
    if results := item.get("outputSchema", {}).get("properties"):
        yield "\n" + table(
            ("result", "type", "about"),
            [(name, _type(field), _about(field)) for name, field in results.items()],
            out,
        )
    example = " ".join(f"{name}=..." for name, required, _ in parameters if required)
    yield "\n" + one_line(_COMMANDS[kind].format(_key(item), example).strip())


def _about(field: Mapping[str, Any]) -> str:
    # Not the title: without one from the author, pydantic makes it from the name.
    return str(field.get("description", ""))


def _must(field: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    return f"default {json.dumps(field['default'])}" if field.get("default") is not None else "optional"


def _type(field: Mapping[str, Any]) -> str:
    """Return a short name for the type that a JSON Schema allows."""
    if "enum" in field:
        return " | ".join(json.dumps(value) for value in field["enum"])
    if "anyOf" in field:
        return " | ".join(_type(option) for option in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if field.get("type") == "array":
        return f"array of {_type(field.get('items', {}))}"
    return str(field.get("type", "any"))
