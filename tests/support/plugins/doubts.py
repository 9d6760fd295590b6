"""Asks itself questions."""

import asyncio
import threading

from mcp_host import Plugin, PluginContext

plugin = Plugin()


@plugin.check
async def all_is_well() -> None:
    return None


@plugin.check("the plugin's name")
async def name(plugin: PluginContext) -> str:
    return f"it is {plugin.name}"


@plugin.check
def does_it_raise() -> None:
    raise SystemExit("it does")


@plugin.check
async def does_it_end() -> None:
    await asyncio.Event().wait()


@plugin.check
def does_it_end_in_a_thread() -> None:
    threading.Event().wait()
