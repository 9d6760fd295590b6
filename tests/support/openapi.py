"""A plugin that is generated from an OpenAPI document: each operation is a tool that calls a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from mcp_host import Plugin, SchemaTool, ToolError

METHODS = ("get", "put", "post", "delete", "patch")


def openapi_plugin(document: Mapping[str, Any], base_url: str) -> Plugin:
    """Return a plugin with a tool for each operation of an OpenAPI 3.1 document, named by its `operationId`."""
    plugin = Plugin()
    plugin._tools.extend(_tools(document, base_url))
    return plugin


def _tools(document: Mapping[str, Any], base_url: str) -> Iterator[SchemaTool]:
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                yield _tool(document, base_url, path, method, operations[method])


def _tool(
    document: Mapping[str, Any], base_url: str, path: str, method: str, operation: Mapping[str, Any]
) -> SchemaTool:
    parameters = operation.get("parameters", [])
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    properties = {given["name"]: given["schema"] for given in parameters} | ({"body": body} if body else {})
    required = [given["name"] for given in parameters if given.get("required")] + (["body"] if body else [])
    content = operation["responses"].get("200", {}).get("content", {})

    def handle(arguments: Mapping[str, Any], ctx: Any) -> Any:
        query = {given["name"]: arguments[given["name"]] for given in parameters if _is_query(given, arguments)}
        sent = json.dumps(arguments["body"]).encode() if "body" in arguments else None
        url = f"{base_url}{path.format_map(arguments)}?{urlencode(query)}"
        try:
            with urlopen(Request(url, sent, method=method.upper()), timeout=60) as response:
                return json.load(response) if content else None
        except HTTPError as error:
            error.close()
            raise ToolError(f"the server answered {error.code}") from error

    return SchemaTool(
        operation["operationId"],
        _with_components(document, {"type": "object", "properties": properties, "required": required}),
        handle,
        output_schema=_with_components(document, content["application/json"]["schema"]) if content else None,
        description=operation.get("summary"),
        read_only=method == "get",
        destructive=method == "delete",
    )


def _is_query(given: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    return given["in"] == "query" and given["name"] in arguments


def _with_components(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with what it may refer to (`#/components/schemas/...`)."""
    return {**schema, "components": {"schemas": document["components"]["schemas"]}}
