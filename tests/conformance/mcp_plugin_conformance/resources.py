"""Resources with text and bytes, a template, and one to subscribe to."""

from __future__ import annotations

import json

from mcp_host import Resource

from .content import PNG


def static_text() -> str:
    """Text."""
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    """Bytes."""
    return PNG


def watched() -> str:
    """A resource to subscribe to."""
    return "Watched resource content"


def template(id: str) -> str:
    """A resource of a template."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


RESOURCES = [
    Resource("test://static-text", static_text, mime_type="text/plain"),
    Resource("test://static-binary", static_binary, mime_type="image/png"),
    Resource("test://watched-resource", watched, mime_type="text/plain"),
    Resource("test://template/{id}/data", template, mime_type="application/json"),
]
