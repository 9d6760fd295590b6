"""`mcp-host.toml`: the models of its tables, how it is read, its errors and its secrets.

`sections` and `pluginsection` have the models, `values` their types · `reading` finds and reads the file · `layers`
puts variables and flags over it · `explain` describes errors in the file's own terms · `origins` knows where each value
came from · `annotations` walks the models' types · `references` and `secrets` know what must not be shown · `schema`
makes the JSON Schema.
"""

from mcp_host.config.pluginsection import CONNECTED, NameFilter, PluginSection, Source, ToolFilter
from mcp_host.config.pythonfile import python_file
from mcp_host.config.reading import find_config, load_config, parse_config, user_dir
from mcp_host.config.sections import AuthSection, HostConfig, HostSection, TransportSection
from mcp_host.config.values import Duration, Limits, is_loopback, is_safe_to_fetch

__all__ = [
    "CONNECTED",
    "AuthSection",
    "Duration",
    "HostConfig",
    "HostSection",
    "Limits",
    "NameFilter",
    "PluginSection",
    "Source",
    "ToolFilter",
    "TransportSection",
    "find_config",
    "is_loopback",
    "is_safe_to_fetch",
    "load_config",
    "parse_config",
    "python_file",
    "user_dir",
]
