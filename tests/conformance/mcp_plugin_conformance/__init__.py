"""The fixtures that the official conformance suite expects by name, contributed only through hooks."""

from __future__ import annotations

from collections.abc import Iterable

from mcp_host import Completion, Prompt, Resource, Tool, hookimpl

from . import asking, changing, content, input_required, prompts, resources


@hookimpl
def mcp_tools() -> Iterable[Tool]:
    return [*content.TOOLS, *asking.TOOLS, *input_required.TOOLS, *changing.TOOLS]


@hookimpl
def mcp_resources() -> Iterable[Resource]:
    return resources.RESOURCES


@hookimpl
def mcp_prompts() -> Iterable[Prompt]:
    return [*prompts.PROMPTS, *input_required.PROMPTS, *changing.PROMPTS]


@hookimpl
def mcp_completions() -> Iterable[Completion]:
    return prompts.COMPLETIONS
