"""`mcp-host install` and `uninstall`: real files of clients in a temporary home, and their entries are started."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from mcp_host.manage.clients import jsonc
from mcp_host.manage.clients.clientconfig import Machine, load_clients
from support.issuer import serving_issuer

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli, Done
    from support.sites import Site

CLIENTS = load_clients()

BEFORE = {
    "claude-desktop": '{\n  "globalShortcut": "Ctrl+Ü",\n  "mcpServers": {\n    "x": {"command": "x"}\n  }\n}\n',
    "claude-code": '{"numStartups":3,"projects":{"/p":{"mcpServers":{}}}}',
    "cursor": '{\n    "mcpServers": {\n        "x": { "url": "http://x" }, // theirs\n    },\n}\n',
    "vscode": '// VS Code\r\n{\r\n\t"inputs": [],\r\n\t"servers": {\r\n\t}\r\n}\r\n',
    "codex": 'model = "m" # mine\n\n[mcp_servers.x]\ncommand = "x"\n\n[profiles."ö"]\nn = 1\n',
    "gemini-cli": '{ "theme": "Dracula" /* dark */ }',
    "windsurf": '\ufeff{\n  "mcpServers": {}\n}',
    "devin": "",
    "zed": '// Zed settings\n{\n  "theme": "One Dark", // the best\n  "context_servers": {}, // none\n}\n',
}


class Home:
    """A user's home folder with a mcp-host.toml in a folder of it, and the commands run there."""

    def __init__(self, invoke: Invoke, site: Site) -> None:
        self.invoke = invoke
        self.folder = invoke.folder
        self.config = invoke.config("[host]\nname = 'My tools!'\n[plugins.good]\n")
        self.path = f"PYTHONPATH={site.folder}"

    def file(self, client: str, text: str | None = None, *, present: bool = True) -> Path:
        """Return a client's file, written with a text; the client is there then."""
        path, _ = Machine({"HOME": str(self.folder)}, sys.platform, self.folder).locate(CLIENTS[client])
        if present:
            path.parent.mkdir(parents=True, exist_ok=True)
            (self.folder / ".claude").mkdir(exist_ok=True)
        if text is not None:
            path.write_bytes(text.encode())
        return path

    def install(self, client: str, *args: str) -> Done:
        return self.invoke("install", client, "-v", self.path, *args)

    def quickly(self, client: str, *args: str) -> Done:
        return self.install(client, "--no-verify", *args)


@pytest.fixture
def home(invoke: Invoke, site: Site, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    return Home(invoke, site)


def servers(client: str, path: Path) -> dict[str, Any]:
    """What the client reads in its file."""
    text = path.read_bytes().decode()
    if CLIENTS[client].format == "toml":
        entries: dict[str, Any] = tomllib.loads(text)[CLIENTS[client].key]
    elif CLIENTS[client].format == "json":
        entries = json.loads(text)[CLIENTS[client].key]
    else:
        entries = jsonc.read(text)[CLIENTS[client].key]
    return entries


async def call_add(entry: dict[str, Any]) -> Any:
    """Start the command of an entry, with only its variables, and call a tool."""
    parameters = StdioServerParameters(
        command=entry["command"], args=entry["args"], env=entry.get("env"), cwd=entry.get("cwd", "/")
    )
    with tempfile.TemporaryFile("w+") as log:
        async with Client(stdio_client(parameters, log)) as client:
            assert "add" in [tool.name for tool in (await client.list_tools()).tools]
            return (await client.call_tool("add", {"a": 2, "b": 3})).structured_content


@pytest.mark.parametrize("client", CLIENTS)
def test_the_written_entry_starts_the_server_and_uninstall_restores_every_byte(client: str, home: Home) -> None:
    before = BEFORE[client]
    file = home.file(client, before)
    done = home.quickly(client)
    assert done.code == 0, done.err
    assert f"Added My-tools to {file}" in done.out
    assert f"The old file: {file}.bak" in done.out
    assert CLIENTS[client].after in done.out

    entry = servers(client, file)["My-tools"]
    assert Path(entry["command"]) == Path(sys.executable)
    assert entry["args"][-1] == str(home.config)
    assert entry["env"] == {"PYTHONPATH": home.path.partition("=")[2]}
    assert asyncio.run(call_add(entry)) == {"result": 5}
    for text in ("Ü", "theirs", "// VS Code\r\n", "# mine", "/* dark */", "// none", '"/p"', "ö"):
        assert (text in before) == (text in file.read_bytes().decode())

    done = home.invoke("uninstall", client)
    assert done.code == 0, done.err
    assert f"{file} is again the file from before My-tools was installed." in done.out
    assert file.read_bytes() == before.encode()
    # The values that were in the entry are nowhere any more.
    assert done.err == ""
    assert (file.parent / f"{file.name}.bak").read_bytes() == before.encode()


@pytest.mark.parametrize("client", [name for name, client in CLIENTS.items() if client.project])
def test_a_project_s_file_is_created_and_removed_with_its_only_entry(client: str, home: Home) -> None:
    done = home.quickly(client, "--project", "--name", "demo")
    assert done.code == 0, done.err
    file = home.folder / str(CLIENTS[client].project)
    assert f"Added demo to {file}" in done.out
    assert "The old file" not in done.out
    assert "meant to be shared" in done.err
    assert "the paths of this machine" in done.err
    assert (servers(client, file)["demo"]["args"], stat.S_IMODE(file.stat().st_mode)) == (
        ["-P", "-m", "mcp_host", "run", "--transport", "stdio", "--config", str(home.config)],
        0o600,
    )
    done = home.invoke("uninstall", client, "--project")
    assert f"Removed {file}, which contained only demo." in done.out
    assert not file.exists()


def test_others_may_read_a_project_s_file_without_variables(home: Home) -> None:
    assert home.invoke("install", "cursor", "--project", "--no-verify").code == 0
    assert stat.S_IMODE((home.folder / ".cursor/mcp.json").stat().st_mode) == 0o644


def test_the_entry_is_tried_out_before_it_is_written(home: Home) -> None:
    file = home.file("cursor")
    done = home.install("cursor")
    assert done.code == 0, done.err
    assert "Verified: every plugin works, and the server answers with " in done.out
    assert "tools." in done.out
    assert "written in clear text" in done.err
    assert home.path.partition("=")[2] not in done.out + done.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


FAILING = {
    "at its import": ("[plugins.broken]\n", "plugin broken: ", "no such engine"),
    "at its start": ("[plugins.frail]\n", "plugin frail: ", "the database is down"),
    "in its own check": ("[plugins.doubts]\n", "plugin doubts: its check 'does it raise' failed: ", "it does"),
    "and is required": ("[plugins.broken]\nrequired = true\n", "plugin broken: ", "no such engine"),
    "as a command": ("[plugins.gone]\ncommand = ['/nowhere/server']\n", "plugin gone: ", "/nowhere/server"),
    "as a URL": ("[plugins.away]\nurl = 'http://127.0.0.1:9/mcp'\n", "plugin away: ", ""),
    "for it is for another host": ("[plugins.future]\n", "plugin future: ", "needs mcp-host>=99"),
    "for it is not installed": ("[plugins.nowhere]\n", "plugin nowhere: ", "is not installed"),
}


@pytest.mark.parametrize("how", FAILING)
def test_nothing_is_written_while_an_enabled_plugin_fails(how: str, home: Home) -> None:
    file = home.file("cursor", BEFORE["cursor"])
    table, who, why = FAILING[how]
    home.invoke.config(f"[host]\nstart_timeout = 1\n[plugins.good]\n{table}")
    done = home.install("cursor", "-v", "SECRET=hush-hush")
    assert done.code == 2, done.out
    assert f"error: {who}" in done.err
    assert why in done.err
    assert "nothing was written" in done.err
    assert "--no-verify" in done.err
    assert "hush-hush" not in done.err
    assert file.read_bytes() == BEFORE["cursor"].encode()
    assert os.listdir(file.parent) == [file.name]


def test_no_entry_is_printed_while_an_enabled_plugin_fails_unless_it_is_not_verified(home: Home) -> None:
    home.invoke.config("[plugins.good]\n[plugins.broken]\n")
    done = home.install("json", "--json")
    assert done.code == 2
    assert json.loads(done.out)["problems"][0]["what"].startswith("plugin broken: ")
    assert "mcpServers" in json.loads(home.quickly("json").out)


def test_a_variable_that_the_client_does_not_set_is_asked_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home.file("cursor")
    home.invoke.config("[plugins.good]\nsettings.greeting = { env = 'GREETING' }\n")
    done = home.install("cursor")
    assert done.code == 2
    assert "plugin good needs the variable GREETING, which the client does not set" in done.err
    assert "-v GREETING=VALUE" in done.err
    monkeypatch.setenv("GREETING", "tuttifrutti")
    done = home.install("cursor")
    assert done.code == 2
    assert "-v GREETING   (writes its value into the entry)" in done.err
    assert "tuttifrutti" not in done.err
    assert not file.exists()
    done = home.quickly("cursor", "--name", "other")
    assert done.code == 0
    assert "warning: plugin good needs the variable GREETING" in done.err
    done = home.install("cursor", "-v", "GREETING", "--json")
    assert done.code == 0, done.err
    assert done.json["tools"] > 1
    assert servers("cursor", file)["mcp-host"]["env"]["GREETING"] == "tuttifrutti"
    # The entry has it now.
    assert home.install("cursor").code == 0


def test_the_entry_gets_the_paths_of_modules_and_no_other_variable(
    home: Home, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.file("cursor")
    monkeypatch.setenv("PYTHONPATH", os.path.relpath(site.folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(home.folder / "data"))
    monkeypatch.setenv("MCP_HOST__PLUGINS__GOOD__PREFIX", "hush_")
    done = home.invoke("install", "cursor")
    assert done.code == 0, done.err
    entry = servers("cursor", file)["My-tools"]
    assert entry["env"] == {"PYTHONPATH": str(site.folder), "XDG_DATA_HOME": str(home.folder / "data")}
    assert "note: the entry sets what is set here: PYTHONPATH, XDG_DATA_HOME" in done.err
    assert "MCP_HOST__PLUGINS__GOOD__PREFIX is set here and changes what is served" in done.err
    assert "-v MCP_HOST__PLUGINS__GOOD__PREFIX adds it" in done.err
    assert "hush_" not in done.out + done.err
    assert "clear text" not in done.err
    monkeypatch.delenv("MCP_HOST__PLUGINS__GOOD__PREFIX")
    assert asyncio.run(call_add(entry)) == {"result": 5}


def test_the_plugins_are_checked_in_the_environment_of_the_client(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only this shell has does not make an entry work."""
    home.file("cursor")
    monkeypatch.setenv("MCP_HOST__PLUGINS__BROKEN__ENABLED", "false")
    home.invoke.config("[plugins.good]\n[plugins.broken]\n")
    done = home.install("cursor")
    assert done.code == 2
    assert "plugin broken: " in done.err
    assert home.install("cursor", "-v", "MCP_HOST__PLUGINS__BROKEN__ENABLED").code == 0


def test_nothing_in_a_cache_gets_into_an_entry(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home.file("cursor")
    for prefix in (home.folder / ".cache/venv", home.folder / "pipx/.cache/4f3a"):
        prefix.mkdir(parents=True)
        monkeypatch.setattr(sys, "prefix", str(prefix))
        for options in ([], ["--no-verify"], ["--no-verify", "--force"]):
            done = home.install("cursor", *options)
            assert done.code == 2
            assert "an entry that starts it would stop working" in done.err
            assert "uv tool install mcp-host" in done.err
    assert not file.exists()


def test_a_dry_run_shows_the_change_without_secrets_and_writes_nothing(home: Home) -> None:
    file = home.file("vscode", '{\n  "servers": {\n    "x": {"env": {"API_KEY": "hush"}}\n  }\n}\n')
    done = home.install("vscode", "--dry-run", "-v", "A=very-secret")
    assert done.code == 0
    assert f"--- {file}" in done.out
    assert '+        "A": "***"' in done.out
    assert '"API_KEY": "***"' in done.out
    assert f'"{home.config}"' in done.out
    assert "very-secret" not in done.out
    assert "hush" not in done.out
    assert done.out.endswith("Nothing was written.\n")
    assert os.listdir(file.parent) == [file.name]
    assert json.loads(home.quickly("vscode", "--dry-run", "--json").out)["diff"].startswith(f"--- {file}")
    assert home.quickly("vscode").code == 0
    after = file.read_bytes()
    assert '-    "My-tools": {' in home.invoke("uninstall", "vscode", "--dry-run").out
    assert "would not change" in home.quickly("vscode", "--dry-run").out
    assert file.read_bytes() == after


def test_json_prints_the_entry_for_any_other_client(home: Home) -> None:
    done = home.install("json", "--name", "demo")
    assert done.code == 0
    entry = json.loads(done.out)["mcpServers"]["demo"]
    assert "Verified: " in done.err
    assert asyncio.run(call_add(entry)) == {"result": 5}
    done = home.invoke("install", "json", "--url", "https://mcp.example/mcp", "--no-verify")
    assert json.loads(done.out) == {"mcpServers": {"My-tools": {"type": "http", "url": "https://mcp.example/mcp"}}}
    assert "is printed, not installed" in home.invoke("uninstall", "json").err


def test_variables_come_from_files_the_environment_and_options_and_options_win(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.file("claude-desktop")
    env = home.folder / "my.env"
    env.write_text('# mine\nexport A="a # b"\nB=from the file\nC=${B}!\n', encoding="utf-8")
    monkeypatch.setenv("FROM_HERE", "here")
    done = home.quickly("claude-desktop", "-f", str(env), "-v", "B=given=so", "-v", "FROM_HERE", "--name", "demo")
    assert done.code == 0, done.err
    assert servers("claude-desktop", file)["demo"]["env"] == {
        "A": "a # b",
        "B": "given=so",
        "C": "from the file!",
        "PYTHONPATH": home.path.partition("=")[2],
        "FROM_HERE": "here",
    }
    # Installed again, it keeps what was given before.
    done = home.invoke("install", "claude-desktop", "-v", "B=2", "--name", "demo", "--no-verify")
    assert "Replaced demo" in done.out
    assert servers("claude-desktop", file)["demo"]["env"]["A"] == "a # b"
    assert servers("claude-desktop", file)["demo"]["env"]["B"] == "2"
    done = home.invoke("uninstall", "claude-desktop")
    assert done.code == 0
    assert not file.exists()
    assert not file.with_name(f"{file.name}.bak").exists()


def test_values_that_stay_in_the_backup_are_named(home: Home) -> None:
    file = home.file("cursor", "{}")
    assert home.quickly("cursor", "-v", "A=1").code == 0
    file.write_text(file.read_text().replace("{", '{"theirs": 1, ', 1))
    done = home.invoke("uninstall", "cursor")
    assert f"{file}.bak still has the values of A, PYTHONPATH" in done.err or "PYTHONPATH, A" in done.err
    assert json.loads(file.read_text()) == {"theirs": 1, "mcpServers": {}}


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["-v", "hush hush"], "a variable is KEY=VALUE"),
        (["-v", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set here"),
        (["-f", "bad.env"], "this is not KEY=VALUE"),
        (["-f", "none.env"], "cannot be read"),
        (["-f", "latin.env"], "not UTF-8"),
        (["--name", "my tools"], "not a name that every client accepts"),
        (["--http"], "the configuration has no URL"),
        (["--url", "http://x/mcp", "-v", "A=b"], "takes no variables"),
        (["--config", "none.toml"], "there is no file"),
    ],
)
def test_invalid_options_are_refused(home: Home, args: list[str], what: str) -> None:
    home.file("cursor")
    (home.folder / "bad.env").write_text("A=1\nB\n", encoding="utf-8")
    (home.folder / "latin.env").write_bytes(b"A=\xff\n")
    done = home.invoke("install", "cursor", "--no-verify", *args)
    assert done.code == 2
    assert what in done.err
    assert "hush" not in done.err
    assert not home.file("cursor").exists()


def test_an_entry_that_is_another_s_is_replaced_only_by_force(home: Home) -> None:
    file = home.file("cursor", '{"mcpServers": {"demo": {"command": "theirs", "args": ["x"], "alwaysAllow": ["y"]}}}')
    before = file.read_bytes()
    done = home.quickly("cursor", "--name", "demo")
    assert done.code == 2
    assert "does not start mcp-host" in done.err
    assert "--force" in done.err
    assert file.read_bytes() == before
    assert home.quickly("cursor", "--name", "demo", "--force").code == 0
    entry = servers("cursor", file)["demo"]
    assert (entry["command"], entry["alwaysAllow"]) == (sys.executable, ["y"])
    # It is ours now, and again of another configuration's.
    assert "already has the entry demo" in home.quickly("cursor", "--name", "demo").out
    other = home.invoke.config("[plugins.good]", "other.toml")
    done = home.quickly("cursor", "--name", "demo", "--config", str(other))
    assert f"it serves {home.config}" in done.err


def test_a_file_that_does_not_parse_is_left_alone(home: Home) -> None:
    file = home.file("gemini-cli", '{\n  "theme": \n}')
    done = home.quickly("gemini-cli")
    assert done.code == 2
    assert f"where: {file}:3:1" in done.err
    assert "not valid JSON" in done.err
    assert file.read_bytes() == b'{\n  "theme": \n}'
    assert os.listdir(file.parent) == [file.name]


def test_a_client_that_is_not_there_is_not_given_a_file(home: Home) -> None:
    done = home.quickly("zed")
    assert done.code == 2
    assert "Zed does not seem to be installed here" in done.err
    assert not (home.folder / ".config/zed").exists()
    elsewhere = home.folder / "preview" / "settings.json"
    done = home.quickly("zed", "--file", str(elsewhere))
    assert done.code == 0
    assert "My-tools" in servers("zed", elsewhere)


def test_a_missing_client_is_an_error_and_a_wrong_one_gets_a_suggestion(home: Home) -> None:
    done = home.invoke("install")
    assert (done.code, "which client? claude-desktop, " in done.err) == (2, True)
    assert "did you mean 'cursor'?" in home.invoke("install", "curser").err
    assert "Claude Desktop has no files for projects" in home.invoke("install", "claude-desktop", "--project").err
    home.file("cursor")
    home.config.unlink()
    assert "there is no mcp-host.toml to serve" in home.invoke("install", "cursor").err


def test_a_string_that_the_client_would_change_is_warned_of(home: Home) -> None:
    home.file("gemini-cli")
    done = home.quickly("gemini-cli", "-v", "PASSWORD=pa$word")
    assert "Gemini CLI replaces what looks like a variable in the value of PASSWORD" in done.err
    assert "pa$word" not in done.err


def test_uninstall_takes_out_only_what_is_ours(home: Home) -> None:
    file = home.file("cursor", '{"mcpServers": {"theirs": {"command": "x"}}}')
    assert "mcp-host's entries in Cursor: none" in home.invoke("uninstall", "cursor").err
    assert "does not start mcp-host" in home.invoke("uninstall", "cursor", "--name", "theirs").err
    assert "did you mean 'theirs'?" in home.invoke("uninstall", "cursor", "--name", "their").err
    assert home.quickly("cursor", "--name", "one").code == 0
    assert home.quickly("cursor", "--name", "two").code == 0
    assert "mcp-host's entries in Cursor: one, two" in home.invoke("uninstall", "cursor").err
    done = home.invoke("uninstall", "cursor", "--name", "one", "--json")
    assert json.loads(done.out) == {
        "client": "cursor",
        "file": str(file),
        "name": "one",
        # The one from before the first entry stays.
        "backup": None,
    }
    assert (file.parent / f"{file.name}.bak").read_bytes() == b'{"mcpServers": {"theirs": {"command": "x"}}}'
    assert list(servers("cursor", file)) == ["theirs", "two"]
    # The configuration is gone: that is a reason to uninstall.
    home.config.unlink()
    assert home.invoke("uninstall", "cursor").code == 0
    assert home.invoke("uninstall", "cursor", "--name", "theirs", "--force").code == 0
    assert servers("cursor", file) == {}


def test_an_entry_of_a_configuration_that_is_gone_is_found_by_its_path(home: Home) -> None:
    file = home.file("cursor")
    gone = home.invoke.config("[plugins.good]", "gone.toml")
    assert home.quickly("cursor", "--name", "one").code == 0
    assert home.quickly("cursor", "--name", "two", "--config", str(gone)).code == 0
    gone.unlink()
    assert home.invoke("uninstall", "cursor", "--config", "gone.toml").code == 0
    assert list(servers("cursor", file)) == ["one"]


def test_the_list_shows_every_client_its_file_and_what_is_installed(home: Home) -> None:
    file = home.file("cursor")
    home.file("zed", "{")
    assert home.quickly("cursor").code == 0
    done = home.invoke("install", "--list")
    assert done.code == 0
    lines = {line.split()[0]: line for line in done.out.splitlines() if line}
    assert set(CLIENTS) <= set(lines)
    assert lines["cursor"].split()[1:] == ["Cursor", "yes", "My-tools", str(file)]
    assert "cannot be read" in lines["zed"]
    assert " no " in lines["codex"]
    listed = {each["client"]: each for each in json.loads(home.invoke("install", "--list", "--json").out)["clients"]}
    assert listed["cursor"]["servers"] == [{"name": "My-tools", "config": str(home.config)}]
    assert listed["cursor"]["sources"]
    assert "not valid JSON" in listed["zed"]["error"]["what"]
    in_project = json.loads(home.invoke("install", "--list", "--project", "--json").out)["clients"]
    assert {each["client"] for each in in_project} == {name for name, client in CLIENTS.items() if client.project}


def test_a_running_server_is_entered_by_its_url(cli: Cli, home: Home) -> None:
    file = home.file("claude-code", "{}")
    cli.config("[plugins.good]", "served.toml")
    with cli.serve("--config", "served.toml") as process:
        port = process.url.rpartition(":")[2].partition("/")[0]
        home.invoke.config(f"[host]\nname = 'demo'\n[transport]\nkind = 'http'\nport = {port}\n[plugins.good]\n")
        done = home.invoke("install", "claude-code", "--http")
        assert done.code == 0, done.err
        assert "Verified: every plugin works" in done.out
        assert servers("claude-code", file)["demo"] == {"type": "http", "url": process.url}
        for client, entry in (
            ("vscode", {"type": "http", "url": process.url}),
            ("codex", {"url": process.url}),
            ("gemini-cli", {"httpUrl": process.url}),
            ("windsurf", {"serverUrl": process.url}),
        ):
            path = home.file(client)
            assert home.invoke("install", client, "--url", process.url, "--no-verify").code == 0
            assert servers(client, path)["demo"] == entry
    assert "already has the entry demo" in home.invoke("install", "claude-code", "--http", "--no-verify").out
    done = home.invoke("install", "claude-code", "--http")
    assert done.code == 2
    assert f"cannot reach {process.url}" in done.err
    home.file("claude-desktop")
    assert "accepts no URL" in home.invoke("install", "claude-desktop", "--http").err
    assert home.invoke("uninstall", "claude-code", "--name", "demo").code == 0
    assert file.read_bytes() == b"{}"


def test_a_server_that_wants_a_token_is_entered_without_one(cli: Cli, home: Home) -> None:
    file = home.file("claude-code", "{}")
    with serving_issuer() as issuer:
        auth = f'[auth]\nissuer = "{issuer.url}"\nresource = "http://127.0.0.1/mcp"\n'
        cli.config(f"[plugins.good]\n{auth}", "served.toml")
        with cli.serve("--config", "served.toml") as process:
            done = home.invoke("install", "claude-code", "--url", process.url, "--json")
            assert done.code == 0, done.err
            assert json.loads(done.out)["tools"] is None
            assert servers("claude-code", file)["My-tools"] == {"type": "http", "url": process.url}
            printed = home.invoke("install", "json", "--url", process.url)
            assert printed.code == 0, printed.err
            assert "The server answers, and wants a token" in printed.err


def test_a_folder_of_the_client_s_choice_is_no_place_to_import_from(home: Home) -> None:
    file = home.file("cursor")
    assert home.quickly("cursor").code == 0
    entry = servers("cursor", file)["My-tools"]
    project = home.folder / "project"
    project.mkdir()
    (project / "statistics.py").write_text("raise SystemExit('imported from the project')\n", encoding="utf-8")
    (project / "mcp_host.py").write_text("raise SystemExit('imported from the project')\n", encoding="utf-8")
    assert asyncio.run(call_add({**entry, "cwd": str(project)})) == {"result": 5}


def test_the_sdk_is_imported_only_to_verify_an_entry(cli: Cli) -> None:
    (cli.folder / ".cursor").mkdir()
    cli.config("[plugins.good]")
    code = (
        "import sys; from mcp_host.__main__ import main; code = main(sys.argv[1:]); "
        "sys.exit(code or int(any(name.partition('.')[0] in ('mcp', 'mcp_types') for name in sys.modules)))"
    )
    for args in (["--list"], ["cursor", "--no-verify"], ["cursor", "--dry-run"]):
        done = subprocess.run(
            [sys.executable, "-c", code, "install", *args],
            cwd=cli.folder,
            env=cli.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
