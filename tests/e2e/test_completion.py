"""Completion with Tab: requested like the shells' own scripts do, and typed into real shells."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli

LONGEST = 60.0
SHELLS = ["bash", "zsh", "fish"]
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that the shell can hand it to its commands
os.execvp(sys.argv[1], sys.argv[1:])
"""
WATCH = """
import atexit, json, sys
from mcp_host.__main__ import main
atexit.register(lambda: print(json.dumps(sorted(
    name for name in sys.modules if name.split(".")[0] in ("mcp", "mcp_types") or name.startswith("mcp_plugin_")
)), file=sys.stderr))
sys.exit(main())
"""


def ask(cli: Cli, *words: str, shell: str = "bash") -> list[str]:
    """Return what Tab offers after these words, the last of which is being typed."""
    if shell == "bash":
        # As bash does: a colon or an equals sign is a word of its own.
        parts = [part for word in words for part in re.split("([:=]+)", word) if part or not word]
        typed = {"COMP_WORDS": "\n".join(["mcp-host", *parts]), "COMP_CWORD": str(len(parts))}
    else:
        typed = {"_TYPER_COMPLETE_ARGS": " ".join(["mcp-host", *words]), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = cli.run(env={"_MCP_HOST_COMPLETE": f"complete_{shell}", **typed})
    assert done.err == ""
    return done.out.splitlines()


@pytest.fixture
def good(cli: Cli) -> Cli:
    """A configuration whose plugins were loaded once."""
    cli.config("[plugins.good]\n[plugins.noisy]\nenabled = false\n")
    assert cli.run("check").code == 0
    return cli


def test_commands_and_options_are_offered(cli: Cli) -> None:
    assert {"run", "check", "call", "plugins"} <= set(ask(cli, ""))
    assert ask(cli, "ins") == ["inspect", "install"]
    assert {"--strict", "--config", "--json"} <= set(ask(cli, "check", "--"))


def test_the_plugins_that_can_be_left_out_are_offered_and_each_once(cli: Cli) -> None:
    cli.config("[plugins.good]\n[plugins.frail]\n[plugins.noisy]\nenabled = false\n")
    for command in ("run", "check", "inspect"):
        assert ask(cli, command, "--disable", "") == ["good", "frail"]
    assert ask(cli, "check", "--disable", "good", "--disable", "") == ["frail"]
    assert ask(cli, "check", "--disable=g") == ["good"]
    elsewhere = cli.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other.toml").write_text("[plugins.vault]\n[plugins.good]\nprefix = 5\n[broken]\n")
    assert ask(cli, "check", "--config", "elsewhere/other.toml", "--disable", "v") == ["vault"]


def test_enable_disable_and_remove_are_offered_the_plugins_they_can_do_something_to(cli: Cli) -> None:
    cli.config("[plugins.good]\n[plugins.frail]\n[plugins.noisy]\nenabled = false\n")
    assert ask(cli, "disable", "") == ["good", "frail"]
    assert ask(cli, "disable", "good", "") == ["frail"]
    offered = ask(cli, "enable", "")
    assert {"noisy", "vault", "broken"} <= set(offered)
    assert not {"good", "frail"} & set(offered)
    assert {"good", "frail", "noisy", "vault"} <= set(ask(cli, "remove", ""))


def test_plugin_names_come_from_metadata_and_the_file_alone(good: Cli) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCH],
        cwd=good.folder,
        env=good.environment(
            {"_MCP_HOST_COMPLETE": "complete_bash", "COMP_WORDS": "mcp-host\ncheck\n--disable\n", "COMP_CWORD": "3"}
        ),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=True,
    )
    assert done.stdout == "good\n"
    assert json.loads(done.stderr) == []


def test_the_names_that_were_served_last_are_offered(good: Cli) -> None:
    assert ask(good, "call", "gr") == ["greet"]
    assert "review" in ask(good, "prompt", "")
    assert {"greet", "review", "note://today", "note://by/{author}"} <= set(ask(good, "inspect", ""))
    assert "greet" in ask(good, "inspect", "g")
    assert ask(good, "call", "greet", "--url", "http://x", "") == []
    assert ask(good, "call", "--url", "http://x", "") == []


def test_an_address_is_completed_although_bash_takes_it_apart_at_the_colon(good: Cli) -> None:
    assert ask(good, "read", "note://tod") == ["//today"]
    assert ask(good, "read", "note:") == ["//today"]
    assert "note://today" in ask(good, "read", "not")
    assert ask(good, "read", "note://tod", shell="fish")[0].startswith("note://today")


def test_fish_and_zsh_show_what_a_tool_does(good: Cli) -> None:
    assert ask(good, "call", "gre", shell="fish") == ["greet\tGreet somebody."]
    assert ask(good, "call", "gre", shell="zsh") == ["""_arguments '*: :(("greet":"Greet somebody."))'"""]


def test_texts_of_a_plugin_cannot_run_commands_in_the_shell(cli: Cli) -> None:
    names = {"tools": {"add": "$(touch x)`touch x`'\"; touch x #\\", "a;b": "", "$(touch x)": ""}}
    cli.config("[plugins.good]")
    assert cli.run("check").code == 0
    cache = cli.folder / ".cache/mcp-host/completion.json"
    entries = json.loads(cache.read_text())
    for entry in entries.values():
        entry["names"] = names
    cache.write_text(json.dumps(entries))
    assert ask(cli, "call", "", shell="fish") == ["add\ttouch x touch x touch x"]
    assert ask(cli, "call", "") == ["add"]


@pytest.mark.parametrize("change", ["file", "variable", "damage", "shape", "none", "unwritable"])
def test_nothing_is_offered_when_what_was_served_is_no_longer_known(good: Cli, change: str) -> None:
    assert ask(good, "call", "gr") == ["greet"]
    cache = good.folder / ".cache/mcp-host/completion.json"
    if change == "file":
        good.config("[plugins.good]\ntools.deny = ['greet']")
    elif change == "variable":
        good.env["MCP_HOST__PLUGINS__GOOD__PREFIX"] = "g_"
    elif change == "damage":
        cache.write_text('{"half')
    elif change == "shape":
        cache.write_text(json.dumps({str((good.folder / "mcp-host.toml").resolve()): ["no", "entry"]}))
    elif change == "none":
        cache.unlink()
    else:
        cache.unlink()
        cache.mkdir()
    assert ask(good, "call", "gr") == []
    tool = "g_add" if change == "variable" else "add"
    assert good.run("call", tool, "a=1", "b=2").out == "3\n"
    assert ask(good, "call", tool[:-1]) == ([] if change == "unwritable" else [tool])


def test_a_plugin_left_out_for_once_stays_known(good: Cli) -> None:
    assert good.run("inspect", "--disable", "good").code == 0
    assert ask(good, "call", "gr") == ["greet"]


def test_every_configuration_has_its_own_names_and_old_ones_are_forgotten(invoke: Invoke) -> None:
    from mcp_host.cli.remembering import MOST

    invoke.config("")
    for number in range(MOST + 1):
        invoke.config("", f"{number}.toml")
        assert invoke("inspect", "--config", f"{number}.toml").code == 0
    invoke("inspect", "--config", "1.toml")
    entries = json.loads((invoke.folder / ".cache/mcp-host/completion.json").read_text())
    assert [Path(path).name for path in entries] == [f"{number}.toml" for number in range(1, MOST + 1)]


@pytest.mark.parametrize("config", ["[plugins\n", "plugins = 3\n", "[plugins]\ngood = 3\n", None])
def test_tab_never_complains(cli: Cli, config: str | None) -> None:
    if config is not None:
        cli.config(config)
    for words in (["check", "--disable", ""], ["call", ""], ["call", "--config", "nowhere.toml", ""]):
        assert ask(cli, *words) == []
    for env in ({"COMP_CWORD": "many"}, {"COMP_WORDS": "'", "COMP_CWORD": "0"}, {}):
        done = cli.run(env={"_MCP_HOST_COMPLETE": "complete_bash", **env})
        assert "Traceback" not in done.err + done.out
        assert done.err == ""
    assert cli.run(env={"_MCP_HOST_COMPLETE": "nonsense"}).err == ""


def test_an_empty_variable_does_not_start_completion(cli: Cli) -> None:
    assert "mcp-host" in cli.run("--version", env={"_MCP_HOST_COMPLETE": ""}).out


def test_the_help_shows_how_to_install_completion(cli: Cli) -> None:
    assert "mcp-host --install-completion" in cli.run("--help").out


# Real shells


class Shell:
    """An interactive shell on a pseudo-terminal, with `mcp-host` on its path."""

    def __init__(self, name: str, cli: Cli) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._master, terminal = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, name, "-i"],
            cwd=cli.folder,
            env={**cli.environment(), "PATH": path, "TERM": "xterm", "SHELL": name, "ZDOTDIR": str(cli.folder)},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self._watchdog = threading.Timer(3 * LONGEST, self._process.kill)
        self._watchdog.start()
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, text: str) -> None:
        """Read until the text is shown."""
        while text not in self.shown:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # on Linux: no process has the terminal open any more
                data = b""
            assert data, f"no {text!r} in {self.shown!r}"
            self.shown += data.decode(errors="replace")

    def close(self) -> None:
        self._watchdog.cancel()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)


@contextmanager
def shell(name: str, cli: Cli) -> Iterator[Shell]:
    started = Shell(name, cli)
    try:
        yield started
    finally:
        started.close()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.skipif(not shutil.which(n), reason=f"no {n} here")) for n in SHELLS]
)
def test_tab_completes_at_a_real_shell_once_it_is_installed(good: Cli, name: str) -> None:
    (good.folder / ".zshrc").write_text("PROMPT='ready> '\n")
    # Else fish begins by making completions of all manual pages.
    (good.folder / ".local/share/fish/generated_completions").mkdir(parents=True)
    with shell(name, good) as before:
        before.type("mcp-host --install-completion\r")
        before.until("completion installed in")
    with shell(name, good) as after:
        if name == "zsh":
            # Typer's script for zsh is loaded by the first Tab of a session, and answers from the second on.
            after.until("ready> ")
            after.type("mcp-host \t\x15")
        after.type("mcp-host insp\tgre\t\r")
        after.until("tool greet")
        after.type("mcp-host call gre\tname=Ann\r")
        after.until("Hello, Ann!")
        after.type("mcp-host read note://tod\t\r")
        after.until("buy milk")
        after.type("mcp-host check --dis\tgoo\t\r")
        after.until("disabled")
