"""Web pages for mcp-host: fetched with the host's guarded client, returned as Markdown, text or images.

`settings` has the settings · `app` the plugin and its lifespan · `tools` and `prompts` what is served · `fetcher`
fetches one URL · `robots` applies robots.txt · `media` knows media types and encodings · `conversion` starts a separate
process (`mcp_plugin_fetch_worker`) that converts HTML to Markdown and PDF to text · `pages` describes a fetched page.
"""

from mcp_plugin_fetch import prompts, tools
from mcp_plugin_fetch.app import plugin
from mcp_plugin_fetch.settings import Settings

__all__ = ["Settings", "plugin", "prompts", "tools"]
