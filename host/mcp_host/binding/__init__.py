"""Binds what one plugin contributed to what can be served, filtered and renamed as its table in the TOML says.

`served` is what comes of it, `binder` makes it, with the rules of `filters` (what is left out), `facts` (names,
deadlines, scopes, hints), `apps` (pages that render results), `completions`, and `guarding` (whose fault an error is).
"""

from mcp_host.binding.binder import PROVENANCE, bind
from mcp_host.binding.filters import FilterKey, deny_line
from mcp_host.binding.served import (
    Bound,
    Completer,
    Parts,
    PreparedTool,
    Served,
    ServedPrompt,
    ServedResource,
    ServedTemplate,
    ServedTool,
    ServerCompletion,
)

__all__ = [
    "PROVENANCE",
    "Bound",
    "Completer",
    "FilterKey",
    "Parts",
    "PreparedTool",
    "Served",
    "ServedPrompt",
    "ServedResource",
    "ServedTemplate",
    "ServedTool",
    "ServerCompletion",
    "bind",
    "deny_line",
]
