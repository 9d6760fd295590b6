"""What each implementation of a tool, a resource or a prompt returns to the binder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mcp.types as types

from mcp_host.catalog.served import Run


@dataclass(frozen=True)
class ToolBody:
    """A tool without its name and owner: the function that runs it, the docstring, and the JSON Schemas."""

    run: Run
    doc: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class ResourceBody:
    """A resource without its URI and owner: the function that reads it, and the name and docstring of its code."""

    run: Run
    name: str
    doc: str


@dataclass(frozen=True)
class PromptBody:
    """A prompt without its name and owner: the function that renders it, the docstring, and the arguments."""

    run: Run
    doc: str
    arguments: Sequence[types.PromptArgument]
