"""The public surface as data. Within a major version, it may only grow.

`python tests/surface/surface.py > tests/surface/surface.json` records it again.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

import mcp_host
from mcp_host import hookspecs
from mcp_host.config import HostConfig
from mcp_host.errors import Problem
from mcp_host.plugins.hooks import HOOKS
from mcp_host.plugins.records import PluginRecord, Stage
from mcp_host.testing import connect


def surface() -> dict[str, Any]:
    """Return names, hooks, dataclass fields, TOML keys and record keys."""
    return {
        "names": sorted(mcp_host.__all__),
        "dataclasses": {
            name: [field.name for field in dataclasses.fields(value) if not field.name.startswith("_")]
            for name in sorted(mcp_host.__all__)
            if dataclasses.is_dataclass(value := getattr(mcp_host, name))
        },
        "plugin": {
            name: parameters(member)
            for name, member in vars(mcp_host.Plugin).items()
            if callable(member) and (name == "__init__" or not name.startswith("_")) and not name.startswith("mcp_")
        },
        "hooks": {name: parameters(getattr(hookspecs, name)) for name in sorted(HOOKS)},
        "context": ["settings", "state", "plugin", "client_id"],
        "toml": sorted(toml_keys(HostConfig.model_json_schema())),
        "stages": [stage.value for stage in Stage],
        "record": sorted(PluginRecord("x", problem=Problem("x")).to_json()),
        "connect": parameters(connect),
    }


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def toml_keys(schema: dict[str, Any]) -> set[str]:
    definitions = schema.get("$defs", {})

    def walk(node: dict[str, Any], above: str) -> set[str]:
        node = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        found: set[str] = set()
        for option in node.get("anyOf", ()):
            found |= walk(option, above)
        for key, value in node.get("properties", {}).items():
            name = f"{above}.{key}" if above else key
            found |= {name} | walk(value, name)
        if isinstance(node.get("additionalProperties"), dict) and above == "plugins":
            found |= walk(node["additionalProperties"], f"{above}.NAME")
        return found

    return walk(schema, "")


if __name__ == "__main__":
    print(json.dumps(surface(), indent=2))
