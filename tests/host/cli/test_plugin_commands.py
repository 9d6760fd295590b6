"""`mcp-host NAME`: the commands that plugins contribute."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_host.__main__ import main
from mcp_host.cli.registry import COMMANDS

if TYPE_CHECKING:
    from support.sites import Site

Capture = pytest.CaptureFixture[str]

GREETER = '''
    from typing import Annotated

    import typer
    from pydantic import BaseModel
    from mcp_host import Command, Plugin, PluginContext, hookimpl

    class Settings(BaseModel, extra="forbid"):
        word: str = "Hello"
        password: str = ""

    plugin = Plugin(settings=Settings)
    group = typer.Typer(help="More of them.")

    @plugin.command
    def say_hello(
        ctx: PluginContext[Settings], name: str, loud: Annotated[bool, typer.Option(help="In capitals.")] = False
    ) -> None:
        """Greet somebody."""
        text = f"{ctx.settings.word} {name}, {ctx.name} is here"
        print(text.upper() if loud else text)

    @plugin.command("later")
    async def wait(code: int = 3) -> int:
        """Return a code."""
        return code

    @plugin.command
    def fail(ctx: PluginContext) -> None:
        raise ZeroDivisionError(f"it had {ctx.settings.password}")

    @group.command()
    def inner() -> None:
        print("inside")

    @group.command()
    def other() -> None: ...

    plugin.command("more")(group)
'''


@pytest.fixture
def folder(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration that enables `greeter`, disables `quiet`, and does not name `second`."""
    site.plugin("greeter", GREETER)
    site.plugin("quiet", "raise AssertionError('imported')\n")
    site.plugin("second", "raise AssertionError('imported')\n")
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "mcp-host.toml").write_text(
        '[plugins.greeter]\nsettings.password = { env = "PASSWORD_OF_IT" }\n[plugins.quiet]\nenabled = false\n'
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PASSWORD_OF_IT", "open-sesame-42")
    monkeypatch.delenv("MCP_LOG_LEVEL", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


def test_a_command_of_a_plugin_gets_its_arguments_and_the_context_of_the_plugin(capsys: Capture, folder: Path) -> None:
    assert main(["greeter", "say-hello", "Ann", "--loud"]) == 0
    assert capsys.readouterr().out == "HELLO ANN, GREETER IS HERE\n"


def test_the_number_that_a_command_returns_is_the_exit_code_also_of_an_async_one(folder: Path) -> None:
    assert main(["greeter", "later"]) == 3
    assert main(["greeter", "later", "--code", "0"]) == 0


def test_a_typer_application_is_a_group_of_commands(capsys: Capture, folder: Path) -> None:
    assert main(["greeter", "more", "inner"]) == 0
    assert capsys.readouterr().out == "inside\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_the_help_of_a_plugin_lists_its_commands(capsys: Capture, folder: Path, arguments: list[str]) -> None:
    assert main(["greeter", *arguments]) == (0 if arguments else 2)
    text = capsys.readouterr().out
    assert "Usage: mcp-host greeter" in text
    for line in ("say-hello  Greet somebody.", "later      Return a code.", "fail", "more       More of them."):
        assert f"  {line}" in text


def test_the_configuration_may_be_named(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[plugins.greeter]\nsettings.word = "Hi"\n')
    assert main(["greeter", "--config", "../other.toml", "say-hello", "Ann"]) == 0
    assert capsys.readouterr().out == "Hi Ann, greeter is here\n"
    (folder / "mcp-host.toml").write_text("")
    assert main(["greeter", "--config", "../other.toml", "--help"]) == 0


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (["quiet", "x"], "plugin 'quiet' is disabled", "mcp-host enable quiet"),
        (["second", "--help"], "plugin 'second' is installed, but not enabled", "mcp-host enable second"),
        (["greter", "--loud"], "there is no command 'greter' (did you mean 'greeter'?)", "mcp-host --help"),
        (["chek"], "there is no command 'chek' (did you mean 'check'?)", "mcp-host --help"),
        (["greeter", "sey-hello"], "no such command 'sey-hello'", "mcp-host greeter --help"),
        (["greeter", "say-hello"], "missing argument", "mcp-host greeter say-hello --help"),
        (["greeter", "say-hello", "a", "--nope"], "no such option: --nope", "mcp-host greeter say-hello --help"),
    ],
)
def test_a_mistake_is_reported_in_the_one_form(
    capsys: Capture, folder: Path, arguments: list[str], what: str, hint: str
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0].startswith(f"error: {what}")
    assert lines[-1] == f"  hint:  {hint}"


def test_an_unknown_command_is_reported_before_a_file_that_does_not_load(capsys: Capture, folder: Path) -> None:
    (folder / "mcp-host.toml").write_text("[broken\n")
    assert main(["chek"]) == 2
    assert "there is no command 'chek'" in capsys.readouterr().err
    assert main(["greeter"]) == 2
    assert "invalid TOML" in capsys.readouterr().err


def test_settings_are_validated_before_a_command_runs(capsys: Capture, folder: Path) -> None:
    (folder / "mcp-host.toml").write_text("[plugins.greeter]\nsettings.word = 3\n")
    assert main(["greeter", "later"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: 'word'")
    assert "mcp-host.toml:2: plugins.greeter.settings.word" in captured.err


def test_a_command_that_raises_ends_without_a_traceback_and_without_secrets(capsys: Capture, folder: Path) -> None:
    assert main(["greeter", "fail"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the command failed: ZeroDivisionError: it had ***\n")
    assert "Traceback" not in error


def test_a_plugin_without_commands_is_reported(capsys: Capture, folder: Path, site: Site) -> None:
    site.plugin("adder")
    (folder / "mcp-host.toml").write_text("[plugins.adder]\n")
    assert main(["adder"]) == 2
    assert capsys.readouterr().err.startswith("error: plugin 'adder' has no commands\n")


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        ("3", "mcp_commands returned an int, not an iterable of Command objects"),
        ("[3]", "mcp_commands returned an int as item 0; expected Command objects"),
        ("[print_it, print_it]", "two of its commands are called 'print-it'"),
        ("[Command(print_it, 'a b')]", "a command has the invalid name 'a b'"),
        ("[Command(3, 'a')]", "the command 'a' is an int, not a function"),
        ("[takes_anything]", "its commands cannot be made: "),
    ],
)
def test_what_is_no_command_fails_with_a_line(
    capsys: Capture, folder: Path, site: Site, returned: str, what: str
) -> None:
    body = f"""
    from mcp_host import Command, hookimpl

    def print_it(): ...
    def takes_anything(x: 'Gone'): ...

    class Wrong:
        @hookimpl
        def mcp_commands(self):
            return {returned}

    plugin = Wrong()
    """
    site.plugin("wrong", body)
    (folder / "mcp-host.toml").write_text("[plugins.wrong]\n")
    assert main(["wrong", "--help"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {what}")


def test_a_built_in_command_wins_and_check_warns(capfd: Capture, folder: Path, site: Site) -> None:
    site.plugin("plugins", GREETER)
    (folder / "mcp-host.toml").write_text("[plugins.plugins]\n")
    assert main(["plugins", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["plugins"]
    assert main(["check", "--json"]) == 0
    (record,) = json.loads(capfd.readouterr().out)["plugins"]
    assert [warning["what"] for warning in record["warnings"]] == [
        "its commands cannot be run: mcp-host plugins is a command of mcp-host itself"
    ]
    assert "plugins" in COMMANDS


def test_a_plugin_is_imported_only_for_its_own_commands(site: Site, folder: Path) -> None:
    code = """
import json, sys
from mcp_host.__main__ import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(name for name in sys.modules if name.startswith("mcp_plugin_"))]), file=sys.stderr)
"""
    for arguments, imported in ((["--help"], []), (["second"], []), (["greeter", "later"], ["mcp_plugin_greeter"])):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={"PYTHONPATH": str(site.folder), "HOME": str(folder), "PASSWORD_OF_IT": "x"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stderr.splitlines()[-1])[1] == imported
