"""What one process is asked to look at, and what it saw: the JSON between the contract and its fresh interpreters."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from mcp_host.errors import Problem
from mcp_host.plugins.discovery import InstalledPlugin

Listing = dict[str, list[dict[str, Any]]]
"""`tools`, `resources`, `templates` and `prompts`, each item in its wire form."""

KINDS = ("tools", "resources", "templates", "prompts")


class Subject(BaseModel):
    """One plugin to look at.

    `installed` says where it is imported from, or is None when the object itself is at hand. `toml` is the text of a
    `mcp-host.toml` that names it alone, in the folder `base_dir`. `watch_import` asks for its import to be watched,
    `live` for it to be started and stopped.
    """

    name: str
    installed: InstalledPlugin | None
    toml: str
    base_dir: Path
    data_dir: Path
    watch_import: bool = False
    live: bool = False


class Event(BaseModel):
    """Something the import did. `dependency` is the other package that did it while it was itself imported, if so."""

    kind: Literal["opens", "starts", "changes"]
    what: str
    place: str
    dependency: str | None = None


class Imported(BaseModel):
    """What importing the plugin did. `printed` are texts by stream; `left_open` is None where nobody can tell."""

    error: str | None = None
    milliseconds: float = 0.0
    printed: dict[str, str] = Field(default_factory=dict)
    events: list[Event] = Field(default_factory=list)
    changed: list[str] = Field(default_factory=list)
    left_open: list[str] | None = None


class RequiredSetting(BaseModel):
    """A setting that has no default."""

    name: str
    description: str | None


class SettingsSeen(BaseModel):
    """A settings model asked for an instance without arguments: what it wants, and what is wrong with its defaults."""

    required: list[RequiredSetting] = Field(default_factory=list)
    invalid: list[str] = Field(default_factory=list)


class Life(BaseModel):
    """What starting and stopping left behind and said. `descriptors` is None where nobody can tell."""

    failures: list[str] = Field(default_factory=list)
    tasks: list[str] = Field(default_factory=list)
    threads: list[str] = Field(default_factory=list)
    descriptors: list[str] | None = None


class Stage(StrEnum):
    """What a process is doing, so that one that ends in the middle is known by where it was."""

    IMPORTING = "importing it"
    LOADING = "loading it"
    LIVING = "starting and stopping it"
    DONE = "done"


class Observations(BaseModel):
    """Everything one process saw. What it did not come to, or was not asked for, is None."""

    stage: Stage = Stage.IMPORTING
    imported: Imported | None = None
    settings: SettingsSeen | None = None
    problem: Problem | None = None
    notes: list[str] = Field(default_factory=list)
    listing: Listing | None = None
    life: Life | None = None
