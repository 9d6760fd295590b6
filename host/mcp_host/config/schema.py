"""The JSON Schema of mcp-host.toml, plugins' settings included, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from mcp_host.config.sections import PLUGIN_NAME, HostConfig


def config_schema(models: Mapping[str, type[BaseModel] | None]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file, with the settings of each given plugin under its name.

    A plugin whose model is None takes no settings. Other plugins may be named as well, with any settings. Every
    setting may also be a reference to a secret, at any depth.
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
    definitions["SecretReference"] = {
        "description": "A secret, read from an environment variable or from a file.",
        "type": "object",
        "properties": {
            "env": {"type": "string", "description": "Name of the environment variable."},
            "file": {"type": "string", "description": "Path of the file, relative to this one."},
        },
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "mcp-host.toml"}


def _settings_schema(name: str, model: type[BaseModel] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of one plugin's settings, and the definitions it refers to, under names of their own."""
    if model is None:
        return {"type": "object", "maxProperties": 0, "description": f"{name} takes no settings."}, {}
    # Of a name out of an entry point, a JSON pointer (RFC 6901) quotes ~ and /, and a URI fragment the rest.
    pointer = quote(name.replace("~", "~0").replace("/", "~1"), safe="/")
    try:
        schema = model.model_json_schema(ref_template=f"#/$defs/{pointer}.{{model}}")
    except Exception:
        # A model may have types without a JSON Schema, or types of its own whose schema raises anything.
        return {"type": "object"}, {}
    definitions = schema.pop("$defs", {})
    return _with_references(schema), {f"{name}.{key}": _with_references(value) for key, value in definitions.items()}


def _with_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose every inner value may also be a reference to a secret."""
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
    # What an editor shows stays outside, where it finds it.
    outside = {"title", "description", "default", "examples", "deprecated"}
    shown = {key: value for key, value in schema.items() if key in outside}
    rest = {key: value for key, value in _with_references(schema).items() if key not in outside}
    return {**shown, "anyOf": [rest, {"$ref": "#/$defs/SecretReference"}]}
