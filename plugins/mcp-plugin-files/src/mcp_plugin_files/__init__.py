"""Documents for mcp-host: folders named in the settings, listed, read, searched and, where allowed, edited.

`settings` what may be configured · `hooks` what is contributed, by `tools/`, `resources`, `checks` · `served` what is
held while it serves · `folders` all disk access by name, `roots` what is served of it, `paths` text only · `listing`,
`folderview`, `reading`, `encodings`, `media`, `writing`, `candidates`, `engines`, `watching` one job each · `models`
results · `errors` refusals.
"""

from mcp_plugin_files.hooks import (
    mcp_checks,
    mcp_completions,
    mcp_lifespan,
    mcp_resources,
    mcp_settings,
    mcp_tools,
)
from mcp_plugin_files.settings import RootFolder, Settings

__all__ = [
    "RootFolder",
    "Settings",
    "mcp_checks",
    "mcp_completions",
    "mcp_lifespan",
    "mcp_resources",
    "mcp_settings",
    "mcp_tools",
]
