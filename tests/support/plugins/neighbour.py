"""A plugin that works next to a hostile one."""

import os

from mcp_host import Plugin

plugin = Plugin()


@plugin.tool(structured_output=False)
def neighbour() -> str:
    """Where the process is, and a line for whoever reads stdout."""
    print("printed by a neighbour")
    return os.getcwd()


@plugin.tool(structured_output=False)
def where(fault: str) -> str:
    """A tool whose call the hostile middleware wraps."""
    return os.getcwd()
