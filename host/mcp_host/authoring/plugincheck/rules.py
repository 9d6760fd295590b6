"""The rules of the contract: what each requires of a plugin, and how severe it is to break it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """An error damages the host or its clients. A warning means that some clients cannot use the plugin well."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """One requirement for each plugin. The meaning of an `id` never changes. The sentence is for people."""

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
    "import-time", "Importing it takes no longer than its budget, by default half a second.", Severity.WARNING
)

SETTINGS_CLEAR: Final = Rule("settings-clear", "Its settings have defaults, or are described and have values.")
LOADS: Final = Rule("loads", "The host loads it and can bind everything it contributes.")

NAME_LENGTH: Final = Rule(
    "name-length",
    "Tool names stay within 64 characters once a client has put its prefix before them.",
    Severity.WARNING,
)
NAME_CHARACTERS: Final = Rule(
    "name-characters", "Tool names contain only A-Z a-z 0-9 _ -, as model providers require.", Severity.WARNING
)
DESCRIPTION_PRESENT: Final = Rule("description-present", "Every tool, resource, template and prompt has a description.")
DESCRIPTION_LENGTH: Final = Rule(
    "description-length", "No description of a tool is longer than 1024 characters.", Severity.WARNING
)
PARAMETERS_DESCRIBED: Final = Rule(
    "parameters-described", "Every parameter of a tool and argument of a prompt has a description.", Severity.WARNING
)
TEXT_VISIBLE: Final = Rule(
    "text-visible", "No text contains control, zero-width, direction-changing or other invisible characters."
)
SCHEMAS_DIALECT: Final = Rule("schemas-dialect", "Input and output schemas are JSON Schema 2020-12.")
HINT_READ_ONLY: Final = Rule("hint-read-only", "Every tool declares whether it only reads.", Severity.WARNING)
HINT_DESTRUCTIVE: Final = Rule(
    "hint-destructive",
    "Every tool that may write declares whether it is destructive, and no tool that only reads does so.",
    Severity.WARNING,
)
DEFINITIONS_STABLE: Final = Rule("definitions-stable", "Two processes that load it get the same definitions.")

LIFESPAN: Final = Rule("lifespan", "It starts and stops twice in one process, without an error.")
LEAKS_TASKS: Final = Rule("leaks-tasks", "No task of it runs when it has stopped.")
LEAKS_THREADS: Final = Rule("leaks-threads", "No thread of it runs when it has stopped.")
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
"""All rules, in the order in which they are checked."""
