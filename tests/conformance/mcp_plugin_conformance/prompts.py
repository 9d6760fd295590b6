"""Prompts with text, arguments, a resource's contents and an image, and a completer."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Image
from mcp.types import EmbeddedResource, TextResourceContents

from mcp_host import Completion, Prompt

from .content import PNG


def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(resourceUri: str) -> list[Any]:  # noqa: N803
    """A prompt with a resource's contents."""
    text = "Embedded resource content for testing."
    contents = TextResourceContents(uri=resourceUri, mime_type="text/plain", text=text)
    return [EmbeddedResource(type="resource", resource=contents), "Please process the embedded resource above."]


def test_prompt_with_image() -> list[Any]:
    """A prompt with an image."""
    return [Image(data=PNG, format="png"), "Please analyze the image above."]


def complete_arg1(value: str) -> list[str]:
    return [word for word in ("paris", "park", "party", "testing") if word.startswith(value)]


PROMPTS = [
    Prompt(test_simple_prompt),
    Prompt(test_prompt_with_arguments),
    Prompt(test_prompt_with_embedded_resource),
    Prompt(test_prompt_with_image),
]
COMPLETIONS = [Completion("test_prompt_with_arguments", "arg1", complete_arg1)]
