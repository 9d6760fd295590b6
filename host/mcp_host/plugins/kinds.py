"""The table of the kinds of served items. The loader, the catalog, the filters and the commands use it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from mcp_host.api import Prompt, Resource, SchemaTool, Tool

FilterKey = Literal["tools", "resources", "prompts"]


@dataclass(frozen=True)
class Kind:
    """One kind of served items.

    `name` is its word in messages. `plural` is its key in records, JSON and catalogs. `filter` is its key in a plugin's
    table of the TOML. `hook` returns objects of the classes `contributions`. Items of a `named` kind have names, which
    get the plugin's prefix, and may also be plain functions. Other items have URIs. `list_method` lists the items under
    `list_key`. `command` is the command that asks for one item.
    """

    name: str
    plural: str
    filter: FilterKey
    hook: str
    contributions: tuple[type, ...]
    named: bool
    list_method: str
    list_key: str
    command: str

    @property
    def list_attribute(self) -> str:
        """The same key in the SDK's Python names."""
        return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", self.list_key)


TOOL: Final = Kind(
    "tool",
    "tools",
    "tools",
    "mcp_tools",
    (Tool, SchemaTool),
    named=True,
    list_method="tools/list",
    list_key="tools",
    command="call",
)
RESOURCE: Final = Kind(
    "resource",
    "resources",
    "resources",
    "mcp_resources",
    (Resource,),
    named=False,
    list_method="resources/list",
    list_key="resources",
    command="read",
)
TEMPLATE: Final = replace(
    RESOURCE,
    name="template",
    plural="templates",
    list_method="resources/templates/list",
    list_key="resourceTemplates",
)
PROMPT: Final = Kind(
    "prompt",
    "prompts",
    "prompts",
    "mcp_prompts",
    (Prompt,),
    named=True,
    list_method="prompts/list",
    list_key="prompts",
    command="prompt",
)

KINDS: Final = (TOOL, RESOURCE, TEMPLATE, PROMPT)
"""All kinds, in the order in which they are shown."""
