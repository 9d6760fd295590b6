"""The models of mcp-host.toml and of its tables for the host, its transport and its authorization."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar, get_args

from pydantic import Field, PrivateAttr, StrictBool, StrictInt, ValidationInfo, field_validator

from mcp_host.config.origins import Origins
from mcp_host.config.pluginsection import PluginSection
from mcp_host.config.values import (
    PLUGIN_NAME,
    Authority,
    Duration,
    FilePath,
    Form,
    HttpUrl,
    Limits,
    LogLevel,
    Network,
    OptionalDuration,
    Origin,
    PluginName,
    Section,
    SigningAlgorithm,
    TransportKind,
    is_safe_to_fetch,
)
from mcp_host.errors import Problem

_T = TypeVar("_T")


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
    base_dir: FilePath | None = Field(
        default=None, description="Folder that relative paths in this file start from; default: this file's folder."
    )
    data_dir: FilePath | None = Field(
        default=None,
        description="Folder where plugins keep files, relative to `base_dir`; default: mcp-host's folder in the user's "
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
    page_size: StrictInt = Field(
        default=1000,
        ge=1,
        description="How many items a list has at most. Clients get the rest page by page.",
    )
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
    allowed_hosts: list[Authority] = Field(
        default=[],
        description="Host headers to accept in addition to those of the address: host names, with a port or for every "
        "port.",
    )
    allowed_origins: list[Origin] = Field(
        default=[], description="Origin headers to accept in addition to those of the address."
    )
    insecure: StrictBool = Field(
        default=False,
        description="Serve without [auth] where others than this machine can call: beyond loopback, for another name "
        "in `allowed_hosts`, or mounted in another app.",
    )
    trusted_proxies: list[Network] = Field(
        default=[],
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto headers are used; "
        "those of anyone else are ignored.",
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
    keep_alive: Duration = Field(
        default=75.0,
        description="How long a connection without a request stays open: longer than a proxy in front keeps it.",
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
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def path(self) -> Path | None:
        """The file this was read from."""
        return self._path

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What was read and not used, for example a variable that another program set."""
        return self._warnings

    @property
    def base_dir(self) -> Path:
        """The folder that relative paths start from.

        It is `host.base_dir` relative to the file's folder, or to the current folder if there is no file.
        """
        return self._base_dir / (self.host.base_dir or "")

    @property
    def data_dir(self) -> Path:
        """The folder where plugins keep files.

        It is `host.data_dir` relative to `base_dir`, else mcp-host's folder in the user's data directory, else
        `.mcp-host` in `base_dir` if the user has no home directory.
        """
        return self.base_dir / (self.host.data_dir or self._user_data or ".mcp-host")

    def where(self, *keys: str | int) -> str:
        """Return where a value came from: file, line and key, or the variable or flag that set it."""
        return self._origins.where(keys)

    def set_by_flags(self, *keys: str | int) -> bool:
        """Whether a command-line flag set the value, or anything in the table."""
        return any(path[: len(keys)] == keys for path in self._origins.flags)

    def located(
        self, path: Path | None, *, user_data: Path | None, origins: Origins, warnings: Sequence[Problem] = ()
    ) -> Self:
        """Return a copy that knows its file, the origin of its values, and what to warn of."""
        copied = self.model_copy()
        copied._path = path
        copied._base_dir = path.absolute().parent if path else Path.cwd()
        copied._user_data = user_data
        copied._origins = origins
        copied._warnings = tuple(warnings)
        return copied
