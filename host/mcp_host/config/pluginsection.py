"""The model of a plugin's table, `[plugins.NAME]`: where the plugin comes from, and what of it is served."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, StrictBool, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mcp_host.config.oauthsection import OAuth
from mcp_host.config.references import MASK, without_secret
from mcp_host.config.values import (
    FIELD_NAME,
    PROCESS_LIMITS,
    Duration,
    FilePath,
    Form,
    Limits,
    ObjectName,
    OptionalDuration,
    Section,
    TextOrSecret,
    UrlOrSecret,
)

Source = Literal["entry point", "object", "command", "url", "process"]
"""Where a plugin comes from: an installed distribution, an object, a program, a remote server, or a process of its own.

A plugin of the last kind is an entry point or an object that a child process serves.
"""

CONNECTED: Final[frozenset[Source]] = frozenset({"command", "url", "process"})
"""The sources whose servers the host connects to. An object may also be such a server."""

_OWN_PROCESS: Final[frozenset[Source]] = frozenset({"command", "process"})

_FITS: Final[Mapping[str, frozenset[Source]]] = {
    "env": _OWN_PROCESS,
    "cwd": _OWN_PROCESS,
    "python": _OWN_PROCESS,
    "requirements": _OWN_PROCESS,
    "headers": frozenset({"url"}),
    "auth": frozenset({"url"}),
    "idle_timeout": CONNECTED,
    "start": CONNECTED | {"object"},
    "era": CONNECTED | {"object"},
    "ask": CONNECTED | {"object"},
    "instructions": CONNECTED | {"object"},
}
"""The keys that only some sources have. Every other key fits all of them."""


Text = Annotated[str, Form(r"[^\x00]+", "must be a text without NUL, and not empty")]
VariableName = Annotated[str, Form(r"[^=\x00]+", "must be the name of a variable")]
HeaderName = Annotated[str, Form(FIELD_NAME, "must be the name of an HTTP header")]


def _split(value: object) -> object:
    return shlex.split(value) if isinstance(value, str) else value


class _OneTextOrList:
    """The JSON Schema of a list that may also be written as one text."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, {**handler(schema), "minItems": 1}]}


def _usable(words: list[Any]) -> list[Any]:
    if not words or words[0] == "":
        raise ValueError("must begin with the name of a program")
    if any(isinstance(word, str) and "\0" in word for word in words):
        raise ValueError("must be texts without NUL")
    return words


Command = Annotated[list[TextOrSecret], AfterValidator(_usable), BeforeValidator(_split), _OneTextOrList()]
"""A program with its arguments, of which each may be a reference."""


def _words_shown(words: Sequence[str | Mapping[str, str]]) -> str:
    """Return a command as one line, without the secrets in it."""
    from mcp_host.config.spotting import option_keys

    shown = [_shown(word, key) for word, key in zip(words, option_keys(words), strict=True)]
    # The mask is not to be quoted.
    plain = [word.replace(MASK, "x") for word in shown]
    return " ".join(word if shlex.quote(x) == x else shlex.quote(word) for word, x in zip(shown, plain, strict=True))


def _shown(value: str | Mapping[str, str], key: str = "") -> str:
    """Return a text without the secrets in it: those of references, and those that can be recognized."""
    from mcp_host.config.spotting import masked

    return masked(value, key) if isinstance(value, str) else without_secret(value)


class NameFilter(Section):
    """Which names of a plugin are served: the names that `allow` matches and `deny` does not match."""

    allow: list[str] | None = Field(default=None, description="Patterns of the names to serve; default: all.")
    deny: list[str] = Field(default=[], description="Patterns of the names not to serve; wins over `allow`.")


class ToolFilter(NameFilter):
    """Which tools of a plugin are served, and how long each may take."""

    read_only: StrictBool | None = Field(
        default=None, description="Serve only the tools whose read-only hint has this value."
    )
    destructive: StrictBool | None = Field(
        default=None, description="Serve only the tools whose destructive hint has this value."
    )
    idempotent: StrictBool | None = Field(
        default=None, description="Serve only the tools whose idempotent hint has this value."
    )
    open_world: StrictBool | None = Field(
        default=None, description="Serve only the tools whose open-world hint has this value."
    )
    timeouts: dict[str, Duration] = Field(default={}, description="Longest time of one call, by the tool's name.")


class PluginSection(Section):
    """`[plugins.NAME]`: one plugin to load. The table enables it."""

    enabled: StrictBool = Field(default=True, description="false keeps the table and does not load the plugin.")
    required: StrictBool = Field(default=False, description="End the host when this plugin cannot be served.")
    prefix: Annotated[
        str, Form("[A-Za-z0-9._-]*", "may have only letters, digits, `.`, `_` and `-`, like the names of tools")
    ] = Field(default="", description="Text put before the names of the plugin's tools and prompts.")
    object: ObjectName | None = Field(
        default=None,
        description="Object to load as the plugin, `package.module:attribute` or `file.py:attribute`, for a plugin "
        "without an entry point: a Plugin, a server, or a function that returns one and gets `settings`.",
    )
    command: Command | None = Field(
        default=None,
        repr=False,
        description="Program to start, with its arguments: any MCP server over stdio; an argument may be a secret.",
    )
    url: UrlOrSecret | None = Field(
        default=None,
        repr=False,
        description="Address of a remote MCP server (Streamable HTTP); may have a secret in it.",
    )
    headers: dict[HeaderName, TextOrSecret] = Field(
        default={}, repr=False, description="HTTP headers for `url`; a value may be a secret."
    )
    auth: OAuth | None = Field(
        default=None,
        description='How to log in to `url`: `"oauth"`, or a table about the client that the host is.',
    )
    isolation: Literal["process"] | None = Field(
        default=None, description="`process` serves an ordinary plugin in a process of its own."
    )
    requirements: list[Text] = Field(
        default=[],
        description="Distributions, in pip's form, of an environment that is made for the process of this plugin.",
    )
    python: Text | None = Field(
        default=None, description="Python of that process: a program, or a version such as `3.12` with `requirements`."
    )
    env: dict[VariableName, TextOrSecret] = Field(
        default={},
        repr=False,
        description="Environment variables of the process; a value may be a secret. It gets no others, except HOME, "
        "LOGNAME, PATH, SHELL, TERM and USER.",
    )
    cwd: FilePath | None = Field(
        default=None,
        description="Working directory of the process, relative to this file; default: this file's folder.",
    )
    start: Literal["lazy", "eager"] = Field(
        default="lazy",
        description="When the server is started: `lazy` at its first call, if what it lists is known from an earlier "
        "start, `eager` always with the host.",
    )
    era: Literal["auto", "legacy", "caller"] = Field(
        default="auto",
        description="Protocol for the server: `auto` the newest that it speaks, `legacy` a handshake version, `caller` "
        "the one of each client, with a second connection where it is needed.",
    )
    ask: StrictBool = Field(default=True, description="false refuses all questions of the server to the user.")
    instructions: StrictBool = Field(
        default=False,
        description="Give the instructions of the server to the clients' models, under the plugin's name.",
    )
    idle_timeout: OptionalDuration = Field(
        default=None, description="End the server after this long without a call; the next call starts it again."
    )
    tools: ToolFilter = Field(default_factory=ToolFilter, description="Tools to serve.")
    resources: NameFilter = Field(default_factory=NameFilter, description="Resources to serve.")
    prompts: NameFilter = Field(default_factory=NameFilter, description="Prompts to serve.")
    timeout: Duration | None = Field(
        default=None, description="Longest time of one call; default: `host.call_timeout`."
    )
    middleware: Literal["own", "all"] = Field(
        default="own",
        description="Whose calls the plugin's middleware runs around: its `own`, or those of `all` plugins. The "
        "middleware sees the arguments and results of these calls.",
    )
    limits: Limits = Field(
        default_factory=Limits, description="How much of the host this plugin may use; default: `host.limits`."
    )
    settings: dict[str, Any] = Field(
        default={},
        repr=False,
        description='The plugin\'s own settings; a secret is `{ env = "NAME" }` or `{ file = "PATH" }`.',
    )

    @property
    def source(self) -> Source:
        """Where the plugin comes from."""
        if self.command is not None:
            return "command"
        if self.url is not None:
            return "url"
        if self.isolation is not None:
            return "process"
        return "entry point" if self.object is None else "object"

    @property
    def place(self) -> str | None:
        """The object, the command or the URL that the plugin comes from; None if it is installed under its name.

        Secrets in it are masked.
        """
        if self.command is not None:
            return _words_shown(self.command)
        return self.object if self.url is None else _shown(self.url)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key in ("object", "command", "url") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}, and a plugin comes from one place: remove one of them")
        if self.isolation is not None and self.source != "process":
            raise ValueError(f"has isolation and {self.source}: such a server has a process of its own already")
        for key in sorted(self.model_fields_set):
            if key in _FITS and self.source not in _FITS[key]:
                raise ValueError(
                    f"{key} does not fit this plugin, which comes from {_NAMED[self.source]}: {_HELPS[key]}"
                )
        if self.source not in _OWN_PROCESS and (given := sorted(PROCESS_LIMITS & self.limits.model_fields_set)):
            raise ValueError(
                f"limits.{given[0]} does not fit this plugin, which comes from {_NAMED[self.source]}: "
                f"{_HELPS['limits']}"
            )
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("has auth and the header Authorization, and a request has one of them: remove one")
        if self.auth is not None and not isinstance(self.url, str):
            raise ValueError("has auth and a secret in `url`, which the authorization server would see: remove one")
        if self.source in ("command", "url") and self.settings:
            raise ValueError(
                f"settings do not fit this plugin, which comes from {_NAMED[self.source]}: {_HELPS['settings']}"
            )
        return self


_NAMED: Final[Mapping[Source, str]] = {
    "entry point": "an installed distribution",
    "object": "an object",
    "command": "a command",
    "url": "a URL",
    "process": "a process of its own",
}

_HELPS: Final[Mapping[str, str]] = {
    "env": "it is for `command` and for `isolation`",
    "cwd": "it is for `command` and for `isolation`",
    "python": "it is for `isolation`, or for a `command` with `requirements`",
    "requirements": "it is for `isolation`, or for a `command`",
    "headers": "it is for `url`",
    "auth": "it is for `url`",
    "idle_timeout": "it is for `command`, `url` and `isolation`",
    "start": "it is for servers that the host connects to",
    "era": "it is for servers that the host connects to",
    "ask": "it is for servers that the host connects to",
    "instructions": "it is for servers that the host connects to",
    "limits": "it is for `command` and for `isolation`",
    "settings": "write them into `command`, `env` or `headers`",
}
"""What a key is for, for whoever uses it elsewhere."""
