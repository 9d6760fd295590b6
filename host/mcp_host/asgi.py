"""A host as an ASGI app, to serve or to mount.

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
from mcp_host.server.http.headers import refuse_open

__all__ = ["HostApp", "create_app"]


def create_app(config: HostConfig | Path | str, *, objects: Mapping[str, object] | None = None) -> HostApp:
    """Load the plugins of a configuration, or of the file at this path, and return the app that serves them.

    The path, the CORS settings and the header checks of `[transport]` apply for any `kind`. The outer server has its
    own host and port. `objects` are plugin objects by name; they replace installed plugins.

    Raises:
        ConfigError: The file is not valid.
        HostError: There is neither `[auth]` nor `[transport] insecure = true`. Whoever reaches the outer server could
            call every tool.
        StartRefusedError: A required plugin failed to load. If one fails to start, the app raises this when it starts.
    """
    if not isinstance(config, HostConfig):
        config = load_config(Path(config))
    config = config.model_copy(update={"transport": config.transport.model_copy(update={"kind": "http"})})
    refuse_open(config, mounted=True)
    host = Host(config, installed=discover(), objects=objects, adopt=adopt, patient=False)
    host.require()
    return HostApp(HostServer(host))
