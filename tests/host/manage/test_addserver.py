"""What `mcp-host add` writes for servers that are no plugins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcp_host.config import parse_config
from mcp_host.errors import HostError
from mcp_host.manage.addserver import Added, Distribution, ServerAdder, ServerSpec
from mcp_host.manage.configedit import add_plugin
from mcp_host.manage.editedfile import EditedFile
from mcp_host.manage.environment import into_folder
from mcp_host.plugins.requirements import Installed
from support.sites import build_wheel

Add = Callable[..., Added | str]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Add a spec to a file in an empty folder, whose wheels are the index. What is written loads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mcp-host.toml").write_text("[plugins.taken]\n")
    (tmp_path / "wheels").mkdir()

    def fetch(requirement: str, folder: Path) -> None:
        # Without uv, which may be on PATH: its options are others.
        command = into_folder(requirement, folder, {"PATH": ""})
        options = ["--no-index", "--find-links", str(tmp_path / "wheels"), "--quiet"]
        subprocess.run([*command.arguments, *options], check=True, capture_output=True)

    def added(text: str, *arguments: str, name: str | None = None) -> Added | str:
        file = EditedFile.find(tmp_path / "mcp-host.toml")
        spec = ServerSpec.parse(text)
        assert spec is not None
        result = ServerAdder(file, arguments, fetch).added(spec, name)
        if isinstance(result, Added):
            parse_config(add_plugin("", result.name, result.table.values), source=file.path, environ={})
        return result

    return added


def server(add: Add, text: str, *arguments: str, name: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return the name and the table of a server."""
    result = add(text, *arguments, name=name)
    assert isinstance(result, Added)
    return result.name, result.table.values


@pytest.mark.parametrize(
    ("text", "arguments", "name", "values"),
    [
        ("uvx:mcp-server-git", ["--path", "."], "git", {"command": ["uvx", "mcp-server-git", "--path", "."]}),
        ("uvx:mcp-atlassian@0.11", [], "atlassian", {"command": ["uvx", "mcp-atlassian@0.11"]}),
        ("uvx:duckduckgo-mcp-server", [], "duckduckgo", {"command": ["uvx", "duckduckgo-mcp-server"]}),
        (
            "npx:@modelcontextprotocol/server-everything",
            [],
            "everything",
            {"command": ["npx", "-y", "@modelcontextprotocol/server-everything"]},
        ),
        ("npx:@playwright/mcp@latest", [], "playwright", {"command": ["npx", "-y", "@playwright/mcp@latest"]}),
        ("npx:mcp", [], "mcp", {"command": ["npx", "-y", "mcp"]}),
        ("npx:firecrawl-mcp@1.2", [], "firecrawl", {"command": ["npx", "-y", "firecrawl-mcp@1.2"]}),
        ("https://mcp.linear.app/mcp", [], "linear", {"url": "https://mcp.linear.app/mcp"}),
        ("http://localhost:8000/mcp", [], "localhost", {"url": "http://localhost:8000/mcp"}),
        (
            "uvx:srv",
            ["--api-key", "hunter22"],
            "srv",
            {
                "command": ["sh", "-c", 'exec uvx srv --api-key "$SRV_API_KEY"'],
                "env": {"SRV_API_KEY": {"env": "SRV_API_KEY"}},
            },
        ),
    ],
)  # fmt: skip
def test_a_server_of_another_kind_becomes_a_table(
    add: Add, text: str, arguments: list[str], name: str, values: dict[str, Any]
) -> None:
    assert server(add, text, *arguments) == (name, values)
    assert server(add, text, *arguments, name="mine")[0] == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "mcp-plugin-stats",
        "mcp-plugin-stats>=1",
        "./folder",
        "x.whl",
        "https://h/x-1.0-py3-none-any.whl",
        "git+https://h/x",
    ],
)
def test_what_pip_takes_is_no_server(text: str) -> None:
    assert ServerSpec.parse(text) is None


@pytest.mark.parametrize(
    ("text", "arguments", "name", "message"),
    [
        ("uvx:taken", [], None, "there is already a plugin 'taken' in the file"),
        ("uvx:x", [], "a b", "'a b' is not a plugin's name"),
        ("https://h/mcp", ["x"], None, "takes no arguments"),
        ("https://h/mcp?token=abcdef", [], None, "its URL has a secret"),
        ("uvx:mcp-host", ["run"], None, "this is mcp-host itself"),
        ("nowhere.py", [], None, "the file cannot be read: No such file"),
        ("pypi:a b", [], None, ""),
        ("pypi:=1", [], None, "is not a distribution's name"),
    ],
)
def test_what_cannot_be_added_is_refused(
    add: Add, text: str, arguments: list[str], name: str | None, message: str
) -> None:
    if text == "pypi:a b":
        assert ServerSpec.parse(text) is None
        return
    with pytest.raises(HostError, match=message):
        add(text, *arguments, name=name)


# --- Files


FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "a server": ("from mcp.server import MCPServer\nweather = MCPServer('x')\n", {"object": "a/srv.py:weather"}),
    "an annotated one": ("import m\nthing: m.FastMCP = m.FastMCP('x')\n", {"object": "a/srv.py:thing"}),
    "the usual one of several": ("a = Server('x')\nmcp = Server('y')\n", {"object": "a/srv.py:mcp"}),
    "a factory": ("def create(x: int) -> Server[None]: ...\n", {"object": "a/srv.py:create"}),
    "mcp 1": (
        "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('x')\nif __name__ == '__main__':\n    mcp.run()\n",
        {"command": ["python", "a/srv.py"], "requirements": ["mcp<2"]},
    ),
    "mcp 1, not run by itself": (
        "import mcp.server.fastmcp\nmcp = mcp.server.fastmcp.FastMCP('x')\n",
        {"command": ["mcp", "run", "a/srv.py"], "requirements": ["mcp[cli]<2"]},
    ),
    "mcp 1 with its own dependencies": (
        '# /// script\n# dependencies = ["mcp==1.30", "httpx"]\n# ///\n'
        "from mcp.server.fastmcp import FastMCP\nFastMCP('x').run()\n",
        {"command": ["python", "a/srv.py"], "requirements": ["mcp==1.30", "httpx"]},
    ),
    "dependencies that are not here": (
        '# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "no-such-thing>=1",\n# ]\n# ///\n'
        "mcp = FastMCP('x')\nmcp.run()\n",
        {"command": ["python", "a/srv.py"], "requirements": ["no-such-thing>=1"]},
    ),
    "dependencies that are here": (
        '# /// script\n# dependencies = ["pydantic"]\n# ///\nmcp = MCPServer("x")\nmcp.run()\n',
        {"object": "a/srv.py:mcp"},
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_becomes_an_object_or_a_process(add: Add, tmp_path: Path, case: str) -> None:
    source, values = FILES[case]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "srv.py").write_text(source)
    assert server(add, "a/srv.py") == ("srv", values)


def test_the_object_of_a_file_can_be_named(add: Add, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("one = Server('x')\ntwo = Server('y')\nx = other()\n")
    with pytest.raises(HostError, match="has several servers: one, two"):
        add("server.py")
    assert server(add, "server.py:two", name="two") == ("two", {"object": "server.py:two"})
    (tmp_path / "server.py").write_text("x = 1\n")
    with pytest.raises(HostError, match="has no server that can be seen"):
        add("server.py")
    (tmp_path / "server.py").write_text("def\n")
    with pytest.raises(HostError, match="is not valid Python"):
        add("server.py")


def test_a_file_elsewhere_is_named_with_its_whole_path(add: Add, tmp_path: Path) -> None:
    other = tmp_path.parent / f"{tmp_path.name}-other.py"
    other.write_text("mcp = Server('x')\n")
    assert server(add, str(other))[1] == {"object": f"{other.as_posix()}:mcp"}


# --- Distributions


def test_a_distribution_without_a_plugin_gets_a_process_of_its_own(add: Add, tmp_path: Path) -> None:
    build_wheel(
        tmp_path / "wheels",
        "mcp-server-old",
        {"old.py": "def main(): ...\n"},
        version="1.5",
        requires=["mcp<2", "httpx"],
        scripts={"mcp-server-old": "old:main"},
    )
    result = add("pypi:mcp-server-old", "--fast")
    assert isinstance(result, Added)
    assert (result.name, result.table.values) == (
        "old",
        {"command": ["mcp-server-old", "--fast"], "requirements": ["mcp-server-old==1.5"]},
    )
    (note,) = result.notes
    assert note.startswith("mcp-server-old 1.5 is a server and no plugin, and needs mcp<2, and mcp 2.")
    assert server(add, "pypi:mcp-server-old==1.5", name="x")[0] == "x"
    assert server(add, "pypi:mcp-server-old@1.5")[1]["requirements"] == ["mcp-server-old==1.5"]


def test_a_plugin_is_installed_unless_it_cannot_live_here(add: Add, tmp_path: Path) -> None:
    files = {"p.py": "plugin = None\n"}
    build_wheel(tmp_path / "wheels", "mcp-plugin-fits", files, plugins={"fits": "p:plugin"}, requires=["mcp-host"])
    assert add("pypi:mcp-plugin-fits") == "mcp-plugin-fits"
    assert add("pypi:mcp-plugin-fits>=1") == "mcp-plugin-fits==1.0"
    with pytest.raises(HostError, match="is a plugin: its name is its own"):
        add("pypi:mcp-plugin-fits", name="x")
    build_wheel(tmp_path / "wheels", "mcp-plugin-odd", files, plugins={"odd": "p:plugin"}, requires=["pydantic<2"])
    assert server(add, "pypi:mcp-plugin-odd") == (
        "odd",
        {"isolation": "process", "requirements": ["mcp-plugin-odd==1.0"]},
    )


def found(scripts: tuple[str, ...], modules: tuple[str, ...] = ()) -> Distribution:
    return Distribution(Installed("mcp-thing", "1.0"), scripts, modules)


def test_the_program_of_a_distribution_is_the_one_with_its_name() -> None:
    assert found(("run-it",)).program() == ["run-it"]
    assert found(("mcp_thing", "thing-admin", "thing-mcp")).program() == ["mcp_thing"]
    assert found(("thing", "thing-mcp")).program() == ["thing-mcp"]
    assert found((), ("mcp_thing",)).program() == ["python", "-m", "mcp_thing"]
    with pytest.raises(HostError, match="has several programs: a, b"):
        found(("a", "b")).program()
    with pytest.raises(HostError, match="is no plugin and has no program"):
        found(()).program()


def test_the_metadata_is_read_with_uv_or_pip(tmp_path: Path) -> None:
    assert into_folder("x", tmp_path, {"UV": "/bin/uv"}).arguments == (
        "/bin/uv", "pip", "install", "--python", sys.executable, "--no-deps", "--target", str(tmp_path), "x",
    )  # fmt: skip
    assert into_folder("x", tmp_path, {"PATH": ""}).arguments[:5] == (sys.executable, "-P", "-m", "pip", "install")
