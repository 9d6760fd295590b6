"""The forms that an implementation of a tool, a resource or a prompt has, whoever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mcp.types as types

from mcp_host.catalog.served import Run


@dataclass(frozen=True)
class ToolBody:
    """A tool without its name and owner: how it runs, the documentation of its code, and its JSON Schemas."""

    run: Run
    doc: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class ResourceBody:
    """A resource without its URI and owner: how it is read, and the name and text that its code gives it."""

    run: Run
    name: str
    doc: str


@dataclass(frozen=True)
class PromptBody:
    """A prompt without its name and owner: how it is rendered, the documentation of its code, and its arguments."""

    run: Run
    doc: str
    arguments: Sequence[types.PromptArgument]
