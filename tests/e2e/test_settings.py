"""The sources of settings, as the command line shows them. Secrets in settings are never shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli, Done

TOKEN, PASSWORD = "tok-3ns-very-secret", 'pass"word\\of\ttabs'
VAULT = '[plugins.vault]\nsettings.token = { env = "VAULT_TOKEN" }\nsettings.password = { file = "password" }\n'


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(cli: Cli) -> None:
    cli.config('[host]\nname = "named"\n[transport]\nkind = "stdio"\nport = 1\npath = "/file"\n[plugins.good]')
    variables = {
        "MCP_TRANSPORT": "http",
        "MCP_HOST": "localhost",
        "MCP_PORT": "2",
        "MCP_HOST__TRANSPORT__PATH": "/variable",
        "MCP_HOST__PLUGINS__GOOD__PREFIX": "v_",
    }
    with cli.start("run", "--port", "0", env=variables) as process:
        url = process.until("Serving named at").split(" at ")[1].strip()
        assert url.startswith("http://localhost:")
        assert url.endswith("/variable")
        assert ":2/" not in url
        names = [tool["name"] for tool in cli.run("inspect", "--url", url, "--json").json["tools"]]
        assert "v_add" in names


def test_the_log_level_and_debug_are_set_by_variable_and_by_flag(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke.config('[host]\nlog_level = "info"\n[plugins.good]')
    monkeypatch.setenv("MCP_DEBUG", "true")
    assert "RuntimeError: the inner workings" in invoke("call", "crash").err.splitlines()[-1]
    monkeypatch.setenv("MCP_LOG_LEVEL", "loud")
    done = invoke("check")
    assert done.code == 2
    assert "where: environment: MCP_LOG_LEVEL" in done.err


def test_the_file_is_found_by_flag_by_variable_and_in_the_folder(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name() -> object:
        return invoke("inspect", "--json").json["name"]

    assert name() == "mcp-host"
    user = invoke.folder / ".config" / "mcp-host"
    user.mkdir(parents=True)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (user / "mcp-host.toml").write_text('[host]\nname = "the user\'s"')
    assert name() in ("the user's", "mcp-host")  # elsewhere than on Linux the folder is another
    invoke.config('[host]\nname = "of the folder"')
    assert name() == "of the folder"
    variable = invoke.config('[host]\nname = "of the variable"', "variable.toml")
    monkeypatch.setenv("MCP_HOST_CONFIG", str(variable))
    assert name() == "of the variable"
    flag = invoke.config('[host]\nname = "of the flag"', "flag.toml")
    assert invoke("inspect", "--json", "--config", str(flag)).json["name"] == "of the flag"


def test_a_missing_file_is_an_error_if_it_is_named(invoke: Invoke) -> None:
    done = invoke("check", "--config", "nowhere.toml")
    assert done.code == 2
    assert "nowhere.toml" in done.err
    assert "where: command line: --config" in done.err
    assert "hint:  mcp-host init" in done.err


@pytest.mark.parametrize("command", [["run"], ["check"], ["plugins"], ["inspect"], ["schema"]])
def test_a_syntax_error_is_reported_with_line_and_column(invoke: Invoke, command: list[str]) -> None:
    invoke.config('[host]\nname = "x"\n[plugins.good\n')
    done = invoke(*command)
    assert done.code == 2
    assert done.out == ""
    assert "error: invalid TOML" in done.err
    assert "mcp-host.toml:3:14" in done.err


def test_all_mistakes_in_the_file_are_reported_together_with_their_lines(invoke: Invoke) -> None:
    invoke.config('[host]\nnmae = "x"\n[transport]\nport = "many"\n[plugin.good]\n')
    done = invoke("check")
    assert done.code == 2
    assert done.err.count("error: ") == 3
    assert "did you mean 'name'" in done.err
    assert "did you mean 'plugins'" in done.err
    for line in (2, 4, 5):
        assert f"mcp-host.toml:{line}" in done.err


def test_wrong_settings_of_a_plugin_are_reported_by_key_without_the_value(invoke: Invoke) -> None:
    invoke.config('[plugins.good]\nsettings.greetin = "Hi-there-value"\n')
    done = invoke("check")
    assert done.code == 2
    assert "plugins.good.settings.greetin" in done.out
    assert "did you mean 'greeting'" in done.out
    assert "Hi-there-value" not in done.out + done.err


@pytest.fixture
def vault(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    (invoke.folder / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    invoke.config(VAULT)
    return invoke


def assert_kept(done: Done) -> None:
    for stream in (done.out, done.err):
        assert TOKEN not in stream
        assert PASSWORD not in stream
        assert json.dumps(PASSWORD)[1:-1] not in stream


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["check", "--json"],
        ["check", "--log-level", "debug"],
        ["inspect"],
        ["inspect", "--json"],
        ["inspect", "log_it"],
        ["plugins"],
        ["plugins", "--json"],
        ["schema", "-o", "-"],
        ["read", "mcp-host://plugins"],
    ],
)
def test_no_listing_shows_a_secret(vault: Invoke, command: list[str]) -> None:
    done = vault(*command)
    assert done.out != ""
    assert_kept(done)


def test_a_secret_that_a_plugin_quotes_in_a_check_is_masked(vault: Invoke) -> None:
    assert "NO: bad secrets: *** ***" in vault("check").out
    assert vault("check", "--json").json["checks"][0]["problem"] == "bad secrets: *** ***"


def test_a_secret_that_a_plugin_logs_is_masked(vault: Invoke) -> None:
    done = vault("call", "log_it")
    assert done.out == "logged\n"
    assert "the secrets are *** and ***" in done.err
    assert_kept(done)


def test_the_log_is_json_lines_if_the_file_configures_it(vault: Invoke) -> None:
    vault.config('[host]\nlog_format = "json"\n' + VAULT)
    done = vault("call", "log_it")
    (line,) = map(json.loads, done.err.splitlines())
    assert (line["level"], line["logger"]) == ("warning", "mcp_host.plugin.vault")
    assert line["message"] == "the secrets are *** and ***"
    assert_kept(done)
    crash = json.loads(vault("call", "raise_it").err.splitlines()[0])
    assert "RuntimeError: *** and ***" in crash["traceback"]


def test_a_secret_that_a_plugin_raises_is_masked_in_the_log_and_for_the_caller(vault: Invoke) -> None:
    done = vault("call", "raise_it")
    assert done.code == 1
    assert "RuntimeError: *** and ***" in done.err
    assert_kept(done)


def test_a_secret_that_a_plugin_raises_is_masked_when_debug_shows_the_text(vault: Invoke) -> None:
    vault.config("[host]\ndebug = true\n" + VAULT)
    assert_kept(vault("call", "raise_it"))
    assert_kept(vault("call", "raise_it", "--json"))


@pytest.mark.parametrize("command", [["check"], ["check", "--json"], ["inspect"], ["read", "mcp-host://plugins"]])
def test_a_secret_that_a_plugin_raises_when_it_starts_is_masked(
    vault: Invoke, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("VAULT_FRAIL", "1")
    done = vault(*command)
    # What clients see has no text of an exception, masked or not.
    assert "ConnectionError: *** and ***" in (done.out if command[0] == "check" else done.err)
    assert command[0] == "check" or "ConnectionError" not in done.out
    assert_kept(done)


def test_a_missing_secret_is_reported_by_name(invoke: Invoke) -> None:
    invoke.config(VAULT)
    done = invoke("check")
    assert done.code == 2
    assert "'VAULT_TOKEN' is not set" in done.out
    assert "export VAULT_TOKEN=..." in done.out


def test_the_schema_describes_the_file_with_the_settings_of_the_enabled_plugins(invoke: Invoke) -> None:
    invoke.config("[plugins.good]\n[plugins.broken]")
    done = invoke("schema")
    assert done.code == 0
    assert "mcp-host.schema.json" in done.out
    assert "left out plugin broken: importing mcp_plugin_broken failed" in done.err
    schema = json.loads((invoke.folder / "mcp-host.schema.json").read_text())
    assert "The word to greet with." in json.dumps(schema)
    jsonschema.validate({"plugins": {"good": {"settings": {"greeting": "Hi"}}}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"plugins": {"good": {"settings": {"greetin": "Hi"}}}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"transport": {"prt": 1}}, schema)


def test_the_schema_of_all_installed_plugins_goes_to_stdout_when_asked(invoke: Invoke) -> None:
    done = invoke("schema", "--all", "--output", "-")
    assert done.code == 0
    assert "The word to greet with." in done.out
    assert "From a file." in done.out
    assert not (invoke.folder / "mcp-host.schema.json").exists()
    jsonschema.validators.validator_for(done.json).check_schema(done.json)
