"""Loads plugins through pluggy, one at a time, from their table in the TOML to what their hooks returned.

`loading` goes through the stages; `importing` imports what an entry point names, `hooks` says which hooks that has,
`calling` calls them, and `loaded` is what comes of it.
"""

from mcp_host.loader.hooks import HOOKS
from mcp_host.loader.loaded import Contributions, LoadedPlugin
from mcp_host.loader.loading import Adopt, Adopted, Loader

__all__ = ["HOOKS", "Adopt", "Adopted", "Contributions", "LoadedPlugin", "Loader"]
