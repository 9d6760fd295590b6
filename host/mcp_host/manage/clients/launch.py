"""The entries that start mcp-host: what they start, and with which configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_MODULE: Final = ("-m", "mcp_host")
_PROGRAM: Final = "mcp-host"


@dataclass(frozen=True)
class Launch:
    """How an entry starts mcp-host.

    `words` are the program and its arguments up to mcp-host's own, and `config` is the path after `--config`. `env` are
    the variables that the entry sets, and `cwd` is its working directory, or None if the client chooses one.
    """

    words: tuple[str, ...]
    config: str | None
    env: Mapping[str, str]
    cwd: str | None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Launch | None:
        """Return how an entry starts mcp-host, or None for another entry."""
        arguments = entry.get("args", [])
        if not isinstance(arguments, list) or "command" not in entry:
            return None
        words = [str(word) for word in (entry["command"], *arguments)]
        end = _end_of_launch(words)
        if end is None:
            return None
        env = entry.get("env")
        env = {str(key): str(value) for key, value in env.items()} if isinstance(env, Mapping) else {}
        cwd = entry.get("cwd")
        return cls(tuple(words[:end]), _config(words[end:]), env, cwd if isinstance(cwd, str) else None)

    @property
    def pinned(self) -> str | None:
        """The version of mcp-host that a command of uvx asks for, or None."""
        found = re.search(r"(?:^|\s)mcp-host==(\S+)", " ".join(self.words))
        return found[1] if found else None


def served_config(entry: Mapping[str, Any]) -> str | None:
    """Return the configuration of an entry that starts mcp-host, or None for another entry."""
    launch = Launch.of(entry)
    return launch.config if launch is not None else None


def _end_of_launch(words: list[str]) -> int | None:
    """Return where mcp-host's own arguments begin: after `-m mcp_host`, or after the program."""
    for at, word in enumerate(words):
        if tuple(words[at - 1 : at + 1]) == _MODULE:
            return at + 1
        is_value = at > 0 and words[at - 1].startswith("-")  # uvx --from mcp-host
        if not is_value and re.split(r"[/\\]", word)[-1].removesuffix(".exe") == _PROGRAM:
            return at + 1
    return None


def _config(arguments: list[str]) -> str | None:
    for at, word in enumerate(arguments):
        if word.startswith("--config="):
            return word.removeprefix("--config=")
        if word in ("--config", "-c") and at + 1 < len(arguments):
            return arguments[at + 1]
    return None
