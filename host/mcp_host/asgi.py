"""A host as an ASGI app, to be served or mounted.

```python
from mcp_host.asgi import create_app
from starlette.applications import Starlette
from starlette.routing import Mount

app = Starlette(routes=[Mount("/tools", create_app("mcp-host.toml"))])  # clients connect to /tools/mcp
```
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mcp_host.config import HostConfig, load_config
from mcp_host.plugins.discovery import discover
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.server.http.app import HostApp

__all__ = ["HostApp", "create_app"]


def create_app(config: HostConfig | Path | str, *, objects: Mapping[str, object] | None = None) -> HostApp:
    """Load the plugins of a configuration, or of the file at this path, and return the app that serves them.

    `[transport]`'s path, CORS and guard apply, whatever its `kind`; host and port are the outer server's.
    `objects` are plugin objects by name that take the place of installed plugins.

    Raises:
        ConfigError: The file says something the host cannot use.
        StartRefusedError: A required plugin failed to load; one that fails to start raises when the app starts.
    """
    if not isinstance(config, HostConfig):
        config = load_config(Path(config))
    config = config.model_copy(update={"transport": config.transport.model_copy(update={"kind": "http"})})
    host = Host(config, installed=discover(), objects=objects, adopt=adopt)
    host.require()
    return HostApp(HostServer(host))
