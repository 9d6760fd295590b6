"""The plugin in a host process that a client started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import TextContent

from support.webservers import page, web_server


@pytest.mark.anyio
async def test_a_page_is_fetched_by_a_host_that_serves_over_stdio(tmp_path: Path, mode: str) -> None:
    config = tmp_path / "mcp-host.toml"
    command = [sys.executable, "-m", "mcp_host", "run", "--transport", "stdio", "--config", str(config)]
    async with web_server({"/": page("<title>T</title><h1>Hello</h1>")}) as server:
        config.write_text(f'[plugins.fetch]\nsettings.allow = ["{server.address}"]\n')
        parameters = StdioServerParameters(command=command[0], args=command[1:], cwd=tmp_path)
        with (tmp_path / "log").open("w") as log:
            async with Client(stdio_client(parameters, log), mode=mode) as client:
                result = await client.call_tool("fetch", {"url": server.url})
                blocked = await client.call_tool("fetch", {"url": "http://127.0.0.1:1/"})
    assert not result.is_error, result.content
    assert isinstance(result.content[1], TextContent)
    assert result.content[1].text == "# Hello"
    assert blocked.is_error
    assert "refused to connect to 127.0.0.1 port 1" in (tmp_path / "log").read_text()
