"""What `mcp-host add` writes for servers that are no plugins."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from mcp_host.config import parse_config
from mcp_host.errors import HostError, Problem
from mcp_host.manage.add import report_loaded
from mcp_host.manage.addserver import Added, Given, ServerAdder, ServerSpec
from mcp_host.manage.configedit import add_plugin
from mcp_host.manage.distributions import Loaded
from mcp_host.manage.downloads import Downloads
from mcp_host.manage.editedfile import EditedFile
from mcp_host.manage.environment import downloader
from mcp_host.manage.importing.tables import Table
from mcp_host.manage.servermetadata import Distribution, look_up
from mcp_host.plugins.records import PluginRecord
from mcp_host.plugins.requirements import Installed
from support.index import serving
from support.sites import build_wheel

Add = Callable[..., Added | str]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Add a spec to a file in an empty folder, whose wheels are the index. What is written loads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mcp-host.toml").write_text("[plugins.taken]\n")
    (tmp_path / "wheels").mkdir()

    def fetch(requirement: str, folder: Path) -> None:
        wanted = Requirement(requirement)
        wheels = [(parse_wheel_filename(file.name), file) for file in (tmp_path / "wheels").iterdir()]
        found = [
            (version, file)
            for (name, version, _, _), file in wheels
            if name == canonicalize_name(wanted.name) and version in wanted.specifier
        ]
        with zipfile.ZipFile(max(found)[1]) as archive:
            archive.extractall(folder)

    for name in ("mcp-server-git", "mcp-atlassian", "duckduckgo-mcp-server", "srv", "x", "taken"):
        files, scripts = {"m.py": "import mcp\n"}, {name: "m:main"}
        build_wheel(tmp_path / "wheels", name, files, version="0.11", scripts=scripts, requires=["mcp>=1"])

    def added(
        text: str,
        *arguments: str,
        name: str | None = None,
        prefix: bool = False,
        variables: Sequence[str] = (),
        headers: Sequence[str] = (),
    ) -> Added | str:
        file = EditedFile.find(tmp_path / "mcp-host.toml")
        spec = ServerSpec.parse(text)
        assert spec is not None
        given = Given.parse(arguments, variables, headers)
        adder = ServerAdder(file, given, fetch, lambda url: "login" in url, prefix)
        result = adder.added(spec, name)
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
            {"command": ["uvx", "srv", "--api-key", {"env": "SRV_API_KEY"}]},
        ),
        (
            "https://h.example/mcp?api_key=hunter22",
            [],
            "h",
            {"url": {"env": "H_API_KEY", "format": "https://h.example/mcp?api_key={}"}},
        ),
        ("https://login.example/mcp", [], "login", {"url": "https://login.example/mcp", "auth": "oauth"}),
        ("uvx:git+https://h/x", [], "x", {"command": ["uvx", "git+https://h/x"]}),
        ("uvx:srv@latest", [], "srv", {"command": ["uvx", "srv@latest"]}),
    ],
)  # fmt: skip
def test_a_server_of_another_kind_becomes_a_table(
    add: Add, text: str, arguments: list[str], name: str, values: dict[str, Any]
) -> None:
    assert server(add, text, *arguments) == (name, values)
    assert server(add, text, *arguments, name="mine")[0] == "mine"


def test_a_server_gets_the_variables_that_the_command_line_names(add: Add) -> None:
    result = add("npx:mcp", "--fast", variables=["MODE=quick", "API_KEY", "SHOP_TOKEN=hunter22", "EMPTY="])
    assert isinstance(result, Added)
    assert result.table.values["command"] == ["npx", "-y", "mcp", "--fast"]
    assert result.table.values["env"] == {
        "MODE": "quick",
        "SHOP_TOKEN": {"env": "MCP_SHOP_TOKEN"},
        "EMPTY": "",
        "API_KEY": {"env": "API_KEY"},
    }
    assert {each.name for each in result.table.variables} == {"API_KEY", "MCP_SHOP_TOKEN"}


def test_a_url_gets_the_headers_that_the_command_line_names(add: Add) -> None:
    headers = ["X-Tenant: acme", "Authorization: Bearer hunter22hunter22"]
    result = add("https://login.example/mcp", headers=headers)
    assert isinstance(result, Added)
    assert result.table.values == {
        "url": "https://login.example/mcp",
        "headers": {
            "X-Tenant": "acme",
            "Authorization": {"env": "LOGIN_AUTHORIZATION", "format": "Bearer {}"},
        },
    }
    assert "auth" in server(add, "https://login.example/mcp", name="other")[1]


@pytest.mark.parametrize(
    ("text", "given", "what", "hint"),
    [
        ("https://x.example/mcp", {"variables": ["A=b"]}, "takes no variables", "remove --env-var"),
        ("npx:mcp", {"headers": ["A: b"]}, "takes no headers", "remove --header"),
        ("server.py", {"variables": ["A"]}, "takes no variables", "remove --env-var"),
        ("npx:mcp", {"variables": ["A B=hunter22"]}, "not NAME=VALUE", "--env-var API_KEY"),
        ("npx:mcp", {"variables": ["=hunter22"]}, "not NAME=VALUE", "--env-var API_KEY"),
        ("https://x.example/mcp", {"headers": ["hunter22"]}, "not NAME: VALUE", "--header"),
        ("https://x.example/mcp", {"headers": ["X: hunter22\r\nY: z"]}, "not NAME: VALUE", "--header"),
    ],
)
def test_what_a_server_cannot_get_is_refused_without_its_value(
    add: Add, text: str, given: dict[str, Any], what: str, hint: str
) -> None:
    with pytest.raises(HostError) as caught:
        add(text, **given)
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert "hunter22" not in str(caught.value)


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


@pytest.mark.parametrize(
    "source",
    ["from mcp.server.fastmcp import FastMCP\n", "server = Server('x')\n\n@server.list_tools()\nasync def f(): ...\n"],
)
def test_old_code_gets_an_old_mcp_though_it_allows_any(add: Add, tmp_path: Path, source: str) -> None:
    build_wheel(tmp_path / "wheels", "lax", {"lax.py": source}, requires=["mcp>=1"], scripts={"lax": "lax:main"})
    result = add("pypi:lax")
    assert isinstance(result, Added)
    assert result.table.values == {"command": ["lax"], "requirements": ["lax==1.0", "mcp<2"]}
    assert "is written for mcp 1" in result.notes[0]


@pytest.mark.parametrize(
    ("requires", "source", "command"),
    [
        (["mcp>=1"], "from mcp.server.fastmcp import FastMCP\n", ["uvx", "--with", "mcp<2", "lax"]),
        (["mcp"], "from mcp.server.fastmcp import FastMCP\n", ["uvx", "--with", "mcp<2", "lax"]),
        (["mcp>=1,<2"], "from mcp.server.fastmcp import FastMCP\n", ["uvx", "lax"]),
        (["mcp~=1.9"], "from mcp.server.fastmcp import FastMCP\n", ["uvx", "lax"]),
        (["mcp==1.*"], "from mcp.server.fastmcp import FastMCP\n", ["uvx", "lax"]),
        (["mcp>=2"], "from mcp.server import MCPServer\n", ["uvx", "lax"]),
    ],
)
def test_uvx_is_kept_from_an_mcp_that_a_server_cannot_use(
    add: Add, tmp_path: Path, requires: list[str], source: str, command: list[str]
) -> None:
    build_wheel(tmp_path / "wheels", "lax", {"lax.py": source}, requires=requires, scripts={"lax": "lax:main"})
    assert server(add, "uvx:lax")[1] == {"command": command}


def test_uvx_runs_a_program_with_another_name(add: Add, tmp_path: Path) -> None:
    build_wheel(tmp_path / "wheels", "odd", {"odd.py": ""}, requires=["mcp"], scripts={"run-odd": "odd:main"})
    assert server(add, "uvx:odd", "--x")[1] == {"command": ["uvx", "--from", "odd", "run-odd", "--x"]}


@pytest.mark.parametrize("text", ["uvx:srv", "npx:srv", "https://srv.example/mcp", "srv.py", "pypi:srv"])
def test_the_names_of_a_server_begin_with_its_own(add: Add, tmp_path: Path, text: str) -> None:
    (tmp_path / "srv.py").write_text("mcp = MCPServer('x')\n")
    result = add(text, prefix=True)
    assert isinstance(result, Added)
    assert result.table.values["prefix"] == "srv_"
    assert "prefix" not in server(add, text)[1]


@pytest.mark.parametrize(
    ("requires", "source"),
    [
        (["mcp<2"], "from mcp.server.fastmcp import FastMCP\n"),
        (["mcp>=1"], "from mcp.server.fastmcp import FastMCP\n"),
        (["mcp<2"], ""),
    ],
)
def test_a_plugin_for_mcp_1_is_run_by_its_entry_point(
    add: Add, tmp_path: Path, requires: list[str], source: str
) -> None:
    files = {"old.py": source}
    build_wheel(tmp_path / "wheels", "mcp-plugin-old", files, plugins={"old": "old:a.mcp"}, requires=requires)
    assert server(add, "pypi:mcp-plugin-old") == (
        "plugin-old",
        {
            "command": ["python", "-c", "import old as server; server.a.mcp.run()"],
            "requirements": ["mcp-plugin-old==1.0", *(["mcp<2"] if requires == ["mcp>=1"] else [])],
        },
    )
    build_wheel(
        tmp_path / "wheels",
        "mcp-plugin-old",
        files,
        version="2.0",
        plugins={"old": "old:mcp"},
        scripts={"old": "old:main"},
        requires=requires,
    )
    assert server(add, "pypi:mcp-plugin-old")[1]["command"] == ["old"]


def test_a_plugin_is_installed_unless_it_cannot_live_here(add: Add, tmp_path: Path) -> None:
    files = {"p.py": "plugin = None\n"}
    build_wheel(tmp_path / "wheels", "mcp-plugin-fits", files, plugins={"fits": "p:plugin"}, requires=["mcp-host"])
    assert add("pypi:mcp-plugin-fits") == "mcp-plugin-fits"
    assert add("pypi:mcp-plugin-fits>=1") == "mcp-plugin-fits==1.0"
    # A name without a range would mean the plugin mcp-plugin-other.
    build_wheel(tmp_path / "wheels", "other", files, plugins={"other": "p:plugin"}, requires=["mcp-host"])
    assert add("pypi:other") == "other==1.0"
    with pytest.raises(HostError, match="is a plugin: its name is its own"):
        add("pypi:mcp-plugin-fits", name="x")
    build_wheel(tmp_path / "wheels", "mcp-plugin-odd", files, plugins={"odd": "p:plugin"}, requires=["mcp==2.99"])
    assert server(add, "pypi:mcp-plugin-odd") == (
        "odd",
        {"isolation": "process", "requirements": ["mcp-plugin-odd==1.0"]},
    )
    build_wheel(tmp_path / "wheels", "mcp-plugin-no", files, plugins={"no": "p:plugin"}, requires=["pydantic<2"])
    with pytest.raises(HostError, match="no environment can have with mcp-host: it needs pydantic<2"):
        add("pypi:mcp-plugin-no")


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


def test_the_metadata_is_read_from_what_pip_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "kept").mkdir()
    built = build_wheel(
        tmp_path / "index", "lax", {"lax.py": ""}, version="1.5", requires=["mcp<2"], scripts={"lax-run": "lax:main"}
    )
    with serving(tmp_path / "index") as index:
        for key, value in index.environ().items():
            monkeypatch.setenv(key, value)
        # Without uv, which may be on PATH.
        found = look_up("lax", Downloads(downloader({"PATH": ""}), tmp_path / "kept").fetch)
    assert (found.installed.label, found.scripts, found.caps_sdk) == ("lax 1.5", ("lax-run",), True)
    assert found.file is not None
    assert (found.file.name, found.file.sha256) == (built.name, hashlib.sha256(built.read_bytes()).hexdigest())


def test_distributions_are_downloaded_with_uv_or_pip() -> None:
    assert downloader({"UV": "/bin/uv"}) == ("/bin/uv",)
    assert downloader({"PATH": ""}) == (sys.executable, "-P", "-m", "pip")


def test_a_server_that_does_not_start_is_shown_with_the_variables_that_it_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    what = "the server did not start: its process ended with status 1: KeyError: 'WEATHER_API_KEY' (see A_URL, HTTP)"
    record = PluginRecord(name="weather", problem=Problem(what))
    table = Table({"command": ["x"], "env": {"A_URL": "b"}})
    report_loaded(Loaded([record], {}), [Added("weather", table)])
    shown = capsys.readouterr().err
    assert shown.endswith(
        'weather may want variables. In [plugins.weather]:\n  env.WEATHER_API_KEY = { env = "WEATHER_API_KEY" }\n'
    )
    report_loaded(Loaded([record], {}), [Added("weather", Table({"url": "https://h/mcp"}))])
    assert "may want" not in capsys.readouterr().err
