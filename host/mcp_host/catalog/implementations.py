"""What each implementation of a tool, a resource or a prompt returns to the binder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mcp.types as types

from mcp_host.catalog.served import Run, Watch


@dataclass(frozen=True)
class ToolBody:
    """A tool without its name and owner: the function that runs it, the docstring, and the JSON Schemas.

    A tool of another server has a `definition`, which is served with another name and `_meta`.
    """

    run: Run
    doc: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    definition: types.Tool | None = None


@dataclass(frozen=True)
class ResourceBody:
    """A resource without its URI and owner: the function that reads it, and the name and docstring of its code.

    `definition` is as in `ToolBody`. `watch` asks the other server to report changes of a URI.
    """

    run: Run
    name: str
    doc: str
    definition: types.Resource | types.ResourceTemplate | None = None
    watch: Watch | None = None


@dataclass(frozen=True)
class PromptBody:
    """A prompt without its name and owner: the function that renders it, the docstring, and the arguments."""

    run: Run
    doc: str
    arguments: Sequence[types.PromptArgument]
    definition: types.Prompt | None = None
