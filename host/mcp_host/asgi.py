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
from mcp_host.errors import HostError
from mcp_host.plugins.discovery import discover
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.server.http.app import HostApp
from mcp_host.server.http.headers import refuse_open
from mcp_host.server.reload import Reloader, following, if_unhandled

__all__ = ["HostApp", "create_app"]


def create_app(
    config: HostConfig | Path | str, *, objects: Mapping[str, object] | None = None, reload: bool = False
) -> HostApp:
    """Load the plugins of a configuration, or of the file at this path, and return the app that serves them.

    The path, the CORS settings and the header checks of `[transport]` apply for any `kind`. The outer server has its
    own host and port. `objects` are plugin objects by name; they replace installed plugins. With `reload`, the app
    follows the file as `mcp-host run --reload` does: when it is written, and at SIGHUP if that would end the process.

    When a signal stops the outer server, the app refuses new calls. Calls in flight have `[host] shutdown_timeout`,
    and are cancelled then.

    Raises:
        ConfigError: The file is not valid.
        HostError: There is neither `[auth]` nor `[transport] insecure = true`. Whoever reaches the outer server could
            call every tool. Or there is no file to follow.
        StartRefusedError: A required plugin failed to load. If one fails to start, the app raises this when it starts.
    """
    given = config if isinstance(config, HostConfig) else load_config(Path(config))
    file = given.path if reload else None
    if reload and file is None:
        raise HostError("there is no file to follow", hint='create_app("mcp-host.toml", reload=True)')
    own = _over_http(given)
    refuse_open(own, mounted=True)
    host = Host(own, installed=discover(), objects=objects, adopt=adopt, patient=False)
    host.require()
    server = HostServer(host, reloads=reload)
    if file is None:
        return HostApp(server)
    reloader = Reloader(server, lambda: _over_http(load_config(file)))
    return HostApp(server, meanwhile=lambda: following(reloader, file, handling=if_unhandled))


def _over_http(config: HostConfig) -> HostConfig:
    return config.model_copy(update={"transport": config.transport.model_copy(update={"kind": "http"})})
