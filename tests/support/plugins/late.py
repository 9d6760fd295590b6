"""Comes with a reload."""

from mcp_host import Plugin

plugin = Plugin()


@plugin.tool
def late() -> str:
    """Better than never."""
    return "here I am"


@plugin.prompt
def later() -> str:
    """A prompt that was not there before."""
    return "Wait for it."


@plugin.resource("late://one")
def one() -> str:
    """A resource that was not there before."""
    return "late"
