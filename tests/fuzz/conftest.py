"""A host with one plugin that repeats its arguments and counts the objects of the process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, settings

from fuzz.corpus import CORPUS
from support.sites import Site

_Test = TypeVar("_Test", bound=Callable[..., Any])

ECHO = '''
"""Repeats its arguments, and counts objects."""
import asyncio
import gc
import threading

from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher

from mcp_host import Context, Plugin

plugin = Plugin()


@plugin.tool
async def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


@plugin.tool
async def echo(value: object = None) -> dict[str, object]:
    """Repeat a value."""
    return {"value": value}


@plugin.tool
async def hold(ctx: Context) -> str:
    """Report progress once, and wait for ever."""
    await ctx.report_progress(0, message="holding")
    await asyncio.Event().wait()
    return ""


@plugin.tool
async def census() -> dict[str, int]:
    """Count the objects of the process."""
    gc.collect()
    transports = [o for o in gc.get_objects() if isinstance(o, StreamableHTTPServerTransport)]
    dispatchers = [o for o in gc.get_objects() if isinstance(o, JSONRPCDispatcher)]
    return {
        "tasks": len(asyncio.all_tasks()),
        "sessions": len(transports),
        "streams": sum(len(transport._request_streams) for transport in transports),
        "dispatchers": len(dispatchers),
        "pending": sum(len(d._in_flight) + len(d._pending) for d in dispatchers),
    }


@plugin.resource("echo://fixed")
async def fixed() -> str:
    """A fixed text."""
    return "fixed"


@plugin.resource("echo://some/{text}")
async def some(text: str) -> str:
    """Repeat a part of the URI."""
    return text


@plugin.prompt
async def say(text: str) -> str:
    """Repeat a text."""
    return text


@plugin.completion("say", "text")
async def texts(value: str) -> list[str]:
    return [value]
'''


EXAMPLES = os.environ.get("MCP_HOST_FUZZ_EXAMPLES")
"""How many inputs a test generates, different in each run. Without it, they are few and the same in every run."""


def bounded(test: _Test) -> _Test:
    """Try as many inputs as `MCP_HOST_FUZZ_EXAMPLES`."""
    return settings(
        max_examples=int(EXAMPLES or 40),
        derandomize=EXAMPLES is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(test)


def seeded(test: _Test) -> _Test:
    """Begin with the corpus."""
    for payload in reversed(CORPUS):
        test = example(payload)(test)
    return test


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site directory with the plugin above."""
    site = Site(tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("wheels"))
    site.plugin("echo", ECHO)
    return site
