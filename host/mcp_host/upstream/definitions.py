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
from mcp_host.upstream.wire import means_closed

logger = logging.getLogger(__name__)

_MOST_PAGES = 200
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

    def lists_the_same(self, other: Definitions) -> bool:
        """Return whether clients would see no difference."""
        return all(getattr(self, key) == getattr(other, key) for key in (*_ITEMS, "instructions", "capabilities"))

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


async def list_all(session: ClientSession, log: logging.Logger) -> Definitions:
    """Ask a server for all its lists, every page of them. `log` gets what is left out.

    Raises:
        MCPError: The list of tools cannot be read.
    """
    capabilities = session.server_capabilities or types.ServerCapabilities()
    info = session.server_info
    lists: dict[str, list[Any]] = {kind: [] for kind in _ITEMS}
    if capabilities.tools is not None:
        lists["tools"] = await _pages(session.list_tools, "tools", log)
    asked: list[tuple[str, Any, Any]] = [
        ("resources", capabilities.resources, session.list_resources),
        ("templates", capabilities.resources, session.list_resource_templates),
        ("prompts", capabilities.prompts, session.list_prompts),
    ]
    for kind, has, ask in asked:
        if has is not None:
            try:
                lists[kind] = await _pages(ask, "resource_templates" if kind == "templates" else kind, log)
            except MCPError as error:
                if means_closed(error):
                    raise
                log.warning("its list of %s cannot be read, and is left out: %s", kind, error.message)
    return Definitions(
        protocol_version=session.protocol_version or "",
        server_name=info.name if info else "",
        server_version=info.version if info else "",
        instructions=session.instructions,
        capabilities=capabilities,
        **{kind: tuple(items) for kind, items in lists.items()},
    )


async def _pages(ask: Callable[..., Awaitable[Any]], key: str, log: logging.Logger) -> list[Any]:
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
            log.warning("its list of %s names a page twice; what comes after that is left out", key)
            return found
        seen.add(cursor)
    log.warning("its list of %s has more than %d pages; the rest is left out", key, _MOST_PAGES)
    return found
