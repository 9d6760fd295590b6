"""Reads a server's entry in any of the forms that the clients have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_host.manage.importing.substitutes import NotImportedError

_HTTP: Final = frozenset({"http", "streamablehttp", "remote"})
_STDIO: Final = frozenset({"stdio", "local"})
_OF_THE_CLIENT: Final = frozenset({"builtin", "platform", "frontend", "inlinepython", "sdk"})
_READ_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "env": ("env", "environment", "envs"),
    "url": ("httpUrl", "serverUrl", "uri", "url"),
    "headers": ("headers", "http_headers"),
    "allow": ("includeTools", "enabled_tools", "enabledTools", "available_tools", "tools"),
    "deny": ("excludeTools", "disabled_tools", "disabledTools"),
    "forwarded": ("env_vars", "env_keys"),
}
"""The names that one thing has in the clients' files."""

_USED: Final = frozenset(
    {name for names in _READ_AS.values() for name in names}
    | {"command", "cmd", "args", "cwd", "envFile", "type", "transport", "transportType", "enabled", "disabled"}
    | {"timeout", "tool_timeout_sec", "env_http_headers", "bearer_token_env_var"}
)
_MILLISECONDS: Final = frozenset({"claude-code", "gemini-cli", "amazon-q", "copilot"})
_SECONDS: Final = frozenset({"cline", "roo", "goose"})
_NO_CALLS: Final = frozenset({"opencode"})
"""The clients whose `timeout` is in these units, or is not about calls."""

_NOT_SAID: Final = frozenset({"name", "description", "source", "bundled", "display_name"})
"""Keys whose loss changes nothing."""


@dataclass
class Server:
    """One server, as its entry describes it. Texts are as written: with the client's variables, and with secrets."""

    command: list[str] = field(default_factory=list, repr=False)
    url: str = field(default="", repr=False)
    env: dict[str, str] = field(default_factory=dict, repr=False)
    forwarded: list[str] = field(default_factory=list)
    """Variables that the client passes on from its own environment."""
    env_file: str = ""
    cwd: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    forwarded_headers: dict[str, str] = field(default_factory=dict)
    """The variable that has the value of a header, by the header's name."""
    login: dict[str, Any] | None = field(default=None, repr=False)
    """How the client logs in with OAuth: keys of `auth`, as far as they are given. None if it is not stated."""
    bearer: str = ""
    """The variable that has the token of the header `Authorization`."""
    enabled: bool = True
    allow: list[str] | None = None
    deny: list[str] = field(default_factory=list)
    timeout: float | None = None
    """Seconds."""
    dropped: list[str] = field(default_factory=list)
    """The keys of the entry that have no counterpart."""
    notes: list[str] = field(default_factory=list)


def read_entry(entry: object, client: str = "") -> Server:
    """Read an entry of a client's file. `client` is the client's name, or "" for an unknown one.

    Raises:
        NotImportedError: The entry is not a server that the host can start or connect to.
    """
    given = _given(entry)
    server = Server()
    kind = _kind(given)
    url_key, url = _first(given, "url")
    command = _command(given)
    if kind in _OF_THE_CLIENT:
        raise NotImportedError("it is a part of the client and not a server")
    if kind and kind not in _HTTP | _STDIO | {"sse"}:
        raise NotImportedError("its transport is neither stdio nor Streamable HTTP")
    if command and kind not in _HTTP | {"sse"}:
        server.command = command
        server.env = _texts(_first(given, "env")[1], "env", server)
        server.cwd = _text(given.get("cwd"), "cwd")
        server.env_file = _text(given.get("envFile"), "envFile")
        server.forwarded = _names(_first(given, "forwarded")[1])
    elif url is not None:
        server.url = _text(url, url_key).strip()
        if kind == "sse" or (not kind and _is_sse(server.url, url_key, client)):
            raise NotImportedError(
                "its transport is SSE, which the host does not have; "
                'command = ["npx", "-y", "mcp-remote", "URL"] serves it, if Node.js is here'
            )
        server.headers = _texts(_first(given, "headers")[1], "headers", server)
        server.forwarded_headers = _texts(given.get("env_http_headers"), "env_http_headers", server)
        server.bearer = _text(given.get("bearer_token_env_var"), "bearer_token_env_var")
    else:
        raise NotImportedError("it has no command and no URL")
    server.enabled = given.get("disabled") is not True and given.get("enabled") is not False
    _read_filter(given, server)
    server.timeout = _timeout(given, client)
    server.dropped = sorted(key for key in given if key not in _USED | _NOT_SAID)
    if given.get("timeout") is not None and server.timeout is None:
        server.dropped.append("timeout")
    if server.url:
        _read_login(given, server)
    for key in {"auth", "oauth", "headersHelper"} & {key for key in server.dropped if given.get(key)}:
        server.notes.append(f"the client logs in with {key}, which is not imported")
    return server


_LOGIN: Final[Mapping[str, tuple[str, ...]]] = {
    "client_id": ("client_id", "clientid"),
    "client_secret": ("client_secret", "clientsecret"),
    "scopes": ("scopes", "scope"),
    "redirect_port": ("redirect_port", "callbackport", "redirectport"),
    "issuer": ("issuer",),
}
"""The keys of `auth`, with the names that they have in the clients' files, in lower case."""


def _read_login(given: Mapping[str, Any], server: Server) -> None:
    """Read `auth` of Cursor, and `oauth` of Claude Code, Gemini CLI and opencode."""
    key = next((key for key in ("auth", "oauth") if key in given), "")
    stated = given.get(key)
    if stated in ("oauth", True):
        stated = {}
    if not isinstance(stated, Mapping):
        if stated is False or stated == "none":
            server.dropped.remove(key)
        return
    server.dropped.remove(key)
    server.login = {}
    if stated.get("enabled") is False:
        server.login = None
        return
    for name, value in stated.items():
        known = next((ours for ours, theirs in _LOGIN.items() if str(name).lower() in theirs), None)
        if known == "scopes" and isinstance(value, str | list):
            server.login[known] = value.split() if isinstance(value, str) else [str(each) for each in value]
        elif known is not None and isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            server.login[known] = value
        elif name != "enabled" and value is not None:
            server.dropped.append(f"{key}.{name}")
    server.dropped.sort()


def _given(entry: object) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise NotImportedError("its entry is not an object")
    given = {str(key): value for key, value in entry.items() if value is not None}
    nested = given.get("command")
    if isinstance(nested, Mapping):
        # Zed before 2026: command = {path, args, env}
        given |= {"command": nested.get("path"), "args": nested.get("args"), "env": nested.get("env")}
    config = given.get("config")
    if isinstance(config, Mapping) and not {"command", "cmd", "url", "uri"} & set(given):
        given = {**{key: value for key, value in given.items() if key != "config"}, **config}
    return {key: value for key, value in given.items() if value is not None}


def _kind(given: Mapping[str, Any]) -> str:
    kind = next((given[key] for key in ("type", "transport", "transportType") if key in given), "")
    return str(kind).lower().replace("-", "").replace("_", "")


def _first(given: Mapping[str, Any], thing: str) -> tuple[str, Any]:
    """Return the key and the value of a thing, or "" and None."""
    return next(((name, given[name]) for name in _READ_AS[thing] if name in given), ("", None))


def _command(given: Mapping[str, Any]) -> list[str]:
    command = given.get("command", given.get("cmd"))
    words = command if isinstance(command, list) else [command] if command else []
    args = given.get("args", [])
    if isinstance(args, str):
        args = [args] if args else []
    if not isinstance(args, list):
        raise NotImportedError("args is not a list")
    every = [*words, *(arg for arg in args if arg is not None)]
    if not all(isinstance(word, str | int | float) and not isinstance(word, bool) for word in every):
        raise NotImportedError("its command holds something that is not a text")
    return [str(word) for word in every] if words and str(words[0]).strip() else []


def _texts(value: object, key: str, server: Server) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise NotImportedError(f"{key} is not an object")
    texts: dict[str, str] = {}
    for name, text in value.items():
        if isinstance(text, bool):
            texts[str(name)] = "true" if text else "false"
        elif isinstance(text, str | int | float):
            texts[str(name)] = str(text)
        elif text is not None:
            server.notes.append(f"{key}.{name} is left out: it is not a text")
    return texts


def _text(value: object, key: str) -> str:
    if value is not None and not isinstance(value, str):
        raise NotImportedError(f"{key} is not a text")
    return value or ""


def _names(value: object) -> list[str]:
    """Return names from a list of names, or of objects with a name, as Codex also has them."""
    items: Iterable[object] = value if isinstance(value, list) else ()
    names = (item.get("name") if isinstance(item, Mapping) else item for item in items)
    return [name for name in names if isinstance(name, str) and name]


def _is_sse(url: str, key: str, client: str) -> bool:
    """Return whether a URL without a type is one for SSE. For Gemini CLI, `url` is, and `httpUrl` is not."""
    path = url.partition("?")[0].rstrip("/")
    return path.endswith("/sse") or (client == "gemini-cli" and key == "url" and not path.endswith("/mcp"))


def _read_filter(given: Mapping[str, Any], server: Server) -> None:
    key, allow = _first(given, "allow")
    if isinstance(allow, list):
        names = [name for name in allow if isinstance(name, str)]
        # For Goose, an empty list means all tools. "*" means all for Copilot.
        server.allow = None if "*" in names or (key == "available_tools" and not names) else names
    elif allow is not None:
        server.notes.append(f"{key} is left out: it is not a list of names")
    server.deny = [name for name in _first(given, "deny")[1] or () if isinstance(name, str)]


def _timeout(given: Mapping[str, Any], client: str) -> float | None:
    if (seconds := _duration(given.get("tool_timeout_sec"))) is not None:
        return seconds
    value = _duration(given.get("timeout"))
    if value is None or client in _NO_CALLS:
        return None
    # Nobody waits for a thousand seconds, and nobody for less than a second.
    is_milliseconds = client in _MILLISECONDS or (client not in _SECONDS and value >= 1000)
    return value / 1000 if is_milliseconds else value


def _duration(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e9 else None
