"""The forms that an implementation of a tool, a resource or a prompt has, whoever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mcp.types as types

from mcp_host.catalog.served import Run, Watch


@dataclass(frozen=True)
class ToolBody:
    """A tool without its name and owner: how it runs, the documentation of its code, and its JSON Schemas.

    Another server's tool has a `definition`, which is served except for its name and `_meta`.
    """

    run: Run
    doc: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    definition: types.Tool | None = None


@dataclass(frozen=True)
class ResourceBody:
    """A resource without its URI and owner: how it is read, and the name and text that its code gives it.

    Another server's has a `definition` as a tool has it. `watch` asks that server to report changes of a URI.
    """

    run: Run
    name: str
    doc: str
    definition: types.Resource | types.ResourceTemplate | None = None
    watch: Watch | None = None


@dataclass(frozen=True)
class PromptBody:
    """A prompt without its name and owner: how it is rendered, the documentation of its code, and its arguments."""

    run: Run
    doc: str
    arguments: Sequence[types.PromptArgument]
    definition: types.Prompt | None = None
