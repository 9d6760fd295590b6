"""The rules of the contract: what each asks of a plugin, and how bad it is to break it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """An error is a plugin that harms its host or its clients; a warning is one that some of them cannot use well."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """One thing asked of every plugin. The `id` only ever keeps its meaning; the sentence is for people."""

    id: str
    sentence: str
    severity: Severity = Severity.ERROR


HOST_RANGE: Final = Rule("host-range", "Its distribution states which mcp-host it needs.", Severity.WARNING)

IMPORT_SILENT: Final = Rule("import-silent", "Importing it prints nothing.")
IMPORT_OPENS: Final = Rule(
    "import-opens", "Importing it writes no file, makes no connection and leaves no descriptor open."
)
IMPORT_STARTS: Final = Rule("import-starts", "Importing it starts no thread and no process.")
IMPORT_CHANGES: Final = Rule(
    "import-changes",
    "Importing it changes no environment, working directory, signal handler, root logger, stream, path or locale.",
)
IMPORT_TIME: Final = Rule(
    "import-time", "Importing it stays within its budget: half a second, unless told otherwise.", Severity.WARNING
)

SETTINGS_CLEAR: Final = Rule("settings-clear", "Its settings have defaults, or say what is needed and are given it.")
LOADS: Final = Rule("loads", "The host loads it and can bind everything it contributes.")

NAME_LENGTH: Final = Rule(
    "name-length",
    "Tool names stay within 64 characters once a client has put its prefix before them.",
    Severity.WARNING,
)
NAME_CHARACTERS: Final = Rule(
    "name-characters", "Tool names are made of A-Z a-z 0-9 _ - only, as model providers want.", Severity.WARNING
)
DESCRIPTION_PRESENT: Final = Rule("description-present", "Every tool, resource, template and prompt has a description.")
DESCRIPTION_LENGTH: Final = Rule(
    "description-length", "No description of a tool is longer than 1024 characters.", Severity.WARNING
)
PARAMETERS_DESCRIBED: Final = Rule(
    "parameters-described", "Every parameter of a tool and argument of a prompt has a description.", Severity.WARNING
)
TEXT_VISIBLE: Final = Rule(
    "text-visible", "No text holds control, zero-width, direction-changing or otherwise invisible characters."
)
SCHEMAS_DIALECT: Final = Rule("schemas-dialect", "Input and output schemas are JSON Schema 2020-12.")
HINT_READ_ONLY: Final = Rule("hint-read-only", "Every tool says whether it only reads.", Severity.WARNING)
HINT_DESTRUCTIVE: Final = Rule(
    "hint-destructive",
    "Every tool that may write says whether it destroys, and none that only reads does.",
    Severity.WARNING,
)
DEFINITIONS_STABLE: Final = Rule("definitions-stable", "Two processes that load it get the same definitions.")

LIFESPAN: Final = Rule("lifespan", "It starts and stops twice in one process, without an error.")
LEAKS_TASKS: Final = Rule("leaks-tasks", "It leaves no task behind when it has stopped.")
LEAKS_THREADS: Final = Rule("leaks-threads", "It leaves no thread behind when it has stopped.")
LEAKS_DESCRIPTORS: Final = Rule("leaks-descriptors", "It leaves no file descriptor open when it has stopped.")

OF_THE_IMPORT: Final = (IMPORT_SILENT, IMPORT_OPENS, IMPORT_STARTS, IMPORT_CHANGES, IMPORT_TIME)
OF_THE_DEFINITIONS: Final = (
    NAME_LENGTH,
    NAME_CHARACTERS,
    DESCRIPTION_PRESENT,
    DESCRIPTION_LENGTH,
    PARAMETERS_DESCRIBED,
    TEXT_VISIBLE,
    SCHEMAS_DIALECT,
    HINT_READ_ONLY,
    HINT_DESTRUCTIVE,
)
OF_THE_LIFE: Final = (LIFESPAN, LEAKS_TASKS, LEAKS_THREADS, LEAKS_DESCRIPTORS)

RULES: Final = (
    HOST_RANGE,
    *OF_THE_IMPORT,
    SETTINGS_CLEAR,
    LOADS,
    *OF_THE_DEFINITIONS,
    DEFINITIONS_STABLE,
    *OF_THE_LIFE,
)
"""Every rule, in the order in which a plugin meets them."""
