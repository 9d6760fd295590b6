"""`mcp-host import`: real files of clients in a temporary home, and the host in their place."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from mcp_host.manage.clients import jsonc
from mcp_host.manage.clients.clientconfig import Machine, load_clients
from support.terminals import screen

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli

CLIENTS = load_clients(others=True)
SECRET = "hunter2-hunter2"

SERVER = """
import os
import re
from mcp.server import MCPServer
mcp = MCPServer("secretive")

@mcp.tool()
def whoami() -> str:
    return os.environ["SECRETIVE_TOKEN"]

mcp.run()
"""


def servers(key: str, value: str, **more: Any) -> str:
    """A client's file with one server, whose variable has the value."""
    entry = {"command": "srv", "args": ["a"], "env": {"SECRETIVE_TOKEN": value}, **more}
    return json.dumps({key: {"secretive": entry}}, indent=2)


FILES = {
    "claude-desktop": servers("mcpServers", SECRET),
    "claude-code": servers("mcpServers", SECRET, type="stdio")[:-2]
    + ',"numStartups":3,"projects":{"/p":{"mcpServers":{"in-p":{"command":"srv"}}}}}',
    "cursor": f"""// mine
{{"mcpServers": {{"secretive": {{"command": "srv a", "env": {{"SECRETIVE_TOKEN": "{SECRET}"}},}},}},}}
""",
    "vscode": '{"inputs": [{"id": "secretive-token", "type": "promptString", "password": true}],'
    + servers("servers", "${input:secretive-token}", type="stdio")[1:],
    "codex": f"""model = "m"

[mcp_servers.secretive]
command = "srv"
args = ["a"]

[mcp_servers.secretive.env]
SECRETIVE_TOKEN = "{SECRET}"
""",
    "gemini-cli": servers("mcpServers", "$SECRETIVE_TOKEN"),
    "windsurf": servers("mcpServers", "${env:SECRETIVE_TOKEN}"),
    "devin": servers("mcpServers", SECRET),
    "zed": servers("context_servers", SECRET),
    "cline": servers("mcpServers", SECRET, autoApprove=[]),
    "roo": servers("mcpServers", SECRET, alwaysAllow=[]),
    "amazon-q": servers("mcpServers", SECRET),
    "lm-studio": servers("mcpServers", SECRET),
    "copilot": servers("mcpServers", SECRET, type="local", tools=["*"]),
    "opencode": json.dumps(
        {
            "mcp": {
                "secretive": {
                    "type": "local",
                    "command": ["srv", "a"],
                    "environment": {"SECRETIVE_TOKEN": "{env:SECRETIVE_TOKEN}"},
                }
            }
        }
    ),
    "goose": """
# my extensions
extensions:
  # the built-in one
  developer: {type: builtin, name: developer, enabled: true}
  secretive:
    type: stdio
    cmd: srv
    args: [a]
    env_keys: [SECRETIVE_TOKEN]
""",
}


@pytest.fixture
def home(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "SECRETIVE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return invoke


def client_file(folder: Path, client: str, text: str | None = None) -> Path:
    """Write a client's file in a home."""
    machine = Machine({"HOME": str(folder)}, sys.platform, folder)
    path, _ = machine.locate(CLIENTS[client])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((FILES[client] if text is None else text).replace('SECRET"', f'{SECRET}"'), encoding="utf-8")
    return path


def written(folder: Path) -> dict[str, Any]:
    text = (folder / "mcp-host.toml").read_text(encoding="utf-8")
    assert SECRET not in text
    tables: dict[str, Any] = tomllib.loads(text)["plugins"]
    return tables


def test_every_client_has_a_case() -> None:
    assert list(FILES) == list(CLIENTS)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_servers_of_each_client_are_imported_without_their_secrets(client: str, home: Invoke) -> None:
    path = client_file(home.folder, client)
    before = path.read_bytes()
    done = home("import", client)
    assert done.code == (1 if client == "goose" else 0), done.err  # its built-in part has no form
    assert written(home.folder)["secretive"] == {
        "command": ["srv", "a"],
        "env": {"SECRETIVE_TOKEN": {"env": "SECRETIVE_TOKEN"}},
        "prefix": "secretive_",
    }
    assert "SECRETIVE_TOKEN  secretive" in done.out
    assert str(path) in done.out
    assert SECRET not in done.out + done.err
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name] or path.parent == home.folder
    # A second time, everything is there already.
    toml = (home.folder / "mcp-host.toml").read_bytes()
    assert "[plugins.secretive] is the same server." in home("import", client).out
    assert (home.folder / "mcp-host.toml").read_bytes() == toml


def entries_of(path: Path, client: str) -> Any:
    """Return the entries of a client's file, in the form that most clients have."""
    text = path.read_text(encoding="utf-8")
    data = yaml.safe_load(text) if client == "goose" else tomllib.loads(text) if client == "codex" else jsonc.read(text)
    entries = data[CLIENTS[client].key]
    for entry in entries.values():
        if client == "opencode":
            assert (entry["type"], entry.get("enabled", True)) == ("local", True)
            entry["command"], *entry["args"] = entry["command"]
            entry["env"] = entry["environment"]
        elif client == "goose" and "cmd" in entry:
            assert entry["type"] == "stdio"
            entry["command"] = entry["cmd"]
            entry["env"] = dict.fromkeys(entry["env_keys"], "from the client's keyring")
    if client == "goose":
        assert entries.pop("developer")["type"] == "builtin"
    return entries


@pytest.mark.parametrize("client", CLIENTS)
def test_the_host_takes_the_place_of_the_servers_and_a_copy_is_kept(client: str, home: Invoke) -> None:
    path = client_file(home.folder, client)
    path.chmod(0o640)
    before = path.read_bytes()
    shown = home("import", client, "--replace", "--dry-run")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name] or path.parent == home.folder
    assert SECRET not in shown.out + shown.err
    assert f"--- {path}\n+++ {path}\n" in shown.out
    assert re.search(r"^-.*secretive", shown.out, re.MULTILINE)
    assert re.search(r"^\+.*mcp_host", shown.out, re.MULTILINE)
    done = home("import", client, "--replace")
    assert done.code == (1 if client == "goose" else 0), done.err
    assert SECRET not in done.out + done.err
    copy = path.with_name(f"{path.name}.before-import")
    assert copy.read_bytes() == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    entries = entries_of(path, client)
    (name,) = entries
    assert entries[name]["command"] == sys.executable
    assert entries[name]["args"][-1] == str(home.folder / "mcp-host.toml")
    # The value stays in the file where it was, and a reference of the client stays one.
    (value,) = entries_of(copy, client)["secretive"]["env"].values()
    assert entries[name]["env"] == {"SECRETIVE_TOKEN": value}
    assert CLIENTS[client].after in done.out
    # What else was there stays.
    for text in ("// mine", "numStartups", "inputs", 'model = "m"', "# my extensions", "# the built-in one"):
        assert (text in before.decode()) == (text in path.read_text())
    assert home("import", client).out.startswith("Nothing is imported.\nLeft out: ")
    # A second time, nothing changes.
    after = path.read_bytes()
    again = home("import", client, "--replace")
    assert "Put mcp-host in" not in again.out
    assert path.read_bytes() == after
    assert sum("before-import" in each for each in os.listdir(path.parent)) == 1


def test_servers_that_were_imported_before_can_still_be_replaced_with_their_values(home: Invoke) -> None:
    path = client_file(home.folder, "cursor")
    assert home("import", "cursor").code == 0
    assert home("import", "cursor", "--replace").code == 0
    (entry,) = entries_of(path, "cursor").values()
    assert entry["env"] == {"SECRETIVE_TOKEN": SECRET}
    # Another server later: the first copy is not overwritten, and the host's entry keeps its values.
    text = path.read_text().replace(
        '"mcpServers": {', '"mcpServers": {"more": {"command": "x", "env": {"A_KEY": "SECRET"}},'
    )
    client_file(home.folder, "cursor", text)
    assert home("import", "cursor", "--replace").code == 0
    (entry,) = entries_of(path, "cursor").values()
    assert entry["env"] == {"SECRETIVE_TOKEN": SECRET, "MORE_A_KEY": SECRET}
    assert sorted(each.name for each in path.parent.glob("*.before-import*")) == [
        "mcp.json.before-import",
        "mcp.json.before-import-2",
    ]


FLOW = "extensions: {secretive: {type: stdio, cmd: srv, args: [a], env_keys: [SECRETIVE_TOKEN]}}\n"


def test_a_yaml_file_that_is_not_written_line_by_line_is_left_with_what_to_do(home: Invoke) -> None:
    path = client_file(home.folder, "goose", FLOW)
    done = home("import", "goose", "--replace")
    assert done.code == 2
    assert "the file is not changed: its servers are not written line by line" in done.err
    assert "hint:  take secretive out, and put in" in done.err
    assert path.read_text() == FLOW
    assert "secretive" in written(home.folder)


def test_variables_that_the_client_passes_on_are_passed_on_to_the_host(home: Invoke) -> None:
    text = '[mcp_servers.one]\ncommand = "a"\nenv_vars = ["ONE_TOKEN"]\n'
    path = client_file(home.folder, "codex", text)
    assert home("import", "codex", "--replace").code == 0
    (entry,) = entries_of(path, "codex").values()
    assert entry["env_vars"] == ["ONE_TOKEN"]
    path.write_text(path.read_text() + '\n[mcp_servers.two]\ncommand = "b"\nenv_vars = ["TWO_TOKEN"]\n')
    assert home("import", "codex", "--replace").code == 0
    (entry,) = entries_of(path, "codex").values()
    assert entry["env_vars"] == ["ONE_TOKEN", "TWO_TOKEN"]


def test_variables_that_the_client_does_not_pass_on_are_named(home: Invoke) -> None:
    (home.folder / ".env").write_text("A_TOKEN=hunter22\n")
    client_file(home.folder, "cursor", '{"mcpServers": {"s": {"command": "x", "envFile": "${userHome}/.env"}}}')
    done = home("import", "cursor", "--replace")
    assert "It does not have A_TOKEN, whose values are not in the file" in done.out


def test_a_diff_has_no_secret_of_any_form(home: Invoke) -> None:
    entry = {
        "command": "srv",
        "args": ["--api-key=x1", "postgres://me:pa5@h/db", "it's \"q\\u00fc"],
        "env": {"A_KEY": "x2", "T": "ghp_0123456789abcdefgh", "J": '{"token": "z9\\""}'},
        "alwaysAllow": ["x"],
        "auth": {"clientSecret": "hunter22"},
    }
    remote = {"url": "https://me:pa6@h.invalid/mcp?key=k7", "headers": {"Authorization": "Bearer b8"}}
    client_file(home.folder, "cursor", json.dumps({"mcpServers": {"s": entry, "r": remote}}, indent=2))
    shown = home("import", "cursor", "--replace", "--dry-run").out
    for secret in ("x1", "x2", "pa5", "pa6", "k7", "b8", "z9", "ghp_", "hunter22"):
        assert secret not in shown
    assert '-        "--api-key=***",' in shown


def test_nothing_is_replaced_if_one_file_cannot_be(home: Invoke) -> None:
    paths = [client_file(home.folder, "cursor"), client_file(home.folder, "goose", FLOW)]
    before = [path.read_bytes() for path in paths]
    assert home("import", "--yes", "--replace").code == 2
    assert [path.read_bytes() for path in paths] == before


def test_a_file_whose_servers_have_no_form_is_left_alone(home: Invoke) -> None:
    path = client_file(home.folder, "cursor", '{"mcpServers": {"x": {"type": "sse", "url": "u"}}}')
    before = path.read_bytes()
    done = home("import", "cursor", "--replace")
    assert (done.code, done.out) == (1, "Nothing is imported.\n")
    assert path.read_bytes() == before
    assert not (home.folder / "mcp-host.toml").exists()


def test_another_server_with_the_name_of_the_host_is_not_overwritten(home: Invoke) -> None:
    home.config("[host]\nname = 'x'\n")
    path = client_file(
        home.folder, "cursor", '{"mcpServers": {"x": {"type": "sse", "url": "u"}, "y": {"command": "y"}}}'
    )
    before = path.read_bytes()
    done = home("import", "cursor", "--replace")
    assert done.code == 2
    assert "there is already another server 'x'" in done.err
    assert path.read_bytes() == before


async def call(entry: dict[str, Any]) -> Any:
    parameters = StdioServerParameters(command=entry["command"], args=entry["args"], env=entry.get("env"), cwd="/")
    changed = asyncio.Event()

    async def notice(message: object) -> None:
        changed.set()

    with open(os.devnull, "w", encoding="utf-8") as log:
        async with Client(stdio_client(parameters, log), mode="legacy", message_handler=notice) as client:
            # A server that takes long for its first start is announced later.
            while not (await client.list_tools()).tools:
                await changed.wait()
                changed.clear()
            return (await client.call_tool("secretive_whoami", {})).structured_content


def test_the_client_s_new_entry_serves_the_server_with_its_secret(home: Invoke) -> None:
    script = home.folder / "server.py"
    script.write_text(SERVER)
    entry = {"command": sys.executable, "args": [str(script)], "env": {"SECRETIVE_TOKEN": SECRET}}
    path = client_file(home.folder, "cursor", json.dumps({"mcpServers": {"secretive": entry}}))
    assert home("import", "cursor", "--replace").code == 0
    assert SECRET not in (home.folder / "mcp-host.toml").read_text()
    (entry,) = entries_of(path, "cursor").values()
    assert asyncio.run(call(entry)) == {"result": SECRET}


def test_a_secret_in_the_arguments_reaches_the_server(home: Invoke) -> None:
    script = home.folder / "server.py"
    script.write_text(SERVER.replace('os.environ["SECRETIVE_TOKEN"]', "repr(__import__('sys').argv[1:])"))
    secret = 'it\'s $HOME `x` "y"'
    entry = {"command": sys.executable, "args": [str(script), "a b", f"--api-key={SECRET}", "--token", secret]}
    path = client_file(home.folder, "cursor", json.dumps({"mcpServers": {"secretive": entry}}))
    assert home("import", "cursor", "--replace").code == 0
    assert secret not in (home.folder / "mcp-host.toml").read_text()
    (entry,) = entries_of(path, "cursor").values()
    assert asyncio.run(call(entry)) == {"result": repr(["a b", f"--api-key={SECRET}", "--token", secret])}


# --- Choosing --------------------------------------------------------------------------------------------------------


def test_without_a_terminal_the_clients_are_shown_and_one_must_be_named(home: Invoke) -> None:
    client_file(home.folder, "cursor")
    client_file(home.folder, "goose")
    done = home("import")
    assert done.code == 2
    assert "Cursor  secretive" in done.out
    assert "Goose   developer, secretive" in done.out
    assert "hint:  mcp-host import CLIENT, or --yes for all" in done.err
    assert not (home.folder / "mcp-host.toml").exists()


def test_all_clients_are_imported_with_yes_and_equal_servers_once(home: Invoke) -> None:
    for client in ("cursor", "zed", "claude-code"):
        client_file(home.folder, client)
    (home.folder / ".mcp.json").write_text(
        '{"mcpServers": {"here": {"command": "srv"}, "secretive": {"command": "z"}}}'
    )
    done = home("import", "--yes")
    assert done.code == 0, done.err
    tables = written(home.folder)
    assert list(tables) == ["secretive", "in-p", "here", "secretive-claude-code"]
    assert tables["in-p"] == {"command": ["srv"], "cwd": "/p", "prefix": "in_p_"}
    assert done.out.count("is the same server") == 2


def test_one_server_can_be_chosen(home: Invoke) -> None:
    client_file(home.folder, "goose")
    assert home("import", "goose", "--server", "secretive", "--no-prefix").code == 0
    assert "prefix" not in written(home.folder)["secretive"]
    done = home("import", "goose", "-s", "secretiv")
    assert done.code == 2
    assert "there is no server 'secretiv' (did you mean 'secretive'?)" in done.err


def test_dry_run_shows_everything_and_changes_nothing(home: Invoke) -> None:
    path = client_file(home.folder, "cursor")
    done = home("import", "cursor", "--dry-run", "--replace")
    assert done.code == 0
    assert '+env.SECRETIVE_TOKEN = { env = "SECRETIVE_TOKEN" }' in done.out
    assert f"Would take secretive out of {path} and put mcp-host in:\n" in done.out
    assert '"SECRETIVE_TOKEN": "***"' in done.out
    assert SECRET not in done.out
    assert os.listdir(path.parent) == ["mcp.json"]
    assert not (home.folder / "mcp-host.toml").exists()


def test_as_json_everything_is_data(home: Invoke) -> None:
    path = client_file(home.folder, "goose")
    done = home("import", "goose", "--json")
    assert done.code == 1
    assert done.json["imported"] == [
        {
            "plugin": "secretive",
            "entry": "secretive",
            "client": "goose",
            "file": str(path),
            "key": "extensions.secretive",
            "table": written(home.folder)["secretive"],
            "notes": [],
            "dropped": [],
        }
    ]
    assert [each["entry"] for each in done.json["refused"]] == ["developer"]
    assert done.json["variables"] == [
        {
            "name": "SECRETIVE_TOKEN",
            "plugins": ["secretive"],
            "set": False,
            "where": [{"file": str(path), "key": "extensions.secretive.env.SECRETIVE_TOKEN"}],
        }
    ]
    done = home("import", "goose", "--json", "--config", "other.toml")
    assert done.code == 2


def test_files_and_names_that_are_not_there_are_refused(home: Invoke) -> None:
    for asked, message in (
        ("curser", "'curser' is no client and no file (did you mean 'cursor'?)"),
        ("./nowhere.json", "'./nowhere.json' is not a file"),
        ("cursor", "Cursor has no file here"),
    ):
        done = home("import", asked)
        assert done.code == 2
        assert message in done.err
    assert "no client here has MCP servers" in home("import").err
    home.config("{", "broken.json")
    assert f"where: {home.folder / 'broken.json'}:1:2" in home("import", "broken.json").err
    home.config("a: [", "broken.yaml")
    assert "the file is not valid YAML" in home("import", "broken.yaml").err
    home.config("{}", "empty.json")
    assert "the file has no MCP servers" in home("import", "empty.json").err


def test_a_file_that_cannot_be_read_does_not_hide_the_others(home: Invoke) -> None:
    client_file(home.folder, "cursor")
    client_file(home.folder, "zed", "{")
    done = home("import", "--yes")
    assert done.code == 1
    assert "the file is not valid JSON" in done.err
    assert list(written(home.folder)) == ["secretive"]


def test_what_is_there_stays_byte_for_byte(home: Invoke) -> None:
    before = "# mine\n[host]\nname = 'x' # short\n\n[plugins.good] # why\nsettings.greeting = 'Hi'\n"
    path = home.config(before)
    client_file(home.folder, "cursor")
    assert home("import", "cursor").code == 0
    assert path.read_text().startswith(before)
    assert "mcp-host.toml" not in home("import", "cursor", "--dry-run").out.partition("Left out")[0]


def test_at_a_terminal_the_command_asks_what_to_import_and_whether_to_replace(cli: Cli) -> None:
    cli.folder.mkdir(exist_ok=True)
    kept = client_file(cli.folder, "zed")
    path = client_file(cli.folder, "cursor")
    before = kept.read_bytes()
    with screen(cli, "import", columns=200, env={"HOME": str(cli.folder)}) as shown:
        shown.until("Import from which? Numbers, all, or none [all]: ")
        shown.type("7\n")
        shown.until("1 to 2, such as: 1 2")
        shown.type("1\n")
        shown.until("put mcp-host in? A copy of the file is kept. [y/N]: ")
        shown.type("y\n")
        assert shown.wait() == 0
    assert SECRET not in shown.shown
    assert path.with_name("mcp.json.before-import").exists()
    assert kept.read_bytes() == before
    assert list(written(cli.folder)) == ["secretive"]
