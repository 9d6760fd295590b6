"""Documents for mcp-host: lists, reads, searches and, if allowed, edits the folders named in the settings.

`settings` has the settings · `hooks` contributes `tools/`, `resources` and `checks` · `served` is the plugin's state ·
`folders` has all disk access by name, `roots` decides what is served, `own` what belongs to the host, `paths` handles
paths as text · `listing`, `gitignore` and `folderview` list · `reading`, `media` and `documents` (with the program
`extract`) read · `edits`, `diffs`, `writing` and `moving` change · `candidates`, `engines` and `passages` search ·
`watching` announces changes · `processes` runs programs · `models` has the results, `errors` the refusals.
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
