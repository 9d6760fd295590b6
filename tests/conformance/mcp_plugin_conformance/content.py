"""Tools that return every kind of content, report progress, log, and fail."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from mcp.server.mcpserver import Audio, Image
from mcp.types import EmbeddedResource, TextContent, TextResourceContents
from pydantic import Field

from mcp_host import Context, Tool, ToolError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
"""One red pixel."""

WAV = b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\2\0\0\0\0\0"
"""One sample of silence."""


def test_simple_text() -> str:
    """Return text."""
    return "This is a simple text response for testing."


def test_image_content() -> Image:
    """Return an image."""
    return Image(data=PNG, format="png")


def test_audio_content() -> Audio:
    """Return audio."""
    return Audio(data=WAV, format="wav")


def test_embedded_resource() -> EmbeddedResource:
    """Return a resource's contents."""
    return _embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")


def test_multiple_content_types() -> list[Any]:
    """Return text, an image and a resource's contents."""
    return [
        TextContent(type="text", text="Multiple content types test:"),
        Image(data=PNG, format="png"),
        _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ]


def _embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


async def test_tool_with_logging(ctx: Context) -> str:
    """Log three times."""
    await ctx.info("Tool execution started")
    await ctx.info("Tool processing data")
    await ctx.info("Tool execution completed")
    return "Tool with logging executed successfully"


async def test_tool_with_progress(ctx: Context) -> str:
    """Report progress three times."""
    for progress in (0, 50, 100):
        await ctx.report_progress(progress, 100)
    return "Tool with progress executed successfully"


def test_error_handling() -> str:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_reconnection(ctx: Context) -> str:
    """Close the stream of the response during the call (SEP-1699)."""
    await ctx.close_sse_stream()
    return "Reconnection test completed successfully"


def test_header_parameter(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Accept a parameter that clients repeat in a header (SEP-2243)."""
    return f"Region: {region}"


def json_schema_2020_12_tool(
    name: str = "",
    address: dict[str, str] | None = None,
    contactMethod: str = "",  # noqa: N803
    phone: str = "",
    email: str = "",
) -> str:
    """Tool with JSON Schema 2020-12 features"""
    return f"{name} {address} {contactMethod} {phone} {email}"


SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

TOOLS = [
    Tool(test_simple_text, structured_output=False),
    Tool(test_image_content),
    Tool(test_audio_content),
    Tool(test_embedded_resource, structured_output=False),
    Tool(test_multiple_content_types, structured_output=False),
    Tool(test_tool_with_logging),
    Tool(test_tool_with_logging, name="test_logging_tool"),
    Tool(test_tool_with_progress),
    Tool(test_error_handling),
    Tool(test_reconnection),
    Tool(test_header_parameter),
    Tool(json_schema_2020_12_tool, input_schema=SCHEMA_2020_12),
]
