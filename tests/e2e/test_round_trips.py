"""`remove`, `uninstall`, `disable` and `sync` undo what `add`, `install` and `enable` did, byte for byte."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_host.manage.clients.clientconfig import Machine, load_clients
from mcp_host.manage.configedit import disable_plugin, enable_plugin, remove_plugin, set_requires

if TYPE_CHECKING:
    from support.invoking import Invoke

CLIENTS = load_clients()

TEXTS = {
    "json": ["{}", '{\n  "a": 1\n}\n', '{"mcpServers": {}}', '{\n\t"mcpServers": {\n\t\t"x": {"command": "x"}\n\t}\n}'],
    "jsonc": ["{}", "", "// only this\n{\n}\n", '{\n  // none yet\n  "mcpServers": {\n    // none\n  },\n}\n', "{ }"],
    "toml": ["", "# only this\n", "a = 1", '[mcp_servers.x]\ncommand = "x" # mine\n\n# the end\n', "[mcp_servers]\n"],
}


def client_file(invoke: Invoke, client: str, text: str | None) -> Path:
    path, _ = Machine({"HOME": str(invoke.folder)}, sys.platform, invoke.folder).locate(CLIENTS[client])
    path.parent.mkdir(parents=True, exist_ok=True)
    (invoke.folder / ".claude").mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.bak").unlink(missing_ok=True)
    if text is not None:
        path.write_bytes(text.replace("mcpServers", CLIENTS[client].key).encode())
    return path


@pytest.fixture
def alone(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return invoke


@pytest.mark.parametrize("client", CLIENTS)
def test_uninstall_undoes_every_install(client: str, alone: Invoke) -> None:
    alone.config("[plugins.good]\n")
    alone.config("import this\n", "server.py")
    quick = ("--no-verify",)
    for text in (None, *TEXTS[CLIENTS[client].format]):
        path = client_file(alone, client, text)
        before = path.read_bytes() if path.exists() else None

        def after(path: Path = path) -> bytes | None:
            return path.read_bytes() if path.exists() else None

        # An entry of the configuration, and one of a Python file.
        for what in ([], ["server.py"]):
            assert alone("install", client, *what, *quick).code == 0
            assert after() != before
            assert alone("uninstall", client, *what).code == 0
            assert after() == before, (text, what)
        # An entry that was installed again, with more.
        assert alone("install", client, *quick).code == 0
        assert alone("install", client, *quick, "-v", "A=1", "-v", "B=2").code == 0
        assert alone("uninstall", client).code == 0
        assert after() == before, text
        # Two entries, removed in both orders.
        for first, second in (("one", "two"), ("two", "one")):
            for name in ("one", "two"):
                assert alone("install", client, "--name", name, *quick).code == 0
            assert alone("uninstall", client, "--name", first).code == 0
            assert alone("uninstall", client, "--name", second).code == 0
            assert after() == before, (text, first)


def test_an_entry_of_a_python_file_that_is_gone_is_uninstalled(alone: Invoke) -> None:
    path = client_file(alone, "cursor", "{}")
    alone.config("[plugins.good]\n")
    for name in ("one.py", "two.py"):
        alone.config("mcp = None\n", name)
        assert alone("install", "cursor", f"{name}:mcp", "--no-verify").code == 0
    (alone.folder / "one.py").unlink()
    assert alone("uninstall", "cursor", "one.py:mcp").code == 0
    assert "two.py:mcp" in path.read_text()
    assert "one.py" not in path.read_text()


CONFIGS = [
    "",
    "# mine\n",
    "[host]\nname = 'x' # mine\n",
    "[host]\n# about it\n[plugins.a] # why\nsettings.b = 1\n# the end",
    "[host.limits]\ncalls = 3\n",
    "# mine\n\n[host.limits]\ncalls = 3\n\n[plugins.a]\n",
    "host.name = 'x'\n",
    "host = { name = 'x' }",
    "[host]\nrequires = ['other>=1'] # pinned\n\n[plugins.a]\n",
    "[plugins]\na = { prefix = 'x' } # inline\n",
    "[plugins.a]\r\nprefix = 'x'\r\n",
    "[transport]\nkind = 'http'\n\n# [plugins.other]\n# settings.x = 1\n",
]


@pytest.mark.parametrize("text", CONFIGS)
def test_removing_what_was_added_restores_every_byte(text: str) -> None:
    requires = ["other>=1"] if "other>=1" in text else []
    added = set_requires(enable_plugin(text, "new"), [*requires, "mcp-plugin-new"])
    assert added != text
    removed, _ = remove_plugin(added, "new")
    assert set_requires(removed, requires) == text


@pytest.mark.parametrize("text", CONFIGS)
def test_disabling_what_was_enabled_restores_every_byte(text: str) -> None:
    disabled = disable_plugin(enable_plugin(text, "new"), "new")
    assert disable_plugin(enable_plugin(disabled, "new"), "new") == disabled
    assert enable_plugin(disabled, "new") == enable_plugin(text, "new")


@pytest.mark.parametrize("text", CONFIGS)
@pytest.mark.parametrize(
    "what", [["http://127.0.0.1:9/mcp", "--name", "new"], ["./server.py", "--name", "new"]], ids=lambda x: x[0]
)
def test_removing_a_server_restores_every_byte(text: str, what: list[str], alone: Invoke) -> None:
    alone.config("from mcp.server.mcpserver import MCPServer\nmcp = MCPServer('x')\n", "server.py")
    path = alone.folder / "mcp-host.toml"
    path.write_bytes(text.replace("'other>=1'", "").encode())
    before = path.read_bytes()
    # Nothing answers at the URL, which its table does not depend on.
    assert alone("add", *what).code == (1 if what[0].startswith("http") else 0)
    assert path.read_bytes() != before
    assert alone("remove", "new").code == 0
    assert path.read_bytes() == before
