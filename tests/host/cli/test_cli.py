"""The command line itself: help, usage errors, exit codes, what it imports, and the files it writes."""

from __future__ import annotations

import inspect
import json
import keyword
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from mcp_host import __version__, cli
from mcp_host.__main__ import main
from mcp_host.cli import run
from mcp_host.cli.registry import COMMANDS, find
from mcp_host.config import parse_config
from mcp_host.errors import HostError

if TYPE_CHECKING:
    from support.sites import Site

WATCH = """
import json, sys
from mcp_host.__main__ import main
from mcp_host.cli import run
code = main(sys.argv[1:])
print(json.dumps([code, sorted(name for name in sys.modules if name.split(".")[0] in ("mcp", "mcp_types"))
    + sorted(name for name in sys.modules if name.startswith("mcp_plugin_"))]), file=sys.stderr)
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run commands in, with the plugin `adder` and the plugin `second` installed."""
    site.plugin("adder")
    site.plugin("second", "raise AssertionError('imported')\n")
    folder = tmp_path / "my tools"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


@pytest.mark.parametrize(
    "arguments",
    [["--help"], [], ["--version"], ["run", "--help"], ["plugins"], ["plugins", "--json"], ["init", "adder"]],
)
def test_help_and_listing_import_neither_the_sdk_nor_any_plugin(site: Site, folder: Path, arguments: list[str]) -> None:
    (folder / "other.toml").write_text("[plugins.adder]\n[plugins.second]\n")
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(site.folder), "MCP_HOST_CONFIG": "other.toml", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, imported = json.loads(done.stderr.splitlines()[-1])
    assert code == (0 if arguments else 2)
    assert imported == []
    assert done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["read", "--help"], ["frobnicate"]])
def test_a_command_is_imported_only_when_it_is_used(folder: Path, arguments: list[str]) -> None:
    code = f"""
import json, sys
from mcp_host.__main__ import main
main({arguments!r})
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    rooms = {entry.path.partition(":")[0] for entry in COMMANDS.values()}
    assert imported & rooms == ({"mcp_host.cli.read"} if "read" in arguments else set())
    assert not imported & {"mcp_host.manage", "mcp_host.authoring", "mcp_host.server"}
    if arguments == ["--help"]:
        assert not imported & {"pydantic", "mcp_host.config", "mcp_host.plugins", "asyncio"}


def test_each_command_of_the_table_exists_and_its_help_has_the_table_s_texts() -> None:
    for name, entry in COMMANDS.items():
        function = find(entry.path)
        assert function.__name__ == (f"{name}_" if keyword.iskeyword(name) else name)
        assert (inspect.getdoc(function) or "").partition("\n")[0] == entry.about


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], ["rich", "filelock", "platformdirs", "tomlkit"]),
        (["--version"], ["rich", "filelock", "platformdirs", "tomlkit"]),
        (["plugins"], ["rich", "filelock", "tomlkit"]),
    ],
)
def test_a_command_imports_no_library_that_it_does_not_need(
    folder: Path, arguments: list[str], unwanted: list[str]
) -> None:
    code = (
        f"import sys; from mcp_host.__main__ import main; main({arguments}); print({{*sys.modules}} & {{*{unwanted}}})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_help_names_every_command_and_the_exit_codes(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command, entry in COMMANDS.items():
        assert re.search(rf"\n  {command} +{re.escape(entry.about)}\n", text)
    assert "..." not in text.replace("[ARGS]...", "")  # no sentence is cut short
    assert "Exit codes: 0 done; 1" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example_that_it_understands(capsys: Capture, command: str) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"mcp-host {command}" in text.partition("Example")[2]
    assert "--config" in text or command == "new"


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(capsys: Capture) -> None:
    assert main([]) == 2
    assert "Usage: mcp-host" in capsys.readouterr().out


def test_the_version_is_shown(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mcp-host {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "what", "where"),
    [
        (["chek"], "there is no command 'chek' (did you mean 'check'?)", "command line"),
        (["frobnicate"], "there is no command 'frobnicate'", "command line"),
        (["call"], "missing argument 'TOOL'", "command line: mcp-host call"),
        (["run", "--portt", "1"], "no such option: --portt", "command line: mcp-host run"),
        (["run", "--port", "many"], "invalid value for '--port'", "command line: mcp-host run"),
        (["--nope"], "no such option: --nope", "command line: mcp-host"),
        (["run", "--transport", "htp"], "'kind' must be 'stdio' or 'http', not 'htp'", "command line: --transport"),
    ],
)
def test_a_mistake_on_the_command_line_is_an_error_in_the_one_form(
    capsys: Capture, folder: Path, arguments: list[str], what: str, where: str
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second, *_ = captured.err.splitlines()
    assert first.startswith(f"error: {what}")
    assert second.startswith(f"  where: {where}")


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (HostError("no"), 2),
        (typer.Exit(3), 3),
        (typer.Exit(), 0),
        (typer.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (typer.BadParameter("no"), 2),
    ],
)
def test_what_a_command_raises_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int
) -> None:
    app = typer.Typer()

    @app.command()
    def run() -> int:
        raise raised

    app.command("other")(lambda: 7)
    monkeypatch.setattr(cli, "app", app)
    assert main(["run"]) == code


def test_what_a_command_returns_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command("run")(lambda: 7)
    app.command("check")(lambda: None)
    monkeypatch.setattr(cli, "app", app)
    assert main(["run"]) == 7
    assert main(["check"]) == 0


@pytest.mark.parametrize("raised", [ZeroDivisionError(), SystemExit(4)])
def test_a_fault_of_the_host_is_not_hidden(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> None:
    app = typer.Typer()

    @app.command()
    def run() -> None:
        raise raised

    app.command("other")(lambda: 7)
    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(type(raised)):
        main(["run"])


def test_python_dash_m_is_the_same_command(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "mcp_host", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mcp-host {__version__}\n"


def test_a_character_that_the_output_cannot_show_is_no_error(site: Site, folder: Path) -> None:
    (folder / "mcp-host.toml").write_text('[plugins.adder]\nobject = "caf\u00e9:plugin"\n', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mcp_host", "plugins"],
        cwd=folder,
        env={"PYTHONPATH": str(site.folder), "PYTHONIOENCODING": "ascii", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "caf\\xe9:plugin" in done.stdout


def test_the_command_to_connect_with_is_one_that_can_be_typed_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "my scripts" / "mcp-host"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", str(script.parent))
    assert run._program() == "mcp-host"
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    assert run._program() == "'my scripts/mcp-host'"
    monkeypatch.chdir("/")
    assert run._program() in (f"'{script}'", f"'{os.path.relpath(script)}'")
    monkeypatch.setattr(sys, "argv", ["/somewhere/mcp_host/__main__.py"])
    assert run._program() == f"{shlex.quote(sys.executable)} -m mcp_host"


# plugins


def test_plugins_lists_what_is_installed_and_whether_it_is_enabled(capsys: Capture, site: Site, folder: Path) -> None:
    site.plugin("future", "", requires=("mcp-host>=99",))
    (folder / "mcp-host.toml").write_text(
        "[plugins.adder]\n[plugins.second]\nenabled = false\n[plugins.future]\n[plugins.addr]\n"
        '[plugins.weather]\nobject = "weather_server:mcp"\n'
    )
    site.plugin("third")
    assert main(["plugins"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines() if line}
    assert rows["adder"] == "mcp-plugin-adder 1.0 enabled"
    assert rows["second"] == "mcp-plugin-second 1.0 disabled"
    assert rows["future"] == "mcp-plugin-future 1.0 cannot be loaded"
    assert rows["addr"] == "- cannot be loaded"
    assert rows["weather"] == "weather_server:mcp enabled"
    assert rows["third"] == "mcp-plugin-third 1.0 not enabled"
    assert "plugin future: mcp-plugin-future 1.0 needs mcp-host>=99" in text
    assert "did you mean 'adder'" in text
    assert f"where: {folder / 'mcp-host.toml'}:4: plugins.future" in text
    assert "To enable a plugin, name it in the configuration: [plugins." in text
    assert text.endswith(f"Configuration: {folder / 'mcp-host.toml'}\n")


def test_plugins_as_json_has_the_same_content(capsys: Capture, folder: Path) -> None:
    (folder / "mcp-host.toml").write_text("[plugins.addr]\n")
    assert main(["plugins", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["config"] == str(folder / "mcp-host.toml")
    plugins = {plugin["name"]: plugin for plugin in data["plugins"]}
    assert plugins["addr"]["status"] == "cannot be loaded"
    assert plugins["addr"]["problem"]["code"] == "not-installed"
    assert plugins["adder"] == {
        "name": "adder",
        "distribution": "mcp-plugin-adder",
        "version": "1.0",
        "status": "not enabled",
        "problem": None,
        "value": "mcp_plugin_adder:plugin",
    }


def test_without_plugins_the_list_is_a_sentence(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(sys, "path", [])
    assert main(["plugins"]) == 0
    assert capsys.readouterr().out == "No plugins are installed.\n\nConfiguration: none (mcp-host init writes one)\n"
    assert main(["plugins", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"config": None, "plugins": []}


# init


def test_init_writes_a_file_that_enables_the_named_plugins_and_mentions_the_others(
    capsys: Capture, folder: Path
) -> None:
    assert main(["init", "adder"]) == 0
    text = (folder / "mcp-host.toml").read_text()
    assert "# [plugins.second]    # mcp-plugin-second 1.0; remove the first # to enable it" in text
    config = parse_config(text, environ={})
    assert config.host.name == "my tools"
    assert config.transport.kind == "stdio"
    assert list(config.plugins) == ["adder"]
    said = capsys.readouterr().out
    assert "Wrote mcp-host.toml." in said
    assert "second" in said.partition("Installed but not enabled: ")[2]
    assert said.endswith("Next: mcp-host check, then mcp-host run.\n")
    assert main(["check"]) == 0


def test_init_without_plugins_writes_a_file_that_serves_none(folder: Path) -> None:
    assert main(["init", "--http"]) == 0
    config = parse_config((folder / "mcp-host.toml").read_text(), environ={})
    assert config.transport.kind == "http"
    assert config.plugins == {}


def test_init_replaces_a_file_only_with_force(capsys: Capture, folder: Path) -> None:
    path = folder / "mcp-host.toml"
    path.write_text("# mine\n")
    assert main(["init"]) == 2
    assert path.read_text() == "# mine\n"
    assert "mcp-host.toml already exists" in capsys.readouterr().err
    assert main(["init", "--force"]) == 0
    assert tomllib.loads(path.read_text())["transport"] == {"kind": "stdio"}
    assert [entry.name for entry in folder.iterdir()] == ["mcp-host.toml"]  # no leavings


def test_init_writes_to_another_path(capsys: Capture, folder: Path) -> None:
    assert main(["init", "--config", "new folder/tools.toml"]) == 0
    assert parse_config((folder / "new folder/tools.toml").read_text(), environ={}).host.name == "new folder"
    said = capsys.readouterr().out
    assert "Next: mcp-host check --config 'new folder/tools.toml', then mcp-host run --config" in said


def test_init_refuses_plugins_that_are_not_installed(capsys: Capture, folder: Path) -> None:
    assert main(["init", "addr"]) == 2
    assert "error: plugin 'addr' is not installed (did you mean 'adder'?)" in capsys.readouterr().err
    assert not (folder / "mcp-host.toml").exists()
