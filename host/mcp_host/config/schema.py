"""The JSON Schema of mcp-host.toml for editors, with the settings of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from mcp_host.config.references import SECRET_REFERENCE
from mcp_host.config.sections import HostConfig
from mcp_host.config.values import PLUGIN_NAME


def config_schema(models: Mapping[str, type[BaseModel] | None]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file, with the settings of each given plugin under its name.

    A plugin whose model is None has no settings. The schema allows other plugins with any settings. Every setting may
    be a reference to a secret, at any depth.
    """
    schema = HostConfig.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    section = definitions["PluginSection"]
    known: dict[str, Any] = {}
    for name, model in models.items():
        settings, inner = _settings_schema(name, model)
        definitions |= inner
        known[name] = {**section, "properties": {**section["properties"], "settings": settings}}
    schema["properties"]["plugins"] = {
        "type": "object",
        "description": HostConfig.model_fields["plugins"].description,
        "properties": known,
        "propertyNames": {"pattern": f"^{PLUGIN_NAME}$"},
        "additionalProperties": {"$ref": "#/$defs/PluginSection"},
    }
    definitions["SecretReference"] = SECRET_REFERENCE
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "mcp-host.toml"}


def _settings_schema(name: str, model: type[BaseModel] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of one plugin's settings, and its definitions under names that no other plugin uses."""
    if model is None:
        return {"type": "object", "maxProperties": 0, "description": f"{name} takes no settings."}, {}
    # The name of an entry point may have any character. A JSON pointer (RFC 6901) escapes ~ and /, a URI fragment the
    # others.
    pointer = quote(name.replace("~", "~0").replace("/", "~1"), safe="/")
    try:
        schema = model.model_json_schema(ref_template=f"#/$defs/{pointer}.{{model}}")
    except Exception:
        # A model may have types without a JSON Schema, or its own types, which may raise any error.
        return {"type": "object"}, {}
    definitions = schema.pop("$defs", {})
    return _with_references(schema), {f"{name}.{key}": _with_references(value) for key, value in definitions.items()}


def _with_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which every inner value may be a reference to a secret."""
    widened = dict(schema)
    for keyword, value in schema.items():
        match keyword:
            case "properties" | "patternProperties":
                widened[keyword] = {key: _or_reference(inner) for key, inner in value.items()}
            case "items" | "additionalProperties":
                widened[keyword] = _or_reference(value)
            case "prefixItems":
                widened[keyword] = [_or_reference(inner) for inner in value]
            case "anyOf" | "oneOf" | "allOf":
                widened[keyword] = [_with_references(inner) for inner in value]
    return widened


def _or_reference(schema: dict[str, Any] | bool) -> dict[str, Any] | bool:
    if isinstance(schema, bool):
        return schema
    # Editors show the keywords at the top level of a schema, so they stay there.
    outside = {"title", "description", "default", "examples", "deprecated"}
    shown = {key: value for key, value in schema.items() if key in outside}
    rest = {key: value for key, value in _with_references(schema).items() if key not in outside}
    return {**shown, "anyOf": [rest, {"$ref": "#/$defs/SecretReference"}]}
