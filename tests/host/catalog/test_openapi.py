"""A plugin that is generated from a document at run time serves its operations as any other plugin's tools."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import mcp.types as types
import pytest
from jsonschema import Draft202012Validator

from mcp_host.testing import connect
from support.openapi import openapi_plugin

pytestmark = pytest.mark.anyio

PET = {"$ref": "#/components/schemas/Pet"}
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}


def operation(name: str, answer: Any = None, parameters: Any = (), body: Any = None) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": name, "summary": f"Run {name}.", "parameters": list(parameters)}
    made["responses"] = {"200": {"content": {"application/json": {"schema": answer}}}} if answer else {"204": {}}
    return made | ({"requestBody": {"content": {"application/json": {"schema": body}}}} if body else {})


KIND = {"name": "kind", "in": "query", "schema": {"enum": ["cat", "dog"]}}
COUNT = {"type": "integer"}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "paths": {
        "/pets": {
            "get": operation("list_pets", {"type": "array", "items": PET}, [KIND]),
            "post": operation("add_pet", PET, body=PET),
            "delete": operation("remove_pets"),
        },
        "/pets/{id}": {
            "get": operation("get_pet", PET, [ID]),
            "put": operation("replace_pet", PET, [ID], PET),
            "patch": operation("change_pet", PET, [ID], {"type": "object"}),
            "delete": operation("remove_pet", None, [ID]),
        },
        "/pets/{id}/parent": {"get": operation("get_parent", {"anyOf": [PET, {"type": "null"}]}, [ID])},
        "/count": {"get": operation("count_pets", COUNT)},
        "/broken": {"get": operation("break", COUNT)},
    },
    "components": {
        "schemas": {
            "Pet": {
                "type": "object",
                "properties": {"name": {"$ref": "#/components/schemas/Name"}, "kind": {"enum": ["cat", "dog"]}},
                "required": ["name"],
                "additionalProperties": False,
            },
            "Name": {"type": "string", "minLength": 1},
        }
    },
}


class Pets(BaseHTTPRequestHandler):
    """A small store of pets."""

    pets: dict[int, dict[str, Any]]

    def answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        body: dict[str, Any] = json.loads(self.rfile.read(length)) if length else {}
        match (self.command, *parts.path.strip("/").split("/")):
            case ("GET", "pets"):
                kinds = parse_qs(parts.query).get("kind", ["cat", "dog"])
                self.send([pet for pet in self.pets.values() if pet["kind"] in kinds])
            case ("POST", "pets"):
                self.pets[len(self.pets)] = body
                self.send(body)
            case ("DELETE", "pets"):
                self.pets.clear()
                self.send(None, 204)
            case ("GET", "pets", number):
                self.send(self.pets[int(number)]) if int(number) in self.pets else self.send(None, 404)
            case ("PUT" | "PATCH", "pets", number):
                self.pets[int(number)] = {**(self.pets[int(number)] if self.command == "PATCH" else {}), **body}
                self.send(self.pets[int(number)])
            case ("DELETE", "pets", number):
                del self.pets[int(number)]
                self.send(None, 204)
            case ("GET", "pets", _, "parent"):
                self.send(None)
            case ("GET", "count"):
                self.send(len(self.pets))
            case _:
                self.send("no number")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

    def send(self, value: Any, status: int = 200) -> None:
        body = b"" if status == 204 else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing to stderr."""


@pytest.fixture
def base_url() -> Iterator[str]:
    handler = type("Handler", (Pets,), {"pets": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_ten_operations_of_a_document_are_ten_tools(base_url: str, mode: str) -> None:
    cat, dog = {"name": "Tom", "kind": "cat"}, {"name": "Rex", "kind": "dog"}
    async with connect(openapi_plugin(DOCUMENT, base_url), mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert len(tools) == 10
        assert tools["get_pet"].annotations is not None
        assert tools["get_pet"].annotations.read_only_hint is True
        assert tools["get_pet"].description == "Run get_pet."

        async def call(name: str, **arguments: Any) -> Any:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, result.content
            schema = tools[name].output_schema
            if schema is not None:
                Draft202012Validator(schema).validate(result.structured_content)
            return result.structured_content

        async def refused(name: str, **arguments: Any) -> str:
            result = await client.call_tool(name, arguments)
            assert result.is_error
            (block,) = result.content
            assert isinstance(block, types.TextContent)
            return block.text

        assert await call("add_pet", body=cat) == {"result": cat}
        assert await call("add_pet", body=json.dumps(dog)) == {"result": dog}
        assert await call("list_pets") == {"result": [cat, dog]}
        assert await call("list_pets", kind="dog") == {"result": [dog]}
        assert await call("get_pet", id=0) == {"result": cat}
        assert await call("get_parent", id=0) == {"result": None}
        assert await call("replace_pet", id=1, body=cat) == {"result": cat}
        assert await call("change_pet", id=1, body={"name": "Kit"}) == {"result": {"name": "Kit", "kind": "cat"}}
        assert await call("count_pets") == {"result": 2}
        assert await call("remove_pet", id=0) is None
        assert await call("remove_pets") is None
        assert await call("count_pets") == {"result": 0}

        assert await refused("get_pet", id=7) == "the server answered 404"
        assert "id is required" in await refused("get_pet")
        assert "id: type must be" in await refused("get_pet", id="seven")
        assert "body.name: minLength must be 1" in await refused("add_pet", body={"name": ""})
        assert "failed unexpectedly" in await refused("break")
