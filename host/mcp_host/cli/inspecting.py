"""`mcp-host inspect`: everything a client would see."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host.cli.clients import UrlOption, client
from mcp_host.cli.common import ConfigOption, DisableOption, JsonOption
from mcp_host.cli.output import console, print_json, table
from mcp_host.errors import HostError, did_you_mean
from mcp_host.stdout import own_stdout

if TYPE_CHECKING:
    from pydantic import BaseModel


def inspect(
    name: Annotated[
        str | None, typer.Argument(help="Show all of one tool, resource, template or prompt: its name or URI.")
    ] = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
    disable: DisableOption = None,
) -> None:
    """Show everything that is served: tools, resources, templates, prompts."""
    with own_stdout() as stdout:
        served = asyncio.run(_served(config, url, disable))
        if name is not None:
            found = [item for items in served["contents"].values() for item in items if _key(item) == name]
            if not found:
                names = [_key(item) for items in served["contents"].values() for item in items]
                raise HostError(f"nothing is served as {name!r}{did_you_mean(name, names)}", mend="mcp-host inspect")
            print_json(found[0] if len(found) == 1 else found, stdout)
            return
        if as_json:
            print_json({**served["server"], **served["contents"]}, stdout)
            return
        screen = console(stdout)
        for title, items in served["contents"].items():
            if items:
                rows = [(_key(item), _summary(item)) for item in items]
                screen.print(table((title, ""), rows))
        if served["server"]["instructions"]:
            screen.print("instructions", style="bold")
            screen.print(served["server"]["instructions"], markup=False)


async def _served(config: Path | None, url: str | None, disable: list[str] | None) -> dict[str, Any]:
    async with client(config, url, disable) as connected:
        contents = {
            "tools": [_dump(tool) for tool in (await connected.list_tools()).tools],
            "resources": [_dump(resource) for resource in (await connected.list_resources()).resources],
            "templates": [_dump(t) for t in (await connected.list_resource_templates()).resource_templates],
            "prompts": [_dump(prompt) for prompt in (await connected.list_prompts()).prompts],
        }
        info = connected.server_info
        server = {
            "name": info.name if info else None,
            "version": info.version if info else None,
            "protocol": connected.protocol_version,
            "capabilities": _dump(connected.server_capabilities),
            "instructions": connected.instructions,
        }
        return {"server": server, "contents": contents}


def _dump(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def _key(item: dict[str, Any]) -> str:
    return str(item.get("uri") or item.get("uriTemplate") or item["name"])


def _summary(item: dict[str, Any]) -> str:
    text = str(item.get("description") or item.get("title") or "")
    return text.strip().partition("\n")[0]
