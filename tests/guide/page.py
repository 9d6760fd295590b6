"""What docs/howto/port-fastmcp.md shows: the old spelling of each chapter, and the plugins of `servers/`."""

from __future__ import annotations

from docs.pages import DOCS, blocks

PAGE = DOCS / "howto" / "port-fastmcp.md"


def old_spelling() -> dict[str, str]:
    """Return the blocks for mcp 1, by module name."""
    return {
        (block.title or "").removesuffix(".py, mcp 1"): block.text for block in blocks(PAGE) if block.language == "py"
    }


def shown() -> dict[str, str]:
    """Return the plugins as the page shows them, by file name."""
    return {block.title: block.text for block in blocks(PAGE) if block.language == "python" and block.title}


def renamed(source: str) -> str:
    """Return an old server in which only the names that mcp 2 has renamed are changed."""
    source = source.replace("mcp.server.fastmcp", "mcp.server.mcpserver").replace("FastMCP", "MCPServer")
    return source.replace("import httpx\n", "import httpx2 as httpx\n")
