"""What a user writes in mcp-host.toml, in variables and in flags, and the errors they get."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from mcp_host.config import HostConfig, find_config, load_config, parse_config, user_dir
from mcp_host.errors import ConfigError, InvalidConfigError, Problem


def parse(text: str, *, environ: dict[str, str] | None = None, **overrides: Any) -> HostConfig:
    return parse_config(text, overrides=overrides, environ=environ or {})


def problems(text: str, *, environ: dict[str, str] | None = None, **overrides: Any) -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        parse(text, environ=environ, **overrides)
    return [f"{problem.where}: {problem.what}" for problem in caught.value.problems]


def only_problem(text: str, *, environ: dict[str, str] | None = None, **overrides: Any) -> Problem:
    with pytest.raises(InvalidConfigError) as caught:
        parse(text, environ=environ, **overrides)
    (problem,) = caught.value.problems
    return problem


# --- The file


def test_without_a_file_the_configuration_is_the_defaults() -> None:
    config = load_config(None, environ={})
    assert config.model_dump() == HostConfig().model_dump()
    assert (config.host.name, config.transport.kind, config.transport.port) == ("mcp-host", "stdio", 8000)
    assert (config.path, config.base_dir, config.plugins, config.auth) == (None, Path.cwd(), {}, None)


def test_a_file_is_read_with_its_folder_as_the_base_of_relative_paths(tmp_path: Path) -> None:
    file = tmp_path / "mcp-host.toml"
    file.write_text('[host]\nname = "mine"\ndata_dir = "data"\n', encoding="utf-8")
    config = load_config(file, environ={})
    assert config.host.name == "mine"
    assert (config.path, config.base_dir, config.data_dir) == (file, tmp_path, tmp_path / "data")


def test_the_order_of_plugins_is_the_order_of_the_file() -> None:
    config = parse("[plugins.zeta]\n[plugins.alpha]\n[plugins.mid]\n")
    assert list(config.plugins) == ["zeta", "alpha", "mid"]


def test_every_key_of_the_documented_file_is_read() -> None:
    config = parse(
        """
        [host]
        name = "my-tools"
        on_error = "fail"
        log_level = "WARNING"
        call_timeout = "none"
        [transport]
        kind = "streamable-http"
        cors = ["https://example.com", "null"]
        [auth]
        verifier = "plugin:login"
        issuer = "https://issuer.example"
        resource = "https://tools.example/mcp"
        [plugins.stats]
        prefix = "stats_"
        tools.deny = ["variance"]
        tools.read_only = true
        tools.timeouts.mean = "2m"
        timeout = "30s"
        settings.digits = 2
        [plugins.weather]
        object = "weather_server:mcp"
        enabled = false
        """
    )
    stats = config.plugins["stats"]
    assert (config.host.log_level, config.host.call_timeout, config.transport.kind) == ("warning", None, "http")
    assert (stats.timeout, stats.tools.timeouts, stats.tools.deny) == (30.0, {"mean": 120.0}, ["variance"])
    assert (stats.tools.read_only, stats.settings) == (True, {"digits": 2})
    assert config.plugins["weather"].object == "weather_server:mcp"
    assert config.auth is not None
    assert config.auth.verifier == "plugin:login"


def test_a_byte_order_mark_is_tolerated(tmp_path: Path) -> None:
    file = tmp_path / "mcp-host.toml"
    file.write_bytes(b'\xef\xbb\xbf[host]\nname = "x"\n')
    assert load_config(file, environ={}).host.name == "x"


def test_settings_are_not_part_of_the_representation() -> None:
    assert "hunter2" not in repr(parse('[plugins.stats]\nsettings.token = "hunter2"\n'))


def test_configurations_with_equal_values_from_different_places_are_equal() -> None:
    assert parse("[transport]\nport = 9\n") == parse("# moved\n", transport={"port": 9})
    assert parse("[transport]\nport = 9\n") != parse("[transport]\nport = 8\n")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5, 5.0), (0.25, 0.25), ("500ms", 0.5), ("30s", 30.0), ("1.5m", 90.0), ("2 h", 7200.0)],
)
def test_a_duration_is_seconds_or_a_text_with_a_unit(value: object, seconds: float) -> None:
    assert parse(tomli_w.dumps({"host": {"start_timeout": value}})).host.start_timeout == seconds


@pytest.mark.parametrize("value", [0, -1, True, "0s", "soon", "10", "1d", [], float("nan"), float("inf"), 10**400])
def test_a_duration_is_above_zero_and_finite(value: object) -> None:
    (problem,) = problems(tomli_w.dumps({"host": {"start_timeout": value}}))
    assert problem.startswith("mcp-host.toml:2: host.start_timeout: 'start_timeout' must be a ")


# --- Where files are


def test_a_file_named_on_the_command_line_wins_over_all_others(tmp_path: Path) -> None:
    for name in ("flag.toml", "variable.toml", "mcp-host.toml"):
        (tmp_path / name).touch()
    environ = {"MCP_HOST_CONFIG": "variable.toml"}
    assert find_config(Path("flag.toml"), environ, tmp_path) == tmp_path / "flag.toml"
    assert find_config(None, environ, tmp_path) == tmp_path / "variable.toml"
    assert find_config(None, {"MCP_HOST_CONFIG": ""}, tmp_path) == tmp_path / "mcp-host.toml"


def test_without_another_file_the_users_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert find_config(None, {}, tmp_path) is None
    (tmp_path / "xdg/mcp-host").mkdir(parents=True)
    (tmp_path / "xdg/mcp-host/mcp-host.toml").touch()
    assert find_config(None, {}, tmp_path) == tmp_path / "xdg/mcp-host/mcp-host.toml"


@pytest.mark.parametrize(
    ("explicit", "environ", "where"),
    [
        (Path("gone.toml"), {}, "command line: --config"),
        (None, {"MCP_HOST_CONFIG": "gone.toml"}, "environment: MCP_HOST_CONFIG"),
    ],
)
def test_the_error_for_a_missing_file_says_where_the_file_was_named(
    tmp_path: Path, explicit: Path | None, environ: dict[str, str], where: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(explicit, environ, tmp_path)
    assert (caught.value.where, caught.value.hint) == (where, "mcp-host init")
    assert str(tmp_path / "gone.toml") in caught.value.what


def test_a_file_in_an_inaccessible_folder_counts_as_existing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    assert find_config(None, {}, tmp_path) == tmp_path / "mcp-host.toml"


@pytest.mark.skipif(sys.platform != "linux", reason="each platform has its own folders")
@pytest.mark.parametrize(
    ("environ", "folders"),
    [
        ({}, ["/h/.config/mcp-host", "/h/.local/share/mcp-host", "/h/.cache/mcp-host"]),
        (
            {"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "/e"},
            ["/c/mcp-host", "/d/mcp-host", "/e/mcp-host"],
        ),
        ({"XDG_CONFIG_HOME": "c"}, ["/h/.config/mcp-host", "/h/.local/share/mcp-host", "/h/.cache/mcp-host"]),
    ],
)
def test_the_users_folders_are_those_of_the_platform(
    environ: dict[str, str], folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/h", **environ}.items():
        monkeypatch.setenv(name, value)
    assert [str(user_dir(kind)) for kind in ("config", "data", "cache")] == folders


def test_a_user_without_a_home_has_no_folders_and_keeps_data_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert find_config(None, {}, tmp_path) is None
    assert parse_config("", source=tmp_path / "mcp-host.toml", environ={}).data_dir == tmp_path / ".mcp-host"


def test_data_is_kept_in_the_users_data_directory_unless_the_file_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert parse_config("", environ={}).data_dir == tmp_path / "share" / "mcp-host"
    config = parse_config(f"[host]\ndata_dir = '{tmp_path}'\n", source=tmp_path / "a.toml", environ={})
    assert config.data_dir == tmp_path


def test_an_unknown_home_directory_is_an_error() -> None:
    problem = only_problem('[host]\ndata_dir = "~nobody-of-this-name/x"\n')
    assert problem.what == "'data_dir' must be a path whose `~` names a known home directory"


# --- Layers: the later one wins


def test_flags_win_over_variables_over_the_file_over_defaults() -> None:
    text, environ, flags = "[transport]\nport = 1\n", {"MCP_PORT": "2"}, {"port": 3}
    ports = [
        parse("").transport.port,
        parse(text).transport.port,
        parse(text, environ=environ).transport.port,
        parse(text, environ=environ, transport=flags).transport.port,
    ]
    assert ports == [8000, 1, 2, 3]


@given(st.lists(st.none() | st.integers(1, 65535), min_size=4, max_size=4))
def test_the_last_layer_with_a_value_wins(ports: list[int | None]) -> None:
    in_file, short, long, flag = ports
    environ = {"MCP_PORT": str(short or ""), "MCP_HOST__TRANSPORT__PORT": str(long or "")}
    text = f"[transport]\nport = {in_file}\n" if in_file else ""
    config = parse(text, environ=environ, transport={"port": flag})
    assert config.transport.port == [port for port in (8000, *ports) if port is not None][-1]


def test_each_short_variable_sets_its_key() -> None:
    environ = {
        "MCP_TRANSPORT": "http",
        "MCP_HOST": "0.0.0.0",
        "MCP_PORT": "0",
        "MCP_LOG_LEVEL": "ERROR",
        "MCP_DEBUG": "1",
    }
    config = parse("", environ=environ)
    assert (config.transport.kind, config.transport.host, config.transport.port) == ("http", "0.0.0.0", 0)
    assert (config.host.log_level, config.host.debug) == ("error", True)


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_PORT", "4321")
    assert parse_config("").transport.port == 4321
    assert parse_config("", environ={}).transport.port == 8000


def test_any_key_has_a_variable() -> None:
    environ = {
        "MCP_HOST__HOST__NAME": "5",
        "MCP_HOST__HOST__DEBUG": "off",
        "MCP_HOST__HOST__CALL_TIMEOUT": "null",
        "MCP_HOST__HOST__START_TIMEOUT": "30",
        "MCP_HOST__HOST__STOP_TIMEOUT": "5s",
        "MCP_HOST__TRANSPORT__CORS": '["https://a.example"]',
        "MCP_HOST__AUTH": '{"verifier": "plugin:p", "issuer": "https://i.example"}',
        "MCP_HOST__AUTH__RESOURCE": "https://r.example",
    }
    config = parse("[host]\ndebug = true\n", environ=environ)
    assert (config.host.name, config.host.debug, config.host.call_timeout) == ("5", False, None)
    assert (config.host.start_timeout, config.host.stop_timeout) == (30.0, 5.0)
    assert config.transport.cors == ["https://a.example"]
    assert config.auth is not None
    assert config.auth.resource == "https://r.example"


def test_a_variable_matches_a_plugins_name_in_any_case_and_with_any_dashes() -> None:
    environ = {
        "MCP_HOST__PLUGINS__MY_STATS__PREFIX": "s_",
        "MCP_HOST__PLUGINS__ODD__NAME__PREFIX": "o_",
        "MCP_HOST__PLUGINS__ODD__SETTINGS__DIGITS": "3",
    }
    config = parse("[plugins.My-Stats]\n[plugins.odd__name]\n[plugins.odd]\n", environ=environ)
    assert [section.prefix for section in config.plugins.values()] == ["s_", "o_", ""]
    assert config.plugins["odd"].settings == {"digits": "3"}


def test_a_variable_can_add_plugins_without_a_file() -> None:
    environ = {"MCP_HOST__PLUGINS": '{"stats": {}}', "MCP_HOST__PLUGINS__STATS__PREFIX": "s_"}
    assert parse("", environ=environ).plugins["stats"].prefix == "s_"


def test_a_setting_in_a_variable_is_text_unless_it_is_a_list_or_table() -> None:
    name = "MCP_HOST__PLUGINS__STATS__SETTINGS__"
    environ = {
        f"{name}APIURL": "http://x",
        f"{name}PIN": "007",
        f"{name}ROWS": "[1, 2]",
        f"{name}DEEP__LEVEL": "1",
        f"{name}camelCase": "yes",
        f"{name}BROKEN": "[1",
    }
    config = parse('[plugins.stats]\nsettings = { apiUrl = "http://file" }\n', environ=environ)
    assert config.plugins["stats"].settings == {
        "apiUrl": "http://x",
        "pin": "007",
        "rows": [1, 2],
        "deep": {"level": "1"},
        "camelCase": "yes",
        "broken": "[1",
    }


def test_tables_are_merged_key_by_key() -> None:
    text = "[plugins.stats]\nsettings = { a = 1, b = { c = 2, d = 3 } }\n"
    overrides: dict[str, Any] = {"plugins": {"stats": {"settings": {"b": {"d": 4}, "e": {}}}}}
    environ = {"MCP_HOST__PLUGINS__STATS__SETTINGS": '{"b": {"d": 4}, "e": {}}'}
    assert parse(text, **overrides) == parse(text, environ=environ)
    assert parse(text, **overrides).plugins["stats"].settings == {"a": 1, "b": {"c": 2, "d": 4}, "e": {}}


def test_a_secret_reference_replaces_another_completely() -> None:
    text = '[plugins.stats]\nsettings.token = { env = "A" }\n'
    flags: dict[str, Any] = {"plugins": {"stats": {"settings": {"token": {"file": "b"}}}}}
    assert parse(text, **flags).plugins["stats"].settings == {"token": {"file": "b"}}
    environ = {"MCP_HOST__PLUGINS__STATS__SETTINGS__TOKEN": '{"file": "b"}'}
    assert parse(text, environ=environ).plugins["stats"].settings == {"token": {"file": "b"}}


def test_a_table_replaces_a_value_that_is_not_a_table() -> None:
    environ = {"MCP_HOST__PLUGINS__STATS__SETTINGS__A": '{"b": 1}'}
    assert parse("[plugins.stats]\nsettings.a = 5\n", environ=environ).plugins["stats"].settings == {"a": {"b": 1}}


# --- Errors


def test_all_problems_are_reported_at_once_with_their_lines() -> None:
    text = """
[host]
nmae = "x"
on_error = "ignore"
[transport]
port = "80"
[plugins.stats]
prefx = "s_"
zzz = \"\"\"
port = 3
\"\"\"
tools.deny = [
    "a",
    3,
]
"""
    assert problems(text) == [
        "mcp-host.toml:4: host.on_error: 'on_error' must be 'skip' or 'fail', not 'ignore'",
        "mcp-host.toml:3: host.nmae: unknown key 'nmae' (did you mean 'name'?)",
        "mcp-host.toml:6: transport.port: 'port' must be a whole number",
        "mcp-host.toml:12: plugins.stats.tools.deny[1]: 'deny[1]' must be text",
        "mcp-host.toml:8: plugins.stats.prefx: unknown key 'prefx' (did you mean 'prefix'?)",
        "mcp-host.toml:9: plugins.stats.zzz: unknown key 'zzz'",
    ]


def test_an_error_has_its_first_problem_and_its_text_has_all() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        parse("[host]\ndebug = 1\n[transport]\nport = 70000\n")
    error = caught.value
    assert error.what == "'debug' must be true or false (and 1 more)"
    assert error.where == "mcp-host.toml:2: host.debug"
    assert str(error) == (
        "'debug' must be true or false\n  where: mcp-host.toml:2: host.debug\n"
        "'port' must be less than or equal to 65535\n  where: mcp-host.toml:4: transport.port"
    )


def test_an_unknown_key_lists_the_known_ones() -> None:
    problem = only_problem("[plugins.stats.prompts]\nonly = []\n")
    assert (problem.what, problem.hint) == ("unknown key 'only'", "known keys: allow, deny")
    assert only_problem("[trnsport]\n").what == "unknown key 'trnsport' (did you mean 'transport'?)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('log_level = "wrn"', "must be 'debug', 'info', 'warning', 'error' or 'critical', not 'wrn'"),
        ("log_level = 3", "must be 'debug', 'info', 'warning', 'error' or 'critical'"),
        ('name = ""', "must have at least 1 character"),
        ("name = 2020-01-01", "must be text"),
        ("data_dir = 5", "'data_dir' must be a path"),
    ],
)
def test_a_wrong_value_is_reported_without_pydantics_wording(text: str, expected: str) -> None:
    what = only_problem(f"[host]\n{text}\n").what
    assert expected in what
    assert not {"pydantic", "Input", "Value error", "https://errors"} & set(what.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('prefix = "a b"', "'prefix' may have only letters, digits"),
        ('object = "weather server"', "'object' must have the form \"package.module:attribute\""),
        ('object = "3weather:mcp"', "'object' must have the form"),
        ("tools = 3", "'tools' must be a table"),
        ('tools.deny = "a"', "'deny' must be a list"),
        ("enabled = 1", "'enabled' must be true or false"),
    ],
)
def test_a_plugins_table_is_checked_before_the_plugin_is_known(line: str, expected: str) -> None:
    assert only_problem(f"[plugins.stats]\n{line}\n").what.startswith(expected)


@pytest.mark.parametrize("name", ["../up", "a b", "", ".hidden", "-x", "a\nb"])
def test_a_plugins_name_is_a_valid_folder_name(name: str) -> None:
    assert "must be a plugin's name" in only_problem(tomli_w.dumps({"plugins": {name: {}}})).what


@pytest.mark.parametrize(
    "origin",
    [
        *("https://example.com/", "example.com", "https://a b", "*", "https://*", "https://*.example.com"),
        *("https://example.com:*", "http://me@example.com", "chrome-extension://*", "https://", "https://[::1]]"),
    ],
)
@pytest.mark.parametrize("key", ["cors", "allowed_origins"])
def test_an_origin_that_no_browser_sends_is_refused_with_the_form_that_works(key: str, origin: str) -> None:
    what = only_problem(tomli_w.dumps({"transport": {key: [origin]}})).what
    assert f"'{key}[0]' must be an origin as browsers send it, such as \"https://example.com\"" in what


@pytest.mark.parametrize(
    "host",
    [
        *("*", "*.example.com", "https://mcp.example.com", "mcp.example.com/", "mcp.example.com/mcp", "a b", ""),
        *("::1", "2001:db8::1", "[::1", "mcp.example.com:http", "mcp.example.com:1:2", "münchen.example", "me@host"),
    ],
)
def test_a_host_that_no_client_sends_is_refused_with_the_form_that_works(host: str) -> None:
    what = only_problem(tomli_w.dumps({"transport": {"allowed_hosts": [host]}})).what
    assert "'allowed_hosts[0]' must be a host as in a URL, such as \"mcp.example.com\"" in what


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("allowed_hosts", "mcp.example.com:65536", "must have a port of at most 65535"),
        ("allowed_hosts", "[1::2::3]", "must have an IPv6 address in its brackets"),
        ("cors", "https://mcp.example.com:65536", "must have a port of at most 65535"),
        ("cors", "https://[1::2::3]", "must have an IPv6 address in its brackets"),
        ("trusted_proxies", "*", 'must be an IP address, or a network such as "10.0.0.0/8"'),
        ("trusted_proxies", "proxy.example.com", 'must be an IP address, or a network such as "10.0.0.0/8"'),
        ("trusted_proxies", "10.1.2.3/8", 'must be the first address of its network: "10.0.0.0/8"'),
    ],
)
def test_a_value_that_matches_nothing_is_refused(key: str, value: str, expected: str) -> None:
    assert expected in only_problem(tomli_w.dumps({"transport": {key: [value]}})).what


def test_hosts_origins_and_proxies_keep_the_spelling_of_the_file() -> None:
    table = {
        "allowed_hosts": ["MCP.Example.com", "mcp.example.com:8443", "mcp.example.com:*", "[::1]:8000", "99999"],
        "allowed_origins": ["https://App.example:443", "null", "vscode-webview://a1", "app://."],
        "trusted_proxies": ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"],
    }
    transport = parse(tomli_w.dumps({"transport": table})).transport
    assert {key: getattr(transport, key) for key in table} == table


def test_missing_keys_of_a_table_are_named_with_the_line_to_add() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        parse('[auth]\nverifier = "plugin:x"\nissuer = "https://i.example"\n')
    (problem,) = caught.value.problems
    assert (problem.where, problem.what) == ("mcp-host.toml:1: auth.resource", "'resource' is missing")
    assert problem.hint == "add `resource = ...` to [auth]"


def test_a_syntax_error_shows_its_line_and_column() -> None:
    problem = only_problem("[plugins.stats]\r\n\tprefix s_\r\n")
    assert problem.where == "mcp-host.toml:2:9"
    assert problem.what == (
        "invalid TOML: Expected '=' after a key in a key/value pair\n    \tprefix s_\n    \t       ^"
    )


def test_a_syntax_error_at_the_end_of_the_file_is_reported_there() -> None:
    assert only_problem("[host").what.endswith(", at the end of the file")


def test_only_the_part_of_a_long_line_around_the_error_is_shown() -> None:
    shown = only_problem(f'name = "{"x" * 500}" oops\n').what.splitlines()
    assert all(len(line) < 130 for line in shown)
    assert shown[1][len(shown[2]) - 1] == "o"


@pytest.mark.parametrize(
    "text",
    [
        "[plugins.stats]\nsettings.token = hunter2",
        "[plugins.stats.settings]\nx = 1\nurl = hunter2",
        "[plugins.stats]\npassword = hunter2",
        'settings.tags = [\n  ["a"]\n  hunter2',
        'x = """\n[host]\nhunter2" ""\n',
        "[plugins.stats]\nsettings.pem = '''\n[host]\n'''hunter2",
    ],
)
def test_a_syntax_error_near_possible_secrets_shows_no_line(text: str) -> None:
    assert "hunter2" not in str(only_problem(text))


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a." * 100 + "a = 1", "a = " + "[" * 70 + "]" * 70])
def test_nesting_that_is_too_deep_is_an_error(text: str) -> None:
    assert only_problem(text).what == "lists or tables are nested more than 64 deep"


def test_a_number_of_thousands_of_digits_is_an_error() -> None:
    assert only_problem("a = " + "9" * 5000).what == "invalid TOML: a number has too many digits"


def test_a_text_that_is_not_unicode_is_an_error() -> None:
    assert only_problem("a = '\ud800'").what == "the text is not Unicode"


def test_a_problem_in_a_variable_or_flag_names_that_variable_or_flag() -> None:
    environ = {
        "MCP_PORT": "abc",
        "MCP_HOST__TRANSPORT__PROT": "1",
        "MCP_HOST__TRANSPORT__CORS": "https://a.example",
        "MCP_HOST__AUTH__ISSUER": "https://i.example",
        "MCP_HOST__AUTH__VERIFIER": "plugin:x",
        "MCP_HOST__HOST__NAME": "x\udcff",
    }
    assert problems("", environ=environ, host={"log_level": "loud"}, transport={"kind": "tcp"}) == [
        "environment: MCP_HOST__HOST__NAME: the variable is not UTF-8 text",
        "command line: --log-level: 'log_level' must be 'debug', 'info', 'warning', 'error' or 'critical', not 'loud'",
        "command line: --transport: 'kind' must be 'stdio' or 'http', not 'tcp'",
        "environment: MCP_PORT: 'port' must be a whole number",
        "environment: MCP_HOST__TRANSPORT__CORS: 'cors' must be a list",
        "environment: MCP_HOST__TRANSPORT__PROT: unknown key 'prot' (did you mean 'port'?)",
        "environment: MCP_HOST__AUTH__ISSUER: 'resource' is missing",
    ]


def test_a_variable_for_a_plugin_that_is_not_in_the_file_is_an_error() -> None:
    name = "MCP_HOST__PLUGINS__STATZ__PREFIX"
    problem = only_problem("[plugins.stats]\n", environ={name: "x"})
    assert problem.what == "the file names no plugin 'statz' (did you mean 'stats'?)"
    assert problem.hint == f"add [plugins.statz] to the file, or unset {name}"
    assert only_problem("", environ={name: "x"}).what == "the file names no plugin 'statz'"


def test_a_variable_that_may_mean_two_plugins_is_an_error() -> None:
    environ = {"MCP_HOST__PLUGINS__MY_STATS__PREFIX": "x"}
    problem = only_problem("[plugins.my-stats]\n[plugins.my_stats]\n", environ=environ)
    assert problem.what == "this may mean 'my-stats' or 'my_stats'"


def test_a_variable_below_a_value_that_is_not_a_table_is_an_error() -> None:
    environ = {"MCP_HOST__HOST": "x", "MCP_HOST__HOST__NAME": "y"}
    assert problems("", environ=environ) == [
        "environment: MCP_HOST__HOST__NAME: 'host' is not a table",
        "environment: MCP_HOST__HOST: 'host' must be a table",
    ]
    environ = {"MCP_HOST__PLUGINS": "stats", "MCP_HOST__PLUGINS__STATS__PREFIX": "y"}
    assert problems("", environ=environ)[0].endswith("the file names no plugin 'stats'")


def test_a_variable_that_is_nested_too_deeply_is_an_error() -> None:
    environ = {"MCP_HOST__PLUGINS__STATS__SETTINGS__A": "[" * 70 + "]" * 70}
    assert only_problem("[plugins.stats]\n", environ=environ).what == "lists or tables are nested more than 64 deep"


def test_a_variable_too_deep_for_json_is_read_as_text() -> None:
    environ = {"MCP_HOST__TRANSPORT__CORS": "[" * 100_000}
    assert only_problem("", environ=environ).what == "'cors' must be a list"


@pytest.mark.parametrize("key", ["AUTH", "PLUGINS__STATS__TIMEOUT", "HOST__CALL_TIMEOUT"])
def test_a_meaningless_variable_is_an_error_even_where_none_is_allowed(key: str) -> None:
    assert only_problem("[plugins.stats]\n", environ={f"MCP_HOST__{key}": "soon"}).where.endswith(key)


def test_a_missing_folder_or_an_unreadable_file_is_reported_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def error_of(path: Path) -> str:
        with pytest.raises(InvalidConfigError) as caught:
            load_config(path, environ={})
        return str(caught.value).replace(f"{tmp_path}{os.sep}", "")

    assert error_of(tmp_path / "gone.toml") == "there is no such file\n  where: gone.toml\n  hint:  mcp-host init"
    (tmp_path / "folder").mkdir()
    assert error_of(tmp_path / "folder").startswith("this is a folder, not a file\n  where: folder\n")
    (tmp_path / "latin.toml").write_bytes(b'[host]\nname = "caf\xe9"\n')
    assert (
        error_of(tmp_path / "latin.toml")
        == "the file is not UTF-8 text\n  where: latin.toml:2\n  hint:  save it as UTF-8"
    )
    assert error_of(tmp_path / "nul\0.toml").startswith("the file cannot be read: not a usable path")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert error_of(tmp_path / "latin.toml") == "the file cannot be read: Permission denied\n  where: latin.toml"


def test_a_configuration_knows_where_each_value_came_from() -> None:
    config = parse('[plugins."a.b"]\nprefix = "x"\n', environ={"MCP_PORT": "1"})
    assert config.where("plugins", "a.b", "prefix") == 'mcp-host.toml:2: plugins."a.b".prefix'
    assert config.where("plugins", "a.b", "timeout") == 'mcp-host.toml:1: plugins."a.b".timeout'
    assert config.where("transport", "port") == "environment: MCP_PORT"
    assert config.where("host", "name") == "mcp-host.toml: host.name"
    assert HostConfig().where("host", "name") == "host.name"


def rendered(text: str, *, environ: dict[str, str] | None = None, **overrides: Any) -> str:
    try:
        return repr(parse(text, environ=environ, **overrides))
    except ConfigError as error:
        return str(error)


@given(st.text() | st.text(alphabet="[]{}=.,\"'\\\n# ahostpluginsettings01"))
@example("[plugins.a]\nsettings.x = '''\n'''\nprefix = 1")
@example('a = """"""""\nb')
def test_any_text_gives_a_configuration_or_an_error_of_the_host(text: str) -> None:
    assert isinstance(rendered(text), str)


keys = st.sampled_from(["host", "name", "transport", "port", "cors", "plugins", "stats", "tools", "settings", "x", ""])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(keys, json_values, max_size=5))
def test_any_tables_give_a_configuration_or_an_error_of_the_host(tables: dict[str, Any]) -> None:
    assert isinstance(rendered("", **tables), str)


@given(
    st.dictionaries(
        st.lists(keys, min_size=1, max_size=5).map(lambda words: "MCP_HOST__" + "__".join(words).upper()),
        json_values.map(json.dumps) | st.text(),
        max_size=5,
    )
)
def test_any_variables_give_a_configuration_or_an_error_of_the_host(environ: dict[str, str]) -> None:
    assert isinstance(rendered("[plugins.stats]\nsettings.x = 1\n", environ=environ), str)


def test_reading_a_configuration_does_not_import_the_sdk() -> None:
    code = "import mcp_host.config, sys; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- Variables that other programs set


def test_the_variable_of_a_kubernetes_service_is_passed_over_with_a_warning() -> None:
    environ = {"MCP_PORT": "tcp://10.96.0.12:8000", "MCP_SERVICE_HOST": "10.96.0.12", "MCP_PORT_8000_TCP_PORT": "8000"}
    config = parse("[transport]\nport = 9\n", environ=environ)
    assert config.transport.port == 9
    (warning,) = config.warnings
    assert warning.where == "environment: MCP_PORT"
    assert "Kubernetes sets it for a service that is named mcp" in warning.what


@pytest.mark.parametrize("text", ["80x", "tcp:", "10.96.0.12:8000"])
def test_another_wrong_port_is_an_error(text: str) -> None:
    assert only_problem("", environ={"MCP_PORT": text}).where == "environment: MCP_PORT"


def test_without_such_variables_there_is_no_warning() -> None:
    assert parse("", environ={"MCP_PORT": "8001"}).warnings == ()
