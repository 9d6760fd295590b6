"""The models of the tables in mcp-host.toml."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PrivateAttr,
    StrictBool,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from mcp_host.config.origins import Origins

_T = TypeVar("_T")

_UNIT_SECONDS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

PLUGIN_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*"

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def parse_duration(value: object) -> float:
    """Return seconds from a number of seconds or a text such as `500ms`, `30s`, `2m` or `1h`.

    Raises `ValueError` if the value has another form, is not above zero, or is not finite.
    """
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h)", value)):
        seconds = float(match[1]) * _UNIT_SECONDS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        # tomllib reads whole numbers of any size. Some are larger than any float.
        seconds = float(value) if abs(value) < 1e300 else math.inf
    else:
        raise ValueError('must be a number of seconds, or a text such as "500ms", "30s", "2m" or "1h"')
    if not 0 < seconds < math.inf:
        raise ValueError("must be a duration above 0 and below infinity")
    return seconds


_DURATION_SCHEMA: Final[JsonSchemaValue] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "description": "Seconds."},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h)$", "examples": ["500ms", "30s", "2m", "1h"]},
    ]
}

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""A length of time in seconds."""


@dataclass(frozen=True)
class Form:
    """The form that a text must have: a pattern for the whole text, and the error message for another form."""

    pattern: str
    message: str

    def check(self, text: str) -> str:
        """Return the text, or raise `ValueError` if it has another form."""
        if not re.fullmatch(self.pattern, text):
            raise ValueError(self.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the form after pydantic has checked the type."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the form as a pattern."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}


def _no_deadline(value: object) -> object:
    return None if value == "none" else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _short_kind(value: object) -> object:
    return "http" if value == "streamable-http" else value


def _home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("must be a path whose `~` names a known home directory") from None


PluginName = Annotated[
    str, Form(PLUGIN_NAME, "must be a plugin's name: letters, digits, `.`, `_` and `-`, not starting with `.` or `-`")
]

Origin = Annotated[
    str,
    Form(r"\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^/\s]+", 'must be an origin such as "https://example.com"'),
]

HttpUrl = Annotated[str, Form(r"https?://[^/\s]\S*", 'must be a URL such as "https://example.com"')]

SigningAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""How a token may be signed: with a private key (RFC 7518, RFC 8037). Shared secrets and "none" are not allowed."""

ObjectName = Annotated[
    str,
    Form(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", 'must have the form "package.module:attribute"'),
]

OptionalDuration = Annotated[
    Duration | None,
    BeforeValidator(_no_deadline),
    WithJsonSchema({"anyOf": [*_DURATION_SCHEMA["anyOf"], {"const": "none"}]}),
]

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    BeforeValidator(_lower),
    WithJsonSchema(
        {
            "type": "string",
            # Editors offer the names in `enum`. The pattern accepts them in any case.
            "anyOf": [
                {"enum": list(_LEVELS)},
                {"pattern": f"^({'|'.join(''.join(f'[{c.upper()}{c}]' for c in name) for name in _LEVELS)})$"},
            ],
        }
    ),
]

TransportKind = Annotated[
    Literal["stdio", "http"],
    BeforeValidator(_short_kind),
    WithJsonSchema({"type": "string", "enum": ["stdio", "http", "streamable-http"]}),
]


def is_loopback(host: str) -> bool:
    """Return whether an address or a name can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_safe_to_fetch(url: str) -> bool:
    """Return whether nobody can change the response on its way: the URL is https, or on this machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        )
    except ValueError:
        return False


class Section(BaseModel):
    """A table of the file. Its keys are fixed, and it cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Limits(Section):
    """`[host.limits]` and `[plugins.NAME.limits]`: how much of the host one plugin may use."""

    calls: StrictInt = Field(default=64, ge=1, description="Calls of one plugin that run at the same time.")
    queue: StrictInt = Field(
        default=32, ge=0, description='Calls of one plugin that wait for a place; more calls are refused as "busy".'
    )
    threads: StrictInt = Field(
        default=40, ge=1, description="Worker threads for the plain (not async) functions of one plugin."
    )
    argument_size: StrictInt = Field(
        default=4 * 1024 * 1024, ge=1, description="Largest arguments of one call, in bytes."
    )
    argument_depth: StrictInt = Field(default=64, ge=1, description="Deepest nesting of one call's arguments.")
    result_size: StrictInt = Field(
        default=8 * 1024 * 1024,
        ge=1,
        description="Largest result, in bytes; a longer text is cut, a longer structured result refused.",
    )
    failures: StrictInt = Field(
        default=10, ge=0, description="Crashes and timeouts in a row after which a plugin is paused; 0 for never."
    )
    cooldown: Duration = Field(default=30.0, description="How long a plugin is paused before one call tries it again.")
    answer_timeout: Duration = Field(
        default=600.0,
        description="How long a call may wait for a client's answer; this does not count as the call's own time.",
    )
    progress_extends: StrictBool = Field(
        default=False, description="Start a call's timeout again whenever the call reports progress."
    )

    def overridden(self, by: Limits) -> Limits:
        """Return these limits with the ones that `by` sets expressly."""
        return self.model_copy(update={key: getattr(by, key) for key in by.model_fields_set})


class HostSection(Section):
    """`[host]`: the server's name, and how the host treats its plugins."""

    name: str = Field(default="mcp-host", min_length=1, description="Name of the server, sent to clients.")
    title: str | None = Field(default=None, description="Name of the server for people to read.")
    version: str | None = Field(
        default=None, description="Version of the server, sent to clients; default: mcp-host's version."
    )
    instructions: str | None = Field(
        default=None, description="Instructions about this server that a client gives to its model."
    )
    on_error: Literal["skip", "fail"] = Field(
        default="skip",
        description="What happens when a plugin cannot be served: `skip` serves the others, `fail` ends the host.",
    )
    log_level: LogLevel = Field(default="info", description="Lowest level that is logged.")
    log_format: Literal["text", "json"] = Field(
        default="text", description="`text` logs lines for people, `json` one JSON object a line for programs."
    )
    debug: StrictBool = Field(
        default=False, description="Show callers the text of a plugin's crash instead of an error id."
    )
    data_dir: Annotated[Path, AfterValidator(_home)] | None = Field(
        default=None,
        description="Folder where plugins keep files, relative to this file; default: mcp-host's folder in the user's "
        "data directory.",
    )
    start_timeout: Duration = Field(default=30.0, description="Longest time one plugin may take to start.")
    stop_timeout: Duration = Field(default=10.0, description="Longest time one plugin may take to stop.")
    call_timeout: OptionalDuration = Field(
        default=60.0, description='Longest time of one call, unless a plugin or tool sets its own; "none" for no limit.'
    )
    shutdown_timeout: Duration = Field(
        default=10.0, description="How long running calls may go on after the host was asked to stop."
    )
    block_warning: Duration = Field(
        default=1.0, description="Warn about a plugin that blocks the event loop, and so every client, for this long."
    )
    limits: Limits = Field(default_factory=Limits, description="How much of the host one plugin may use.")
    import_warning: Duration = Field(
        default=0.5, description="Warn about a plugin whose import takes longer than this."
    )
    token_budget: StrictInt = Field(
        default=10_000,
        ge=1,
        description="`mcp-host check` warns when the tools take more of a model's context than this, in estimated "
        "tokens.",
    )
    requires: list[str] = Field(
        default=[],
        description="Distributions to install, in pip's form: `mcp-host add` writes this list, `mcp-host sync` "
        "installs what is missing. Paths are relative to this file.",
    )


class TransportSection(Section):
    """`[transport]`: how clients reach the host."""

    kind: TransportKind = Field(default="stdio", description="`stdio`, or `http` for Streamable HTTP.")
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that HTTP listens on.")
    port: StrictInt = Field(default=8000, ge=0, le=65535, description="Port that HTTP listens on; 0 for any free port.")
    path: Annotated[str, Form(r"/[^\s?#]*", 'must start with "/", without spaces, `?` and `#`')] = Field(
        default="/mcp", description="Path of the MCP endpoint."
    )
    allowed_hosts: list[str] = Field(
        default=[], description="Host headers to accept in addition to those of the address."
    )
    allowed_origins: list[Origin] = Field(
        default=[], description="Origin headers to accept in addition to those of the address."
    )
    insecure: StrictBool = Field(
        default=False, description="Listen beyond this machine without [auth]: anyone who reaches the address may call."
    )
    cors: list[Origin] = Field(
        default=[],
        description="Origins whose browser pages may call the host; they get CORS headers and can read Mcp-Session-Id.",
    )
    stateless: StrictBool = Field(default=False, description="Keep no session between HTTP requests.")
    json_response: StrictBool = Field(
        default=False, description="Answer HTTP requests with JSON instead of an event stream."
    )
    resumable: StrictBool = Field(
        default=False,
        description="Keep the recent messages of each session in memory. A client whose connection broke during a call"
        " can reconnect and get the missed messages.",
    )
    session_idle_timeout: Duration = Field(
        default=1800.0, description="A session without requests for this long is closed."
    )
    max_sessions: StrictInt = Field(default=10_000, ge=1, description="Most sessions open at the same time.")
    max_connections: StrictInt | None = Field(
        default=None,
        ge=1,
        description="Most HTTP connections open at the same time; default: three quarters of the open files that the "
        "process may have.",
    )
    max_request_size: StrictInt = Field(
        default=4 * 1024 * 1024, ge=1, description="Largest HTTP request body, in bytes."
    )
    request_timeout: Duration = Field(
        default=30.0, description="Longest time for the head of an HTTP request to arrive, and for its body."
    )

    @field_validator("resumable")
    @classmethod
    def _has_streams_to_resume(cls, value: bool, info: ValidationInfo) -> bool:
        for key, reason in (("stateless", "no session is kept"), ("json_response", "responses are not streams")):
            if value and info.data.get(key):
                raise ValueError(f"has no effect with {key} = true, because {reason}: remove one of them")
        return value


class AuthSection(Section):
    """`[auth]`: who may call the host over HTTP.

    Without `verifier`, the host itself checks JWT access tokens (RFC 9068) with the issuer's keys.
    """

    verifier: Annotated[str, Form(f"plugin:{PLUGIN_NAME}", 'must have the form "plugin:NAME"')] | None = Field(
        default=None, description="Plugin that verifies bearer tokens, as `plugin:NAME`; default: the host itself."
    )
    jwks: HttpUrl | None = Field(
        default=None, description="URL of the issuer's keys (JWKS); default: taken from the issuer's metadata."
    )
    issuer: HttpUrl = Field(description="URL of the authorization server that issues the tokens.")
    resource: HttpUrl = Field(description="URL of this server that clients use.")
    audience: str | None = Field(
        default=None, min_length=1, description="Audience that a token's `aud` must contain; default: `resource`."
    )
    algorithms: list[SigningAlgorithm] = Field(
        default=list(get_args(SigningAlgorithm)),
        min_length=1,
        description="Algorithms that tokens may be signed with; default: all supported ones.",
    )
    required_scopes: list[str] = Field(default=[], description="Scopes that every token must have.")

    @field_validator("jwks", "audience", "algorithms")
    @classmethod
    def _not_beside_a_verifier(cls, value: _T, info: ValidationInfo) -> _T:
        if info.data.get("verifier") is not None:
            raise ValueError(
                "may not be used with `verifier`, whose plugin checks tokens by itself: remove one of them"
            )
        return value

    @field_validator("jwks", "issuer")
    @classmethod
    def _fetched_safely(cls, url: str | None, info: ValidationInfo) -> str | None:
        # An attacker who can change the keys in transit can sign tokens.
        fetched = info.field_name == "jwks" or not (info.data.get("verifier") or info.data.get("jwks"))
        if url is not None and fetched and not is_safe_to_fetch(url):
            raise ValueError("must be an https:// URL; http:// is allowed only for this machine's own addresses")
        return url


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
        description="Object to load as the plugin, `package.module:attribute`, for a plugin without an entry point.",
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


class HostConfig(Section):
    """The whole `mcp-host.toml`. An empty file is valid: it has the defaults and no plugins."""

    host: HostSection = Field(default_factory=HostSection, description="The host itself.")
    transport: TransportSection = Field(default_factory=TransportSection, description="How clients reach the host.")
    auth: AuthSection | None = Field(
        default=None, description="Who may call the host over HTTP; default: anyone who reaches it."
    )
    plugins: dict[PluginName, PluginSection] = Field(default={}, description="The plugins to load, in this order.")

    _path: Path | None = PrivateAttr(default=None)
    _base_dir: Path = PrivateAttr(default_factory=Path.cwd)
    _user_data: Path | None = PrivateAttr(default=None)
    _origins: Origins = PrivateAttr(default_factory=Origins)

    @property
    def path(self) -> Path | None:
        """The file this was read from."""
        return self._path

    @property
    def base_dir(self) -> Path:
        """The folder that relative paths start from: the file's folder, or the current one if there is no file."""
        return self._base_dir

    @property
    def data_dir(self) -> Path:
        """The folder where plugins keep files.

        It is `host.data_dir` relative to `base_dir`, else mcp-host's folder in the user's data directory, else
        `.mcp-host` in `base_dir` if the user has no home directory.
        """
        return self._base_dir / (self.host.data_dir or self._user_data or ".mcp-host")

    def where(self, *keys: str | int) -> str:
        """Return where a value came from: file, line and key, or the variable or flag that set it."""
        return self._origins.where(keys)

    def set_by_flags(self, *keys: str | int) -> bool:
        """Whether a command-line flag set the value, or anything in the table."""
        return any(path[: len(keys)] == keys for path in self._origins.flags)

    def located(self, path: Path | None, *, user_data: Path | None, origins: Origins) -> Self:
        """Return a copy that knows its file and the origin of its values."""
        copied = self.model_copy()
        copied._path = path
        copied._base_dir = path.absolute().parent if path else Path.cwd()
        copied._user_data = user_data
        copied._origins = origins
        return copied
