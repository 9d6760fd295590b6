"""A plugin that works next to a hostile one."""

import os

from mcp_host import Plugin

plugin = Plugin()


@plugin.tool(structured_output=False)
def neighbour() -> str:
    """Return the working directory, and print a line to stdout."""
    print("printed by a neighbour")
    return os.getcwd()


@plugin.tool(structured_output=False)
def where(fault: str) -> str:
    """A tool whose call the hostile middleware wraps."""
    return os.getcwd()
