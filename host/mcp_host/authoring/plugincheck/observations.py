"""The input and output of a fresh interpreter that examines a plugin, sent as JSON."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from mcp_host.errors import Problem
from mcp_host.plugins import kinds
from mcp_host.plugins.discovery import InstalledPlugin

Listing = dict[str, list[dict[str, Any]]]
"""`tools`, `resources`, `templates` and `prompts`, each item in its wire form."""

KINDS = tuple(kind.plural for kind in kinds.KINDS)


class Subject(BaseModel):
    """One plugin to examine.

    `installed` is where to import it from, or None if the object itself is given. `toml` is the text of a
    `mcp-host.toml` in the folder `base_dir` that names only this plugin. With `watch_import`, its import is watched.
    With `live`, it is started and stopped.
    """

    name: str
    installed: InstalledPlugin | None
    toml: str
    base_dir: Path
    data_dir: Path
    watch_import: bool = False
    live: bool = False


class Event(BaseModel):
    """A side effect of the import. `dependency` is the package that caused it, if that was not the plugin."""

    kind: Literal["opens", "starts", "changes"]
    what: str
    place: str
    dependency: str | None = None


class Imported(BaseModel):
    """The effects of importing the plugin. `printed` has texts by stream. `left_open` is None if it is unknown."""

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
    """What a settings model without arguments requires, and what is wrong with its defaults."""

    required: list[RequiredSetting] = Field(default_factory=list)
    invalid: list[str] = Field(default_factory=list)


class Life(BaseModel):
    """The errors and leaks of starting and stopping. `descriptors` is None if they are unknown."""

    failures: list[str] = Field(default_factory=list)
    tasks: list[str] = Field(default_factory=list)
    threads: list[str] = Field(default_factory=list)
    descriptors: list[str] | None = None


class Stage(StrEnum):
    """What a process is doing. If it ends too early, the report names this stage."""

    IMPORTING = "importing it"
    LOADING = "loading it"
    LIVING = "starting and stopping it"
    DONE = "done"


class Observations(BaseModel):
    """Everything that one process observed. Steps that it did not reach or was not to do are None."""

    stage: Stage = Stage.IMPORTING
    imported: Imported | None = None
    settings: SettingsSeen | None = None
    problem: Problem | None = None
    notes: list[str] = Field(default_factory=list)
    listing: Listing | None = None
    life: Life | None = None
