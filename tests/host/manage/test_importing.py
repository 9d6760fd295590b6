"""The servers of clients become plugins' tables, and no secret gets into them."""

from __future__ import annotations

import json
import shlex
import string
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.config import parse_config
from mcp_host.config.spotting import is_random, secret_spans
from mcp_host.errors import HostError
from mcp_host.manage.clients.clientconfig import Machine, load_clients
from mcp_host.manage.configedit import add_plugin
from mcp_host.manage.importing.commandline import unwrapped
from mcp_host.manage.importing.places import Place, find, find_all, read
from mcp_host.manage.importing.plan import Planned, Settings, plan, plugin_name, prefix_of, used_variables, variables_of

CLIENTS = load_clients(others=True)


def settings(folder: Path = Path("/srv"), toml: str = "", **changes: Any) -> Settings:
    config = parse_config(toml, source=folder / "mcp-host.toml", environ={})
    given: dict[str, Any] = {"environ": {}, "prefix": False, "reserved": used_variables(config)}
    return Settings(config=config, base=folder, home=Path("/home/me"), **{**given, **changes})


def planned(
    entries: dict[str, Any], client: str = "", *, keys: tuple[str, ...] = ("mcpServers",), **changes: Any
) -> list[Planned]:
    place = Place(Path("/home/me/file.json"), CLIENTS.get(client), keys, entries)
    return plan([place], settings(**changes))


def one(entry: Any, client: str = "", **changes: Any) -> Planned:
    """Return what happens to one entry, whose table loads."""
    (result,) = planned({"srv": entry}, client, **changes)
    if result.decision == "imported":
        loaded(add_plugin("", result.name, result.table.values))
    return result


def loaded(text: str) -> Any:
    return parse_config(text, source=Path("/srv/mcp-host.toml"), environ={})


# --- The forms of the clients ----------------------------------------------------------------------------------------

NPX = ["npx", "-y", "srv"]

FORMS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "command and args": ("cursor", {"command": "npx", "args": ["-y", "srv"]}, {"command": NPX}),
    "a whole line": ("cursor", {"command": "npx -y srv"}, {"command": NPX}),
    "a whole line with a quoted part": (
        "cursor",
        {"command": "npx -y srv 'a b'", "args": ["c"]},
        {"command": [*NPX, "a b", "c"]},
    ),
    "a path with a space": ("cursor", {"command": "/opt/My App/s", "args": ["x"]}, {"command": ["/opt/My App/s", "x"]}),
    "a path with a space on Windows": (
        "cursor",
        {"command": r"C:\Program Files\nodejs\npx.cmd", "args": ["srv"]},
        {"command": [r"C:\Program Files\nodejs\npx.cmd", "srv"]},
    ),
    "cmd /c": ("cursor", {"command": "cmd", "args": ["/c", "npx", "-y", "srv"]}, {"command": NPX}),
    "cmd.exe with more switches, and a line": (
        "cursor",
        {"command": "C:\\Windows\\System32\\CMD.EXE", "args": ["/d", "/C", "npx -y srv"]},
        {"command": NPX},
    ),
    "env": (
        "cursor",
        {"command": "/usr/bin/env", "args": ["MODE=fast", "npx", "-y", "srv"]},
        {"command": NPX, "env": {"MODE": "fast"}},
    ),
    "a line with a variable before it": (
        "cursor",
        {"command": "MODE=fast npx -y srv"},
        {"command": NPX, "env": {"MODE": "fast"}},
    ),
    "env with its own options": (
        "cursor",
        {"command": "env", "args": ["-i", "npx", "srv"]},
        {"command": ["env", "-i", "npx", "srv"]},
    ),
    "numbers, booleans and null": (
        "cursor",
        {"command": "srv", "args": ["--port", 80, None], "env": {"N": 1, "B": True, "X": None}},
        {"command": ["srv", "--port", "80"], "env": {"N": "1", "B": "true"}},
    ),
    "null for everything": ("cursor", {"command": "srv", "args": None, "env": None, "cwd": None}, {"command": ["srv"]}),
    "disabled": ("cline", {"command": "srv", "disabled": True}, {"command": ["srv"], "enabled": False}),
    "not disabled": ("cline", {"command": "srv", "disabled": False}, {"command": ["srv"]}),
    "enabled is false": ("codex", {"command": "srv", "enabled": False}, {"command": ["srv"], "enabled": False}),
    "an absolute cwd": ("codex", {"command": "srv", "cwd": "/x"}, {"command": ["srv"], "cwd": "/x"}),
    "a cwd below the home": ("codex", {"command": "srv", "cwd": "~/x"}, {"command": ["srv"], "cwd": "~/x"}),
    "a relative cwd": ("cursor", {"command": "srv", "cwd": "x"}, {"command": ["srv"], "cwd": "/srv/x"}),
    "the client's folders": (
        "cursor",
        {"command": "srv", "args": ["${workspaceFolder}/a", "${userHome}${pathSeparator}b", "${HOME}/c"]},
        {"command": ["srv", "/srv/a", "/home/me/b", "/home/me/c"]},
    ),
    "a variable alone": (
        "claude-code",
        {"command": "srv", "env": {"A": "${A_VAR}", "B": "${env:B_VAR}"}},
        {"command": ["srv"], "env": {"A": {"env": "A_VAR"}, "B": {"env": "B_VAR"}}},
    ),
    "a variable in a text": (
        "claude-code",
        {"command": "srv", "env": {"URL": "postgres://me:${P}@h/db"}},
        {"command": ["srv"], "env": {"URL": {"env": "P", "format": "postgres://me:{}@h/db"}}},
    ),
    "a default": (
        "claude-code",
        {"command": "srv", "args": ["${LEVEL:-info}"], "env": {"L": "${LEVEL:-info}"}},
        {"command": ["srv", "info"], "env": {"L": "info"}},
    ),
    "a variable in the arguments": (
        "claude-code",
        {"command": "srv", "args": ["--root", "${ROOT}/my data"]},
        {"command": ["srv", "--root", {"env": "ROOT", "format": "{}/my data"}]},
    ),
    "an empty argument": ("cursor", {"command": "srv", "args": [""]}, {"command": ["srv", ""]}),
    "a variable in the URL": (
        "cursor",
        {"url": "https://${env:HOST_X}/mcp"},
        {"url": {"env": "HOST_X", "format": "https://{}/mcp"}},
    ),
    "a variable that is the URL": ("claude-code", {"url": "${URL_X}"}, {"url": {"env": "URL_X"}}),
    "two variables in the URL": ("claude-code", {"url": "https://${A}/${B}"}, {"url": {"env": "SRV_URL"}}),
    "no variables for a client that has none": (
        "claude-desktop",
        {"command": "srv", "args": ["${X}"], "env": {"A": "${X}"}},
        {"command": ["srv", "${X}"], "env": {"A": "${X}"}},
    ),
    "inputs of VS Code": (
        "vscode",
        {"type": "stdio", "command": "srv", "env": {"K": "${input:api-key}"}},
        {"command": ["srv"], "env": {"K": {"env": "API_KEY"}}},
    ),
    "VS Code's HTTP": (
        "vscode",
        {"type": "http", "url": "https://h/mcp", "headers": {"Authorization": "Bearer ${input:ghToken}"}},
        {"url": "https://h/mcp", "headers": {"Authorization": {"env": "GH_TOKEN", "format": "Bearer {}"}}},
    ),
    "Gemini CLI": (
        "gemini-cli",
        {
            "command": "srv", "env": {"A": "$A_VAR"}, "cwd": "/x", "timeout": 30000, "trust": True,
            "includeTools": ["a"], "excludeTools": ["b"],
        },
        {
            "command": ["srv"], "env": {"A": {"env": "A_VAR"}}, "cwd": "/x", "timeout": 30,
            "tools": {"allow": ["a"], "deny": ["b"]},
        },
    ),
    "Gemini CLI's HTTP": ("gemini-cli", {"httpUrl": "https://h/x", "url": "https://h/old"}, {"url": "https://h/x"}),
    "Codex": (
        "codex",
        {
            "command": "srv", "args": ["x"], "env_vars": ["A", {"name": "B", "source": "local"}],
            "startup_timeout_sec": 9, "tool_timeout_sec": 2.5, "enabled_tools": ["t"], "disabled_tools": ["u"],
        },
        {
            "command": ["srv", "x"], "env": {"A": {"env": "A"}, "B": {"env": "B"}}, "timeout": 2.5,
            "tools": {"allow": ["t"], "deny": ["u"]},
        },
    ),
    "Codex's HTTP": (
        "codex",
        {
            "url": "https://h/mcp", "bearer_token_env_var": "T", "http_headers": {"X-Mode": "a"},
            "env_http_headers": {"X-Org": "ORG"},
        },
        {
            "url": "https://h/mcp",
            "headers": {
                "X-Mode": "a", "X-Org": {"env": "ORG"}, "Authorization": {"env": "T", "format": "Bearer {}"},
            },
        },
    ),
    "Zed": ("zed", {"source": "custom", "command": "npx", "args": ["-y", "srv"], "env": {}}, {"command": NPX}),
    "Zed before 2026": (
        "zed",
        {"command": {"path": "npx", "args": ["-y", "srv"], "env": {"A": "b"}}},
        {"command": NPX, "env": {"A": "b"}},
    ),
    "opencode": (
        "opencode",
        {
            "type": "local", "command": ["npx", "-y", "srv"], "timeout": 5000,
            "environment": {"A": "{env:A_VAR}", "B": "{file:~/b}", "C": "${X}"},
        },
        {"command": NPX, "env": {"A": {"env": "A_VAR"}, "B": {"file": str(Path("~/b").expanduser())}, "C": "${X}"}},
    ),
    "opencode's remote": (
        "opencode",
        {"type": "remote", "url": "https://h/mcp", "enabled": False, "headers": {"X": "{env:X_VAR}"}},
        {"url": "https://h/mcp", "headers": {"X": {"env": "X_VAR"}}, "enabled": False},
    ),
    "Goose": (
        "goose",
        {
            "type": "stdio", "name": "srv", "cmd": "npx", "args": ["-y", "srv"], "envs": {"A": "b"}, "env_keys": ["K"],
            "timeout": 300, "bundled": None, "available_tools": [],
        },
        {"command": NPX, "env": {"A": "b", "K": {"env": "K"}}, "timeout": 300},
    ),
    "Goose's config below an entry": (
        "goose",
        {"enabled": False, "config": {"type": "stdio", "cmd": "npx", "args": ["-y", "srv"]}},
        {"command": NPX, "enabled": False},
    ),
    "Goose's HTTP": (
        "goose",
        {"type": "streamable_http", "uri": "https://h/mcp", "headers": {"X": "y"}, "available_tools": ["t"]},
        {"url": "https://h/mcp", "headers": {"X": "y"}, "tools": {"allow": ["t"]}},
    ),
    "Cursor's login": (
        "cursor",
        {"url": "https://h/mcp", "auth": {"CLIENT_ID": "me", "CLIENT_SECRET": "hunter22", "scopes": ["a", "b"]}},
        {
            "url": "https://h/mcp",
            "auth": {"client_id": "me", "client_secret": {"env": "SRV_CLIENT_SECRET"}, "scopes": ["a", "b"]},
        },
    ),
    "Cursor's login with variables": (
        "cursor",
        {"url": "https://h/mcp", "auth": {"CLIENT_ID": "me", "CLIENT_SECRET": "${env:S}"}},
        {"url": "https://h/mcp", "auth": {"client_id": "me", "client_secret": {"env": "S"}}},
    ),
    "Claude Code's login": (
        "claude-code",
        {"type": "http", "url": "https://h/mcp", "oauth": {"clientId": "me", "callbackPort": 8080}},
        {"url": "https://h/mcp", "auth": {"client_id": "me", "redirect_port": 8080}},
    ),
    "Gemini CLI's login": (
        "gemini-cli",
        {"httpUrl": "https://h/mcp", "oauth": {"enabled": True, "clientId": "me", "scopes": ["a"]}},
        {"url": "https://h/mcp", "auth": {"client_id": "me", "scopes": ["a"]}},
    ),
    "opencode's login": (
        "opencode",
        {"type": "remote", "url": "https://h/mcp", "oauth": {"clientId": "me", "scope": "a b"}},
        {"url": "https://h/mcp", "auth": {"client_id": "me", "scopes": ["a", "b"]}},
    ),
    "an empty login": ("opencode", {"url": "https://h/mcp", "oauth": {}}, {"url": "https://h/mcp", "auth": "oauth"}),
    "no login": ("opencode", {"url": "https://h/mcp", "oauth": False}, {"url": "https://h/mcp"}),
    "a login beside a token": (
        "cursor",
        {"url": "https://h/mcp", "headers": {"Authorization": "${T}"}, "auth": {"CLIENT_ID": "me"}},
        {"url": "https://h/mcp", "headers": {"Authorization": {"env": "T"}}},
    ),
    "a login of another form": (
        "cursor",
        {"url": "https://h/mcp", "auth": {"CLIENT_ID": "me", "scopes": ["a b"]}},
        {"url": "https://h/mcp", "auth": "oauth"},
    ),
    "Windsurf": ("windsurf", {"serverUrl": "https://h/mcp"}, {"url": "https://h/mcp"}),
    "Roo": (
        "roo",
        {"type": "streamable-http", "url": "https://h/mcp", "timeout": 60, "disabledTools": ["x"]},
        {"url": "https://h/mcp", "timeout": 60, "tools": {"deny": ["x"]}},
    ),
    "Cline": (
        "cline",
        {"type": "streamableHttp", "url": "https://h/mcp", "timeout": 3600},
        {"url": "https://h/mcp", "timeout": 3600},
    ),
    "Amazon Q": ("amazon-q", {"command": "srv", "timeout": 500}, {"command": ["srv"], "timeout": 0.5}),
    "Copilot": ("copilot", {"type": "local", "command": "srv", "args": [], "tools": ["*"]}, {"command": ["srv"]}),
    "Copilot with some tools": (
        "copilot",
        {"type": "local", "command": "srv", "tools": ["a"]},
        {"command": ["srv"], "tools": {"allow": ["a"]}},
    ),
    "a timeout in ms of any client": ("", {"command": "srv", "timeout": 60000}, {"command": ["srv"], "timeout": 60}),
    "a timeout in s of any client": ("", {"command": "srv", "timeout": 60}, {"command": ["srv"], "timeout": 60}),
    "mcp-remote with headers": (
        "cursor",
        {
            "command": "npx",
            "args": [
                "-y", "mcp-remote@latest", "https://h/mcp", "3334", "--header", "X-Mode: a", "--transport", "http-only",
            ],
        },
        {"url": "https://h/mcp", "headers": {"X-Mode": "a"}},
    ),
    "mcp-remote with a header from its own variable": (
        "claude-desktop",
        {
            "command": "npx", "args": ["mcp-remote", "https://h/mcp", "--header", "Authorization:${AUTH}"],
            "env": {"AUTH": "Bearer abcdefgh12"},
        },
        {"url": "https://h/mcp", "headers": {"Authorization": {"env": "SRV_AUTHORIZATION", "format": "Bearer {}"}}},
    ),
    "mcp-remote that logs in by itself": (
        "cursor",
        {"command": "npx", "args": ["-y", "mcp-remote", "https://h/mcp"]},
        {"command": ["npx", "-y", "mcp-remote", "https://h/mcp"]},
    ),
    "mcp-remote for SSE": (
        "cursor",
        {"command": "npx", "args": ["mcp-remote", "https://h/sse", "--header", "X: y"]},
        {"command": ["npx", "mcp-remote", "https://h/sse", "--header", "X: y"]},
    ),
    "docker with the values in its arguments": (
        "cursor",
        {
            "command": "docker",
            "args": ["run", "-i", "--rm", "-e", "A=1", "--env=B=2", "--name", "x", "img", "-e", "C=3"],
        },
        {
            "command": ["docker", "run", "-i", "--rm", "-e", "A", "--env=B", "--name", "x", "img", "-e", "C=3"],
            "env": {"A": "1", "B": "2"},
        },
    ),
    "docker with a name that comes from outside": (
        "cursor",
        {"command": "docker", "args": ["run", "-i", "-e", "A", "-e", "GIVEN", "img"], "env": {"GIVEN": "x"}},
        {"command": ["docker", "run", "-i", "-e", "A", "-e", "GIVEN", "img"], "env": {"GIVEN": "x", "A": {"env": "A"}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_the_clients_becomes_a_table(form: str) -> None:
    client, entry, table = FORMS[form]
    result = one(entry, client)
    assert (result.decision, result.why) == ("imported", "")
    assert result.table.values == table


REFUSED: dict[str, tuple[str, Any, str]] = {
    "SSE by type": ("cursor", {"type": "sse", "url": "https://h/x"}, "its transport is SSE"),
    "SSE by the end of the URL": ("cursor", {"url": "https://h/sse"}, "its transport is SSE"),
    "SSE of Gemini CLI": ("gemini-cli", {"url": "https://h/events"}, "its transport is SSE"),
    "SSE of Goose": ("goose", {"type": "sse", "uri": "https://h/x"}, "its transport is SSE"),
    "a built-in part of Goose": ("goose", {"type": "builtin", "name": "developer"}, "a part of the client"),
    "an unknown transport": ("cursor", {"type": "websocket", "url": "wss://h/x"}, "neither stdio nor Streamable HTTP"),
    "an extension of Zed": ("zed", {"source": "extension", "settings": {}}, "no command and no URL"),
    "nothing": ("cursor", {}, "no command and no URL"),
    "no object": ("cursor", "npx srv", "not an object"),
    "args that are no list": ("cursor", {"command": "srv", "args": {}}, "args is not a list"),
    "an argument that is an object": ("cursor", {"command": "srv", "args": [{}]}, "not a text"),
    "env that is a list": ("cursor", {"command": "srv", "env": ["A=b"]}, "env is not an object"),
    "a URL of another scheme": ("cursor", {"url": "ftp://h/x"}, "not one with http or https"),
    "another scheme before a variable": ("cursor", {"url": "ftp://${HOST_X}/mcp"}, "not one with http or https"),
    "a command of VS Code": ("vscode", {"command": "srv", "args": ["${command:pick}"]}, "only the client can replace"),
    "a NUL": ("cursor", {"command": "srv", "args": ["a\0b"]}, "NUL"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_has_no_form_is_refused_with_the_reason(form: str) -> None:
    client, entry, reason = REFUSED[form]
    result = one(entry, client)
    assert result.decision == "refused"
    assert reason in result.why


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "/x/bin/python", "args": ["-P", "-m", "mcp_host", "run", "--config", "/x/mcp-host.toml"]},
        {"command": "mcp-host", "args": ["run"]},
        {"command": r"C:\x\Scripts\mcp-host.exe", "args": ["run"]},
        {"command": "uvx", "args": ["mcp-host@latest", "run"]},
        {"command": "uv", "args": ["tool", "run", "--from", "mcp-host[yaml]>=1", "mcp-host", "run"]},
        {"command": "bash", "args": ["-c", "cd /x && mcp-host run"]},
        {"command": "cmd", "args": ["/c", "mcp-host", "run"]},
        {"command": "mcp-host run --config x"},
        {"url": "http://127.0.0.1:8000/mcp/"},
    ],
)
def test_the_entry_that_starts_the_host_is_left_out(entry: dict[str, Any]) -> None:
    assert one(entry, own_url="http://127.0.0.1:8000/mcp").decision == "host"


def test_a_program_with_a_similar_name_is_not_the_host() -> None:
    assert one({"command": "mcp-hostile"}).decision == "imported"
    assert one({"command": "npx", "args": ["mcp-host-tools"]}).decision == "imported"


def test_keys_without_a_counterpart_are_named() -> None:
    entry = {"command": "srv", "autoApprove": ["x"], "trust": True, "gallery": "g", "description": "d", "icon": None}
    assert one(entry).table.dropped == ["autoApprove", "gallery", "trust"]
    result = one({"url": "https://h/mcp", "auth": {"CLIENT_SECRET": "hunter22"}}, "cursor")
    assert result.table.values == {"url": "https://h/mcp", "auth": "oauth"}
    assert result.table.dropped == []
    assert result.table.notes == ["its client has a secret and no id; the host registers itself"]
    result = one({"url": "https://h/mcp", "headersHelper": "x.sh"}, "claude-code")
    assert result.table.notes == ["the client logs in with headersHelper, which is not imported"]
    assert one({"url": "https://h/mcp", "oauth": {"clientId": "a", "tokenUrl": "b"}}).table.dropped == [
        "oauth.tokenUrl"
    ]
    assert one({"command": "srv", "auth": {"CLIENT_ID": "a"}}).table.dropped == ["auth"]
    assert one({"command": "srv", "timeout": -1}).table.dropped == ["timeout"]


# --- Secrets ---------------------------------------------------------------------------------------------------------

SECRETS: dict[str, tuple[Any, Any, list[str]]] = {
    "a key that says so": ({"env": {"SRV_TOKEN": "x1"}}, {"SRV_TOKEN": {"env": "SRV_TOKEN"}}, ["x1"]),
    "a key without the server's name": ({"env": {"API_KEY": "x1"}}, {"API_KEY": {"env": "SRV_API_KEY"}}, ["x1"]),
    "a value that says so": (
        {"env": {"X": "ghp_0123456789abcdefgh"}},
        {"X": {"env": "SRV_X"}},
        ["ghp_0123456789abcdefgh"],
    ),
    "a password in a URL": (
        {"env": {"DB": "postgres://me:pa55@h/db"}},
        {"DB": {"env": "SRV_DB_PASSWORD", "format": "postgres://me:{}@h/db"}},
        ["pa55"],
    ),
    "two secrets in a text": (
        {"env": {"OPTS": "--token=a1 --password=b2"}},
        {"OPTS": {"env": "SRV_OPTS"}},
        ["--token=a1 --password=b2"],
    ),
    "a secret in a text with braces": (
        {"env": {"JSON": '{"token": "a1"}'}},
        {"JSON": {"env": "SRV_JSON"}},
        ['{"token": "a1"}'],
    ),
    "a secret beside a variable": (
        {"env": {"URL": "https://${H}/?token=a1"}},
        {"URL": {"env": "SRV_URL"}},
        ["https://${H}/?token=a1"],
    ),
    "two variables in a text": (
        {"env": {"URL": "http://${U}:${P}@h"}},
        {"URL": {"env": "SRV_URL"}},
        ["http://${U}:${P}@h"],
    ),
    "a part of a secret beside a variable": (
        {"env": {"PASSWORD": "abc${P}"}},
        {"PASSWORD": {"env": "SRV_PASSWORD"}},
        ["abc${P}"],
    ),
    "a default that is a secret": (
        {"env": {"X": "${T:-ghp_0123456789abcdefgh}"}},
        {"X": {"env": "SRV_X"}},
        ["ghp_0123456789abcdefgh"],
    ),
    "no secrets": (
        {"env": {"DEBUG_AUTH": "true", "MAX_TOKENS": "4096", "KEY_FILE": "/a/key.pem", "TZ": "UTC", "PASSWORD": ""}},
        {"DEBUG_AUTH": "true", "MAX_TOKENS": "4096", "KEY_FILE": "/a/key.pem", "TZ": "UTC", "PASSWORD": ""},
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_in_a_variable_becomes_a_reference(case: str) -> None:
    entry, env, secrets = SECRETS[case]
    result = one({"command": "srv", **entry}, "claude-code")
    assert result.table.values["env"] == env
    assert [variable.value for variable in result.table.variables] == secrets


HEADERS = {
    "Bearer abc": {"env": "SRV_AUTHORIZATION", "format": "Bearer {}"},
    "abc": {"env": "SRV_AUTHORIZATION"},
    "Custom abc": {"env": "SRV_AUTHORIZATION", "format": "Custom {}"},
    "Bearer ${T}": {"env": "T", "format": "Bearer {}"},
    "${T}": {"env": "T"},
    "Bearer x${T}": {"env": "SRV_AUTHORIZATION"},
}


@pytest.mark.parametrize("text", HEADERS)
def test_a_secret_in_a_header_becomes_a_reference(text: str) -> None:
    result = one({"url": "https://h/mcp", "headers": {"Authorization": text}}, "claude-code")
    assert result.table.values["headers"] == {"Authorization": HEADERS[text]}


URLS: dict[str, dict[str, str]] = {
    "https://me:pa55@h/mcp": {"env": "SRV_URL_PASSWORD", "format": "https://me:{}@h/mcp"},
    "https://h/mcp?api_key=abcdef&x=1": {"env": "SRV_API_KEY", "format": "https://h/mcp?api_key={}&x=1"},
    "https://h/mcp?apiKey=abcdef": {"env": "SRV_API_KEY", "format": "https://h/mcp?apiKey={}"},
    "https://h/mcp?key=abc": {"env": "SRV_KEY", "format": "https://h/mcp?key={}"},
    "https://h/s/aZ3bY9cX2dW8eV4fU7gT/mcp": {"env": "SRV_URL", "format": "https://h/s/{}/mcp"},
    "https://h/mcp?key=abc&token=def": {"env": "SRV_URL"},
}


@pytest.mark.parametrize("url", URLS)
def test_a_secret_in_a_url_becomes_a_reference(url: str) -> None:
    result = one({"url": url})
    assert result.table.values == {"url": URLS[url]}
    (variable,) = result.table.variables
    # With its value, the reference is the URL again.
    assert URLS[url].get("format", "{}").replace("{}", variable.value or "") == url


Word = str | dict[str, str]

ARGUMENTS: dict[str, tuple[list[str], list[Word]]] = {
    "one word": (["--api-key=hunter22"], [{"env": "SRV_API_KEY", "format": "--api-key={}"}]),
    "two words": (["--token", "hunter22", "--name", "x"], ["--token", {"env": "SRV_TOKEN"}, "--name", "x"]),
    "a header": (["-H", "X-Api-Key: hunter22"], ["-H", {"env": "SRV_X_API_KEY", "format": "X-Api-Key: {}"}]),
    "a bearer": (
        ["--header", "Authorization: Bearer hunter22"],
        ["--header", {"env": "SRV_AUTHORIZATION", "format": "Authorization: Bearer {}"}],
    ),
    "a URL": (["postgres://me:pa55@h/db"], [{"env": "SRV_PASSWORD", "format": "postgres://me:{}@h/db"}]),
    "a token alone": (["ghp_0123456789abcdefgh"], [{"env": "SRV_SECRET"}]),
    "a query": (["https://h/mcp?key=hunter22&x=1"], [{"env": "SRV_KEY", "format": "https://h/mcp?key={}&x=1"}]),
    "two secrets": (["--token=a1 --password=b2"], [{"env": "SRV_SECRET"}]),
    "a secret and a variable": (["--token=abc12${X}"], [{"env": "SRV_SECRET"}]),
    "a name beside a variable": (["postgres://${U}@h/db"], [{"env": "U", "format": "postgres://{}@h/db"}]),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_a_secret_in_the_arguments_becomes_a_reference(case: str) -> None:
    args, words = ARGUMENTS[case]
    result = one({"command": "srv", "args": args}, "claude-code")
    assert result.table.values == {"command": ["srv", *words]}


def test_a_second_import_knows_a_server_whose_secrets_have_other_names() -> None:
    toml = """
        [plugins.srv]
        command = ["srv", { env = "OTHER", format = "--key={}" }]
        [plugins.web]
        url = { env = "THIRD", format = "https://h/mcp?key={}" }
    """
    entries = {
        "srv": {"command": "srv", "args": ["--key=hunter22"]},
        "web": {"url": "https://h/mcp?key=hunter22"},
    }
    results = planned(entries, toml=toml)
    assert [(result.decision, result.table.variables[0].name) for result in results] == [
        ("same", "OTHER"),
        ("same", "THIRD"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "@modelcontextprotocol/server-sequential-thinking",
        "mcp-server-2024-11-05-preview",
        "git+https://github.com/a/b@0123456789abcdef0123456789abcdef01234567",
        "ghcr.io/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "/Users/me/Library/Application Support/GoogleApplicationFolder2",
        "--allow-unauthenticated-access",
        "https://api.githubcopilot.com/mcp/",
    ],
)
def test_ordinary_texts_are_no_secrets(text: str) -> None:
    assert secret_spans(text) == []


def test_a_generated_text_is_random_and_a_word_is_not() -> None:
    assert is_random("aZ3bY9cX2dW8eV4fU7gT")
    assert is_random("0a1b2c3d4e5f60718293a4b5c6d7e8f9")
    assert not is_random("GoogleApplicationCredentials2")
    assert not is_random("12345678901234567890")


def test_equal_secrets_share_a_variable_and_others_do_not() -> None:
    entries = {
        "github": {"command": "a", "env": {"GITHUB_TOKEN": "one1"}},
        "github-work": {"command": "b", "env": {"GITHUB_TOKEN": "two2"}},
        "github-too": {"command": "c", "env": {"GITHUB_TOKEN": "one1"}},
    }
    names = [result.table.values["env"]["GITHUB_TOKEN"]["env"] for result in planned(entries)]
    assert names == ["GITHUB_TOKEN", "GITHUB_WORK_GITHUB_TOKEN", "GITHUB_TOKEN"]


def test_a_variable_with_another_meaning_is_not_taken() -> None:
    entry = {"command": "a", "env": {"SRV_TOKEN": "one1", "X": "${SRV_SRV_TOKEN}"}}
    # One is set here to another value, one is used by the file, and one is the client's own.
    toml = '[plugins.x]\ncommand = "x"\nenv.T = { env = "SRV_SRV_TOKEN_2" }\n'
    (result,) = planned({"srv": entry}, "claude-code", environ={"SRV_TOKEN": "other"}, toml=toml)
    assert result.table.values["env"]["SRV_TOKEN"] == {"env": "SRV_SRV_TOKEN_3"}
    (result,) = planned({"srv": entry}, "claude-code", environ={"SRV_TOKEN": "one1"})
    assert result.table.values["env"]["SRV_TOKEN"] == {"env": "SRV_TOKEN"}


def test_no_variable_changes_the_configuration_of_the_host() -> None:
    (result,) = planned({"mcp": {"command": "a", "env": {"MCP_HOST_TOKEN": "one1"}}})
    assert result.table.values["env"]["MCP_HOST_TOKEN"] == {"env": "SERVER_MCP_HOST_TOKEN"}


def test_an_input_of_vs_code_is_named() -> None:
    result = one({"command": "srv", "env": {"K": "${input:api-key}"}}, "vscode")
    assert result.table.notes == ["the client's input api-key is the variable API_KEY here"]
    assert result.table.variables[0].value == "${input:api-key}"  # what the host's entry in that file has


def test_an_env_file_is_read_by_name_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A_TOKEN=hunter22\n# no\nexport B='x'\n")
    entry = {"command": "srv", "envFile": "${workspaceFolder}/.env", "env": {"B": "mine"}}
    (result,) = planned({"srv": entry}, "vscode", folder=tmp_path)
    assert result.table.values["env"] == {"B": "mine", "A_TOKEN": {"env": "A_TOKEN"}}
    assert [variable.where for variable in result.table.variables] == [f"{tmp_path / '.env'}: A_TOKEN"]
    (result,) = planned({"srv": {**entry, "envFile": "nowhere"}}, "vscode", folder=tmp_path)
    assert result.table.notes == ["its envFile cannot be read, so its variables are missing"]


# --- Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My Files!", "My-Files"),
        (".hidden", "hidden"),
        ("a/b", "a-b"),
        ("ключ", "server"),
        ("", "server"),
        ("_x.1", "_x.1"),
    ],
)
def test_a_name_is_changed_to_a_plugins_name(text: str, name: str) -> None:
    assert plugin_name(text) == name


@given(st.text())
def test_every_name_becomes_a_plugins_name_with_a_prefix(text: str) -> None:
    name = plugin_name(text)
    loaded(add_plugin("", name, {"command": ["x"], "prefix": prefix_of(name)}))


def test_a_clash_of_names_is_resolved_and_nothing_is_overwritten() -> None:
    entry = {"command": "new"}
    places = [
        Place(Path("/a.json"), CLIENTS["cursor"], ("mcpServers",), {"git": entry, "My Git": {"command": "x"}}),
        Place(Path("/b.json"), CLIENTS["cline"], ("mcpServers",), {"git": {"command": "other"}, "My/Git": entry}),
        Place(Path("/c.json"), CLIENTS["zed"], ("context_servers",), {"git": entry}),
    ]
    toml = '[plugins.git]\ncommand = "mine"\n'
    results = plan(places, settings(toml=toml))
    assert [result.name for result in results] == ["git-cursor", "My-Git", "git-cline", "My-Git-cline", "git-zed"]
    assert results[0].why == "the name 'git' is taken by another server"
    text = toml
    for result in results:
        text = add_plugin(text, result.name, result.table.values)
    assert text.startswith(toml)
    assert list(tomllib.loads(text)["plugins"]) == ["git", *(result.name for result in results)]


def test_the_same_server_in_two_clients_is_imported_once() -> None:
    entry = {"command": "npx", "args": ["srv", "--key=abcdef"], "env": {"T_TOKEN": "one1"}}
    places = [Place(Path(f"/{name}.json"), CLIENTS[name], ("x",), {"srv": entry}) for name in ("cursor", "cline")]
    results = plan(places, settings())
    assert [result.decision for result in results] == ["imported", "same"]
    text = add_plugin("", "srv", results[0].table.values)
    assert [result.decision for result in plan(places, settings(toml=text))] == ["same", "same"]


# --- Files -----------------------------------------------------------------------------------------------------------


def files(folder: Path) -> Machine:
    return Machine({"HOME": str(folder)}, "linux", folder)


@pytest.mark.parametrize(
    ("name", "text", "keys"),
    [
        ("a.json", '{"mcpServers": {"s": {"command": "x"}}}', ("mcpServers",)),
        ("a.json", '\ufeff{/* c */ "servers": {"s": {"command": "x"},},}', ("servers",)),
        ("settings.json", '{"mcp": {"servers": {"s": {"command": "x"}}}, "a": 1}', ("mcp", "servers")),
        ("settings.json", '{"mcp.servers": {"s": {"command": "x"}}}', ("mcp.servers",)),
        ("opencode.json", '{"mcp": {"s": {"type": "local", "command": ["x"]}}}', ("mcp",)),
        ("a.toml", '[mcp_servers.s]\ncommand = "x"\n', ("mcp_servers",)),
        ("a.json", '{"context_servers": {"s": {"command": "x"}}}', ("context_servers",)),
        ("a.yaml", "extensions:\n  s: {type: stdio, cmd: x}\n", ("extensions",)),
        ("a.json", '{"projects": {"/p": {"mcpServers": {"s": {"command": "x"}}}}}', ("projects", "/p", "mcpServers")),
        ("a.json", '{"s": {"command": "x"}}', ()),
    ],
)
def test_a_file_is_read_by_what_it_has(tmp_path: Path, name: str, text: str, keys: tuple[str, ...]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    (found,) = find(name, files(tmp_path))
    (place,) = found.places
    assert place.keys == keys
    assert list(place.entries) == ["s"]
    assert plan([place], settings())[0].table.values["command"] == ["x"]


@pytest.mark.parametrize(
    ("path", "client"),
    [
        (".mcp.json", "claude-code"),
        ("p/.cursor/mcp.json", "cursor"),
        ("p/.vscode/mcp.json", "vscode"),
        ("copy/claude_desktop_config.json", "claude-desktop"),
        ("copy/cline_mcp_settings.json", "cline"),
        ("copy/opencode.jsonc", "opencode"),
        ("copy/mcp.json", None),
    ],
)
def test_the_client_of_a_file_is_known_by_its_path(tmp_path: Path, path: str, client: str | None) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text('{"mcpServers": {"s": {"command": "x"}}}')
    (found,) = find(path, files(tmp_path))
    assert (found.client.name if found.client else None) == client


def test_the_servers_of_a_project_run_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text(
        '{"projects": {"/p": {"mcpServers": {"s": {"command": "${workspaceFolder}/x"}}}}}'
    )
    (place,) = read(tmp_path / ".claude.json", CLIENTS["claude-code"]).places
    (result,) = plan([place], settings(tmp_path))
    assert result.table.values == {"command": ["/p/x"], "cwd": "/p"}
    assert result.table.notes == ["the folder of its project, /p, does not exist"]


def test_a_file_that_is_a_link_to_another_is_read_once(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor" / "mcp.json").write_text('{"mcpServers": {"s": {"command": "x"}}}')
    assert [found.count for found in find_all(files(tmp_path))] == [1]  # the user's and the project's are one


@pytest.mark.parametrize(
    ("name", "text", "what", "place"),
    [
        ("a.json", '{"mcpServers": {"x": {"command": "y"', "not valid JSON: the file ends too early", ":1:37"),
        ("a.toml", "a = 1\n[mcp_servers.x\n", "not valid TOML", ":2:15"),
        ("a.yaml", "extensions: [\n  a: b", "not valid YAML", ":2"),
        ("a.json", "", "has no MCP servers", ""),
        ("a.json", '{"mcpServers": []}', "has no MCP servers", ""),
        ("a.json", "[1]", "not valid JSON: an object is expected", ":1:1"),
        ("a.json", "\udcff", "not UTF-8", ""),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_with_its_line(
    tmp_path: Path, name: str, text: str, what: str, place: str
) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(HostError) as raised:
        find(name, files(tmp_path))
    assert what in raised.value.what
    assert raised.value.where == f"{tmp_path / name}{place}"


# --- Every secret ----------------------------------------------------------------------------------------------------

MARK = "Zq7x"
"""A text that is in every secret and nowhere else."""

TAILS = st.text(string.ascii_letters + string.digits, min_size=6, max_size=20)
WORDS = TAILS.map(lambda tail: MARK + tail)
"""Secrets that fit into a URL or an argument."""
ANY = st.tuples(WORDS, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)).map(
    "".join
)
TOKENS = st.text(string.ascii_letters + string.digits, min_size=16, max_size=24).map(lambda tail: f"ghp_{MARK}{tail}")
SECRET_KEYS = st.sampled_from(
    ["API_KEY", "GITHUB_TOKEN", "db-password", "clientSecret", "AUTH", "PGPASSWORD", "S_PASS"]
)
NAMES = st.one_of(st.sampled_from(["git", "My Server", "a.b", "mcp-host-x", "1"]), st.text(max_size=5))


@st.composite
def arguments(draw: st.DrawFn) -> list[str]:
    word = draw(WORDS)
    return draw(
        st.sampled_from(
            [
                [f"--api-key={word}"],
                ["--token", word],
                ["--password", f"-{word}"],
                ["-H", f"X-Api-Key: {word}"],
                [f"--header=Authorization: Bearer {word}"],
                ["--headers", json.dumps({"Authorization": f"Bearer {word}"})],
                [f"API_TOKEN={word}"],
                [f"postgres://me:{word}@h/db"],
                [f"Server=h;Password={word};Database=x"],
                [f"https://h/mcp?x=1&api_key={word}"],
                [json.dumps({"token": word})],
                ["-c", f"API_KEY={word} srv --x"],
                [draw(TOKENS)],
                [f"x={draw(TOKENS)}"],
            ]
        )
    )


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, str]:
    """A key with a secret as its value, or an ordinary key with a token in its value."""
    if draw(st.booleans()):
        return draw(SECRET_KEYS), draw(st.sampled_from(["", "Bearer ", "${X}", "x "])) + draw(ANY)
    return draw(st.sampled_from(["MODE", "URL", "x"])), draw(st.sampled_from(["", "a=", "https://h/"])) + draw(TOKENS)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    env = dict(draw(st.lists(texts(), max_size=3)))
    if draw(st.booleans()):
        url = draw(
            st.sampled_from(
                [
                    "https://h/mcp",
                    f"https://me:{draw(WORDS)}@h/mcp",
                    f"https://h/mcp?token={draw(WORDS)}",
                    f"https://h/{draw(TOKENS)}",
                ]
            )
        )
        headers = draw(
            st.sampled_from([{"Authorization": f"Bearer {draw(WORDS)}"}, {"Cookie": f"a={draw(WORDS)}"}, {}])
        )
        return {"url": url, "headers": {**headers, **env}, "auth": {"CLIENT_SECRET": draw(WORDS)}}
    line = [word for part in draw(st.lists(arguments(), max_size=3)) for word in part]
    command = draw(
        st.sampled_from(
            [
                ["srv"],
                ["npx", "-y", "mcp-remote", "https://h/mcp"],
                ["docker", "run", "-e", f"A_TOKEN={draw(WORDS)}", f"-e=B_KEY={draw(WORDS)}", "img"],
                ["env", f"TOKEN={draw(WORDS)}", "srv"],
                ["cmd", "/c", "srv"],
            ]
        )
    )
    words = [*command, *line]
    words = [shlex.join(words)] if draw(st.booleans()) else words
    return {"command": words[0], "args": words[1:], "env": env, "alwaysAllow": [draw(WORDS)]}


@given(
    st.dictionaries(NAMES, entries(), max_size=4),
    st.sampled_from(["", "cursor", "claude-code", "gemini-cli", "claude-desktop", "codex", "opencode"]),
)
def test_what_is_written_loads_and_has_no_secret_in_it(given_entries: dict[str, Any], client: str) -> None:
    results = planned(given_entries, client)
    text = "[host]\nname = 'x'\n"
    for result in results:
        if result.decision == "imported":
            text = add_plugin(text, result.name, result.table.values)
    config = loaded(text)
    assert len(config.plugins) == sum(result.decision == "imported" for result in results)
    assert MARK not in text
    shown = [(result.name, result.key, result.why, result.table.notes, result.table.dropped) for result in results]
    assert MARK not in repr([result.table.variables for result in results]) + repr(shown)
    # Each reference has its variable, whose value the client's file has.
    named = {name for name, uses in variables_of(results).items() if uses}
    assert used_variables(config) <= named


def test_a_command_is_only_unwrapped() -> None:
    assert unwrapped(["sh", "-c", "a && b"], {}).words == ["sh", "-c", "a && b"]
    assert unwrapped(["npx", "a b"], {}).words == ["npx", "a b"]
