"""MCP Apps (SEP-1865): a tool names the page that renders its results. The page is a resource of the same plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcp.server.apps import APP_MIME_TYPE
from mcp.shared.uri_template import UriTemplate

from mcp_host.api import SchemaTool, Tool
from mcp_host.catalog.served import ServedResource, ServedTemplate
from mcp_host.errors import HostError, did_you_mean
from mcp_host.plugins.plugin import LoadedPlugin

UI_SCHEME = "ui://"


def with_ui(
    plugin: LoadedPlugin,
    tool: Tool | SchemaTool,
    given: Mapping[str, Any],
    resources: Sequence[ServedResource | ServedTemplate],
) -> dict[str, Any]:
    """Return `given`, the tool's `_meta`, with its UI as in SEP-1865. If the resource is filtered out, so is the UI."""
    meta = dict(given)
    ui = meta.pop("ui", {})
    if tool.ui is not None:
        _refuse_bad_ui(plugin, tool.ui, resources)
        ui = {**ui, "resourceUri": tool.ui}
    uri = ui.get("resourceUri") if isinstance(ui, Mapping) else None
    contributed = any(answers(resource.uri, uri) for resource in plugin.contributions.resources)
    if contributed and not any(answers(resource.name, uri) for resource in resources):
        ui = {key: value for key, value in ui.items() if key != "resourceUri"}
    return {**meta, "ui": ui} if ui else meta


def _refuse_bad_ui(plugin: LoadedPlugin, uri: str, resources: Sequence[ServedResource | ServedTemplate]) -> None:
    if not uri.startswith(UI_SCHEME):
        raise HostError(f"its ui {uri!r} is not at {UI_SCHEME}", hint=f'write ui="{UI_SCHEME}..."')
    every = [resource.uri for resource in plugin.contributions.resources]
    if not any(answers(known, uri) for known in every):
        apps = [known for known in every if known.startswith(UI_SCHEME)]
        raise HostError(
            f"its ui {uri!r} is not a resource of the plugin{did_you_mean(uri, apps)}",
            hint=f'contribute the page: @plugin.resource("{uri}") above a function that returns its HTML',
        )
    page = next((resource for resource in resources if answers(resource.name, uri)), None)
    if page is not None and page.mime_type != APP_MIME_TYPE:
        raise HostError(
            f"its ui {uri!r} is served as {page.mime_type!r}, and clients render only {APP_MIME_TYPE!r}",
            hint=f"leave mime_type out of the resource at {uri}",
        )


def answers(served: str, uri: object) -> bool:
    """Return whether the resource or template at `served` serves the URI."""
    if not isinstance(uri, str):
        return False
    return served == uri or ("{" in served and UriTemplate.parse(served).match(uri) is not None)
