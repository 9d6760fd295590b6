"""What people try first: other words for commands, other folders, lists, and programs that read JSON."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.invoking import Invoke
    from support.processes import Cli

FAILING = """
    from mcp_host import Plugin, ResourceError, ToolError
    plugin = Plugin()

    @plugin.tool
    def ask() -> str:
        "Asks."
        raise ToolError("no such order")

    @plugin.resource("doc://one")
    def one() -> str:
        "One."
        raise ResourceError("no such order")

    @plugin.prompt
    def plan(order: str = "1") -> str:
        "Plan."
        raise ToolError("no such order")

    @plugin.tool
    def total(numbers: list[float], names: list[str] | None = None, text: str | list[int] = "") -> str:
        "Adds."
        return f"{sum(numbers)} {names} {text!r}"
"""


@pytest.fixture
def failing(invoke: Invoke) -> Invoke:
    invoke.config(FAILING, "server.py")
    invoke.config('[plugins.server]\nobject = "server.py"\n')
    return invoke


@pytest.mark.parametrize(
    ("word", "meant"),
    [("serve", "run"), ("start", "run"), ("list", "plugins"), ("tools", "inspect"), ("help", "--help")],
)
def test_a_word_that_people_try_leads_to_the_command(invoke: Invoke, word: str, meant: str) -> None:
    done = invoke(word)
    assert done.code == 2
    assert f"there is no command {word!r}\n" in done.err
    assert f"hint:  mcp-host {meant}\n" in done.err


@pytest.mark.parametrize("names", [("ask", "doc://one", "plan"), ("nothing", "doc://nothing", "nothing")])
def test_the_same_fault_has_the_same_exit_code(failing: Invoke, names: tuple[str, str, str]) -> None:
    codes = {failing(command, name).code for command, name in zip(("call", "read", "prompt"), names, strict=True)}
    assert codes == ({1} if names[0] == "ask" else {2})


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("call", "nothing", "--json"), 2),
        (("read", "doc://one", "--json"), 1),
        (("inspect", "nothing", "--json"), 2),
        (("check", "--json", "--config", "gone.toml"), 2),
        (("plugins", "--json", "--no-such-option"), 2),
        (("call", "ask", "--json", "--url", "http://127.0.0.1:9/mcp"), 2),
    ],
)
def test_a_failure_is_one_json_document_too(failing: Invoke, command: tuple[str, ...], code: int) -> None:
    done = failing(*command)
    assert done.code == code
    found = json.loads(done.out)
    assert found["ok"] is False
    assert found["problems"][0]["what"] in done.err.replace("\\n", "\n")


def test_a_failure_is_json_on_the_real_stdout_of_a_process(cli: Cli) -> None:
    """Plugins are loaded by then, and their output goes to stderr."""
    cli.config("[plugins.good]\n")
    done = cli.run("call", "nothing", "--json")
    assert json.loads(done.out)["problems"][0]["code"] == "unknown-name"
    assert "error: no tool is called 'nothing'" in done.err


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        (("numbers=1,2.5,6",), "9.5 None ''"),
        (("numbers=[1, 2]",), "3.0 None ''"),
        (("numbers=4",), "4.0 None ''"),
        (("numbers=1", "numbers=2,3"), "6.0 None ''"),
        (("numbers=1", "names=1, b"), "1.0 ['1', 'b'] ''"),
        (("numbers=1", "text=1,2"), "1.0 None '1,2'"),
    ],
)
def test_a_list_may_have_commas(failing: Invoke, arguments: tuple[str, ...], result: str) -> None:
    done = failing("call", "total", *arguments)
    assert (done.out, done.err) == (f"{result}\n", "")


def test_without_a_file_check_leads_to_init(invoke: Invoke) -> None:
    done = invoke("check")
    assert "mcp-host init PLUGIN" in done.out
    assert done.code == 0


def test_a_folder_that_is_gone_is_one_clear_line(cli: Cli, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    config = cli.config("[plugins.good]\n")
    command = ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(gone), *cli.command]
    done = subprocess.run(
        [*command, "check", "--config", str(config)], env=cli.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: the working directory does not exist any more\n"
        "  where: working directory\n"
        "  hint:  cd to a folder that exists\n"
    )


@pytest.mark.parametrize(("command", "code"), [(("check",), 0), (("good", "--help"), 2)])
def test_entry_points_that_cannot_be_read_hide_only_themselves(
    cli: Cli, tmp_path: Path, command: tuple[str, ...], code: int
) -> None:
    folder = tmp_path / "damaged/other-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text("[console_scripts]\njust a line\n", encoding="utf-8")
    cli.config("[plugins.good]\n")
    path = f"{folder.parent}:{cli.env['PYTHONPATH']}"
    done = cli.run(*command, env={"PYTHONPATH": path})
    assert done.err.startswith(
        "warning: the entry points of other 1.0 cannot be read\n  hint:  pip install --force-reinstall other\n"
    )
    assert "Traceback" not in done.err
    assert done.code == code
