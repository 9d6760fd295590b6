"""A plugin that fails: the others are served, unless the configuration requires it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli

FAILURES = {
    "broken": "importing mcp_plugin_broken failed: RuntimeError: no such engine",
    "future": "mcp-plugin-future 1.0 needs mcp-host>=99",
    "frail": "its lifespan failed to start: ConnectionError: the database is down",
    "absent": "plugin 'absent' is not installed",
}


@pytest.mark.parametrize(("plugin", "transport"), [("broken", "stdio"), ("frail", "http")])
def test_a_required_plugin_that_fails_prevents_the_start(cli: Cli, plugin: str, transport: str) -> None:
    cli.config(f"[transport]\nport = 0\n[plugins.good]\n[plugins.{plugin}]\nrequired = true")
    trace = cli.folder / "trace"
    done = cli.run("run", "--transport", transport, env={"GOOD_TRACE": str(trace)})
    assert done.code == 2
    assert done.out == ""
    assert f"error: plugin {plugin} failed, and [plugins.{plugin}] required = true" in done.err
    assert FAILURES[plugin] in done.err
    assert "Traceback" not in done.err
    if trace.exists():
        # What had been started is stopped again.
        assert trace.read_text() == "start\nstop\n"


@pytest.mark.parametrize("plugin", FAILURES)
def test_with_on_error_fail_any_plugin_that_fails_prevents_the_start(invoke: Invoke, plugin: str) -> None:
    invoke.config(f'[host]\non_error = "fail"\n[plugins.good]\n[plugins.{plugin}]')
    done = invoke("run")
    assert done.code == 2
    assert done.out == ""
    assert f'error: plugin {plugin} failed, and [host] on_error = "fail"' in done.err
    assert FAILURES[plugin] in done.err


@pytest.mark.parametrize("command", [["inspect"], ["call", "add", "a=1", "b=2"], ["read", "note://today"]])
def test_a_request_from_the_shell_insists_on_required_plugins_too(invoke: Invoke, command: list[str]) -> None:
    invoke.config("[plugins.good]\n[plugins.frail]\nrequired = true")
    done = invoke(*command)
    assert done.code == 2
    assert done.out == ""
    assert "required = true" in done.err


def test_a_required_plugin_that_is_switched_off_is_not_missed(invoke: Invoke) -> None:
    invoke.config("[plugins.good]\n[plugins.broken]\nrequired = true\nenabled = false")
    assert invoke("check").code == 0
    invoke.config("[plugins.good]\n[plugins.broken]\nrequired = true")
    assert invoke("check", "--disable", "broken").code == 0


def test_check_shows_each_failure_with_its_hint_and_exits_with_2(invoke: Invoke) -> None:
    invoke.config("\n".join(f"[plugins.{plugin}]" for plugin in ("good", *FAILURES)))
    done = invoke("check")
    assert done.code == 2
    for plugin, why in FAILURES.items():
        assert f"error in plugin {plugin}: {why}" in done.out
    for hint in ("pip install --upgrade mcp-plugin-broken", "pip install --upgrade mcp-plugin-future"):
        assert hint in done.out
    assert "Something is wrong." in done.out
    assert done.err == ""  # said once


def test_check_as_json_has_the_records_of_all_plugins(invoke: Invoke) -> None:
    invoke.config("[plugins.good]\n[plugins.frail]\n[plugins.noisy]\nenabled = false")
    done = invoke("check", "--json")
    assert done.code == 2
    assert done.json["ok"] is False
    assert done.json["config"] == str(invoke.folder / "mcp-host.toml")
    plugins = {plugin["name"]: plugin for plugin in done.json["plugins"]}
    assert plugins["good"]["stage"] == "serving"
    assert "add" in plugins["good"]["contributed"]["tools"]
    assert plugins["frail"]["stage"] == "collected"
    assert plugins["frail"]["problem"]["what"] == FAILURES["frail"]
    assert plugins["noisy"]["enabled"] is False
    assert done.json["checks"] == [{"plugin": "good", "name": "is ready", "problem": None}]
    assert done.json["refusal"] is None


def test_check_reports_that_run_would_refuse_to_start(invoke: Invoke) -> None:
    invoke.config("[plugins.frail]\nrequired = true")
    assert "mcp-host run would refuse to start: plugin frail failed" in invoke("check").out
    refusal = invoke("check", "--json").json["refusal"]
    assert refusal["what"].startswith("plugin frail failed, and [plugins.frail] required = true")


def test_check_reports_that_an_address_needs_allowed_hosts(invoke: Invoke) -> None:
    invoke.config('[transport]\nkind = "http"\nhost = "0.0.0.0"')
    done = invoke("check")
    assert done.code == 2
    assert "allowed_hosts" in done.out


def test_check_runs_the_plugins_own_checks(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    invoke.config("[plugins.good]")
    done = invoke("check")
    assert done.code == 0
    assert "All is well." in done.out
    monkeypatch.setenv("GOOD_TROUBLE", "the disk is full")
    done = invoke("check")
    assert done.code == 2
    assert "NO: the disk is full" in done.out


def test_a_check_that_raises_or_never_answers_is_a_problem_and_not_the_end(cli: Cli) -> None:
    cli.config('[host]\nstart_timeout = "200ms"\n[plugins.doubts]')
    done = cli.run("check", "--json")
    assert done.code == 2
    assert [(check["name"], check["problem"]) for check in done.json["checks"]] == [
        ("all is well", None),
        ("the plugin's name", "it is doubts"),
        ("does it raise", "SystemExit: it does"),
        ("does it end", "no answer within 0.2 s"),
        ("does it end in a thread", "no answer within 0.2 s"),
    ]


def test_check_at_level_debug_shows_the_tracebacks(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    invoke.config("[plugins.broken]\n[plugins.frail]")
    assert "Traceback" in invoke("check", "--log-level", "debug").err
    # As the hint of the failure says.
    monkeypatch.setenv("MCP_LOG_LEVEL", "debug")
    done = invoke("check")
    assert "MCP_LOG_LEVEL=debug mcp-host check" in done.out
    assert "raise ConnectionError" in done.err


def test_no_enabled_plugin_is_reported_and_is_not_a_failure(invoke: Invoke) -> None:
    invoke.config("")
    done = invoke("check")
    assert done.code == 0
    assert "No plugins are enabled: mcp-host enable NAME" in done.out


def test_a_plugin_that_prints_cannot_break_the_json_of_a_command(invoke: Invoke) -> None:
    invoke.config("[plugins.noisy]")
    assert invoke("check", "--json").json["ok"] is True
    assert invoke("inspect", "--json").json["tools"][0]["name"] == "noise"
    done = invoke("call", "noise", "--json")
    assert done.json["structuredContent"] == {"result": "quiet"}
    assert "NOISE raw in a thread" in done.err


@pytest.mark.parametrize(
    "command",
    [
        ["check", "--json"],
        ["inspect", "--json"],
        ["call", "noise", "--json"],
        ["read", "noise://one", "--json"],
        ["prompt", "noisy", "--json"],
        ["schema", "--output", "-"],
    ],
    ids=" ".join,
)
def test_nor_can_one_that_writes_until_the_process_ends(command: list[str], cli: Cli) -> None:
    cli.config("[plugins.noisy]")
    done = cli.run(*command, env={"NOISE_TO_THE_END": "1"})
    assert isinstance(done.json, dict)
    assert "NOISE of a thread that goes on" in done.err


def test_ctrl_c_while_a_plugin_is_loading_ends_the_command(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "slow_import.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nsignal.pause()\n", encoding="utf-8"
    )
    cli.config('[plugins.slow]\nobject = "slow_import:plugin"\n')
    path = os.pathsep.join((str(tmp_path), cli.env["PYTHONPATH"]))
    done = cli.run("check", env={"PYTHONPATH": path})
    assert done.code == 130
    assert "Traceback" not in done.err


def test_check_checks_a_project_against_the_contract(invoke: Invoke) -> None:
    done = invoke("check", "--plugin", str(Path(__file__).parents[2] / "plugins/mcp-plugin-stats"))
    assert done.code == 0, done.err
    assert done.out.rstrip().endswith("The contract is kept.")
