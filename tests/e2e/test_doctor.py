"""`mcp-host doctor`: entries in the files of clients that stopped working, and what is wrong with the installation."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_host._version import __version__

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.sites import Site

US = ["-P", "-m", "mcp_host", "run", "--transport", "stdio", "--config"]


class Sick:
    """A user's home folder with a configuration, and entries in the file of Cursor."""

    def __init__(self, invoke: Invoke, site: Site) -> None:
        self.invoke = invoke
        self.folder = invoke.folder
        self.config = invoke.config("[plugins.good]\n")
        self.env = {"PYTHONPATH": str(site.folder)}
        (self.folder / ".cursor").mkdir()
        self.file = self.folder / ".cursor/mcp.json"

    def entry(self, command: object = sys.executable, config: object = None, **more: Any) -> dict[str, Any]:
        return {"command": str(command), "args": [*US, str(config or self.config)], "env": self.env, **more}

    def entries(self, **entries: Any) -> None:
        self.file.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")


@pytest.fixture
def sick(invoke: Invoke, site: Site, monkeypatch: pytest.MonkeyPatch) -> Sick:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    # An environment of tests may miss what a plugin needs; only its own state is of interest here.
    monkeypatch.setattr("mcp_host.plugins.requirements.unmet", lambda *_: [])
    return Sick(invoke, site)


def test_entries_that_work_are_listed_and_nothing_is_wrong(sick: Sick) -> None:
    sick.entries(mine=sick.entry(), theirs={"command": "/nowhere"}, broken=[])
    done = sick.invoke("doctor")
    assert done.code == 0, done.out
    assert f"mcp-host {__version__}, mcp 2." in done.out
    assert "mcp-plugin-good 1.0" in done.out
    assert f"cursor  mine   {sick.config}  ok" in done.out
    assert done.out.endswith("Nothing is wrong.\n")
    assert "theirs" not in done.out


def test_entries_whose_program_or_configuration_is_gone_are_found(sick: Sick) -> None:
    script, link = sick.folder / "mcp-host", sick.folder / "python"
    script.write_text("#!/nowhere/python3\n", encoding="utf-8")
    script.chmod(0o755)
    link.symlink_to("/nowhere/python3")
    sick.entries(
        program=sick.entry("/gone/bin/python"),
        bare=sick.entry("no-such-program-here"),
        link=sick.entry(link),
        script={"command": str(script), "args": ["run", "--config", str(sick.config)]},
        text={"command": str(sick.config), "args": ["-m", "mcp_host", "run", "--config", "x"]},
        config=sick.entry(config="/gone/mcp-host.toml"),
        code=sick.entry(config="/gone/server.py:mcp"),
    )
    done = sick.invoke("doctor", "--quick")
    assert done.code == 1
    for problem in (
        "the program that it starts is gone: /gone/bin/python",
        "the program that it starts is gone: no-such-program-here",
        f"the Python that it starts is gone: {link} leads to /nowhere/python3",
        f"the Python that it starts is gone: {script} is run by /nowhere/python3",
        f"the program that it starts cannot be run: {sick.config}",
        "its configuration is gone: /gone/mcp-host.toml",
        "its configuration is gone: /gone/server.py",
    ):
        assert f"error: {problem}\n" in done.out
    assert f"where: {sick.file}: program\n" in done.out
    assert f"hint:  mcp-host install cursor --name program --config {sick.config} --force\n" in done.out
    assert "hint:  mcp-host uninstall cursor --name config\n" in done.out
    listed = sick.invoke("doctor", "--quick", "--json").json
    assert {each["ok"] for each in listed["entries"]} == {False}
    # The hint works.
    assert sick.invoke("uninstall", "cursor", "--name", "config").code == 0
    assert "/gone/mcp-host.toml" not in sick.invoke("doctor", "--quick").out


def test_entries_that_will_not_last_are_found(sick: Sick) -> None:
    cached = sick.folder / ".cache/venv/bin/python"
    cached.parent.mkdir(parents=True)
    cached.symlink_to(sys.executable)
    uvx = {"command": sys.executable, "args": ["--from", "mcp-host==0.0.1", "mcp-host", "run"]}
    sick.entries(cached=sick.entry(cached), again=sick.entry(), old=uvx)
    (sick.folder / ".cursor").joinpath("x").touch()
    done = sick.invoke("doctor", "--quick")
    assert done.code == 1
    assert f"warning: {cached} is in a cache, which may be deleted\n" in done.out
    assert f"warning: it starts mcp-host 0.0.1, and this one is {__version__}\n" in done.out
    assert f"warning: Cursor has two entries for {sick.config}: cached and again\n" in done.out
    assert "Found 3 problems." in done.out


def test_what_each_entry_starts_is_checked_in_the_environment_of_the_client(
    sick: Sick, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sick.invoke.config("[plugins.broken]\n", "other.toml")
    program = sick.folder / "mcp-host"
    program.write_text("#!/bin/sh\necho mcp-host 0.0.7\n", encoding="utf-8")
    program.chmod(0o755)
    sick.entries(
        bare={key: value for key, value in sick.entry().items() if key != "env"},
        other=sick.entry(config=other),
        old={"command": str(program), "args": ["run", "--config", str(sick.config)]},
        away={"url": "http://127.0.0.1:9/mcp"},
    )
    monkeypatch.setenv("MCP_HOST__HOST__NAME", "away")
    done = sick.invoke("doctor")
    assert done.code == 1
    assert "error: Cursor: plugin good: plugin 'good' is not installed" in done.out
    assert "error: Cursor: plugin broken: " in done.out
    assert f"; {sick.file}: other\n" in done.out
    assert "warning: it starts mcp-host 0.0.7, and this one is " in done.out
    assert "error: cannot reach http://127.0.0.1:9/mcp: " in done.out


def test_files_and_folders_that_cannot_be_used_are_found(sick: Sick) -> None:
    sick.file.write_text('{"mcpServers": {,}', encoding="utf-8")
    (sick.folder / "data").write_text("a file", encoding="utf-8")
    (sick.folder / ".cache").write_text("a file", encoding="utf-8")
    sick.invoke.config("[host]\ndata_dir = 'data/plugins'\n[plugins.good]\n")
    done = sick.invoke("doctor", "--quick")
    assert done.code == 1
    assert f"where: {sick.file}:1:17" in done.out
    data, cache = sick.folder / "data", sick.folder / ".cache"
    assert f"the folder where plugins keep files cannot be used: {data} is not a folder" in done.out
    assert f"{cache} is not a folder" in done.out


def test_a_configuration_that_does_not_load_is_found_and_a_missing_one_ends_the_look(sick: Sick) -> None:
    sick.invoke.config("[plugins.good]\nprefx = 1\n")
    done = sick.invoke("doctor")
    assert done.code == 1
    assert "error: unknown key 'prefx'" in done.out
    done = sick.invoke("doctor", "--config", "none.toml")
    assert (done.code, done.out) == (2, "")
    done = sick.invoke("doctor", "--quick", "--json")
    assert done.json["ok"] is False
    assert done.json["problems"][0]["severity"] == "error"
    assert Path(done.json["config"]).name == "mcp-host.toml"
