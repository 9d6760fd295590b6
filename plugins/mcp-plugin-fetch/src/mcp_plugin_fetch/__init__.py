"""Web pages for mcp-host: fetched through the host's guarded client, shown as Markdown, text or images.

`settings` what may be configured · `app` the plugin and its lifespan · `tools`, `prompts` what is served · `fetcher`
one page from URL to text · `robots` what sites ask robots for · `media` types and encodings · `markdown` starts
`worker`, a process of its own that turns HTML into Markdown · `pages` what was fetched, and how it is told.
"""

from mcp_plugin_fetch import prompts, tools
from mcp_plugin_fetch.app import plugin
from mcp_plugin_fetch.settings import Settings

__all__ = ["Settings", "plugin", "prompts", "tools"]
