"""`mcp-host.toml`: the models of its tables, reading it, what is wrong with it, and the secrets in it.

`sections` the models · `reading` finds and reads the file · `layers` variables and flags over it · `explain` what is
wrong, in the file's words · `origins` where each value came from · `annotations` walks the models' types ·
`references` and `secrets` what must not be shown · `schema` the JSON Schema.
"""

from mcp_host.config.reading import find_config, load_config, parse_config, user_dir
from mcp_host.config.sections import (
    AuthSection,
    Duration,
    HostConfig,
    HostSection,
    Limits,
    NameFilter,
    PluginSection,
    ToolFilter,
    TransportSection,
    is_loopback,
    is_safe_to_fetch,
)

__all__ = [
    "AuthSection",
    "Duration",
    "HostConfig",
    "HostSection",
    "Limits",
    "NameFilter",
    "PluginSection",
    "ToolFilter",
    "TransportSection",
    "find_config",
    "is_loopback",
    "is_safe_to_fetch",
    "load_config",
    "parse_config",
    "user_dir",
]
