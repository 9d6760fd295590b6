"""What another server lists, and a copy of it on disk, so that it can be listed before the server is started."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import mcp.types as types
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp.types import METHOD_NOT_FOUND
from pydantic import TypeAdapter

from mcp_host.system.files import atomic_write
from mcp_host.upstream.wire import Wire, means_closed

logger = logging.getLogger(__name__)

_MOST_PAGES = 200
_MOST_LEFT_OUT = 20
_FORMAT = 2


@dataclass(frozen=True)
class Definitions:
    """All that one server listed, and what it said about itself when the session began."""

    protocol_version: str = ""
    server_name: str = ""
    server_version: str = ""
    instructions: str | None = None
    capabilities: types.ServerCapabilities = field(default_factory=types.ServerCapabilities)
    tools: tuple[types.Tool, ...] = ()
    resources: tuple[types.Resource, ...] = ()
    templates: tuple[types.ResourceTemplate, ...] = ()
    prompts: tuple[types.Prompt, ...] = ()
    left_out: tuple[str, ...] = ()
    """What the lists have that cannot be served, a sentence each."""

    @property
    def server(self) -> str | None:
        """The name and version that the server gave, if any."""
        return f"{self.server_name} {self.server_version}".strip() or None

    @property
    def text(self) -> str:
        """All of it, as JSON."""
        return _AS_JSON.dump_json(self, by_alias=True, exclude_none=True).decode()

    def save(self, file: Path, key: str) -> None:
        """Write it to a file. `key` stands for what it was made from.

        Raises:
            OSError: It cannot be written.
        """
        head = json.dumps({"format": _FORMAT, "key": key})
        atomic_write(file, f'{head[:-1]}, "definitions": {self.text}}}'.encode(), mode=0o600)

    @classmethod
    def load(cls, file: Path, key: str) -> Definitions | None:
        """Read it from a file, or return None: there is none, or it was made from something else or by another host."""
        try:
            data = json.loads(file.read_bytes())
            if not isinstance(data, dict) or (data.get("format"), data.get("key")) != (_FORMAT, key):
                return None
            return _AS_JSON.validate_python(data["definitions"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, RecursionError) as error:
            logger.debug("%s is not used: %s", file, error)
            return None


_AS_JSON: Final = TypeAdapter(Definitions)

_ITEMS: Final[dict[str, Any]] = {
    "tools": types.Tool,
    "resources": types.Resource,
    "templates": types.ResourceTemplate,
    "prompts": types.Prompt,
}


async def list_all(session: ClientSession, wire: Wire) -> Definitions:
    """Ask a server for all its lists, every page of them. `wire` is the session's.

    Raises:
        MCPError: The list of tools cannot be read.
    """
    capabilities = session.server_capabilities or types.ServerCapabilities()
    info = session.server_info
    lists: dict[str, list[Any]] = {kind: [] for kind in _ITEMS}
    left_out = wire.left_out = []
    if capabilities.tools is not None:
        lists["tools"] = await _pages(session.list_tools, "tools", left_out)
    asked: list[tuple[str, Any, Any]] = [
        ("resources", capabilities.resources, session.list_resources),
        ("templates", capabilities.resources, session.list_resource_templates),
        ("prompts", capabilities.prompts, session.list_prompts),
    ]
    for kind, has, ask in asked:
        if has is not None:
            try:
                lists[kind] = await _pages(ask, "resource_templates" if kind == "templates" else kind, left_out)
            except MCPError as error:
                if means_closed(error):
                    raise
                left_out.append(f"its list of {kind} cannot be read, and is left out: {error.message}")
    return Definitions(
        protocol_version=session.protocol_version or "",
        server_name=info.name if info else "",
        server_version=info.version if info else "",
        instructions=session.instructions,
        capabilities=capabilities,
        left_out=tuple(_shortened(left_out)),
        **{kind: tuple(items) for kind, items in lists.items()},
    )


def _shortened(left_out: list[str]) -> list[str]:
    """Return the sentences without those beyond a bound, which are counted."""
    more = len(left_out) - _MOST_LEFT_OUT
    return left_out if more <= 0 else [*left_out[:_MOST_LEFT_OUT], f"{more} more of its items are left out"]


async def _pages(ask: Callable[..., Awaitable[Any]], key: str, left_out: list[str]) -> list[Any]:
    found: list[Any] = []
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        try:
            page = await ask(params=types.PaginatedRequestParams(cursor=cursor) if cursor else None)
        except MCPError as error:
            if error.code == METHOD_NOT_FOUND and not found:
                return []
            raise
        found += getattr(page, key)
        cursor = page.next_cursor
        if not cursor:
            return found
        if cursor in seen:
            left_out.append(f"its list of {key} names a page twice; what comes after that is left out")
            return found
        seen.add(cursor)
    left_out.append(f"its list of {key} has more than {_MOST_PAGES} pages; the rest is left out")
    return found
