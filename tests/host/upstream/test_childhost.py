"""A plugin with a process of its own gets a file, a command and variables, and no more than it needs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from mcp_host.config import HostConfig, Limits, PluginSection, load_config, parse_config
from mcp_host.errors import InvalidConfigError
from mcp_host.plugins.discovery import InstalledPlugin
from mcp_host.upstream.childhost import child_command, child_requirements, limited
from support.sites import Site

ROOT = Path(__file__).parents[3]

EVERYTHING = """
    [host]
    data_dir = "data"
    limits.threads = 3
    [plugins.sql]
    isolation = "process"
    object = "server.py:mcp"
    prefix = "db_"
    required = true
    timeout = "9s"
    start = "eager"
    era = "legacy"
    ask = false
    instructions = true
    idle_timeout = "5m"
    middleware = "all"
    cwd = "work"
    env = { TOKEN = { env = "TOKEN" } }
    tools.allow = ["query"]
    resources.deny = ["*"]
    prompts.allow = []
    limits.calls = 7
    limits.failures = 3
    limits.memory = "512MiB"
    limits.cpu_time = "10m"
    [plugins.sql.settings]
    port = 5432
    when = 2026-01-01
    password = { env = "PASSWORD", format = "x{}" }
    names = ["a", { env = "LISTED" }]
    key = { file = "secrets/key" }
    home = { file = "~/key" }
    plain = { env = "A", other = "no reference" }
    [plugins.sql.settings.deep.er]
    token = { env = "DEEP" }
    missing = { env = "MISSING" }
"""

ENVIRON = {
    "PASSWORD": "the password",
    "LISTED": "the listed",
    "DEEP": "the deep",
    "TOKEN": "the token",
    "A": "the a",
    "OTHER": "the other",
}


def config(folder: Path, toml: str) -> HostConfig:
    file = folder / "mcp-host.toml"
    file.write_text(dedent(toml), encoding="utf-8")
    return load_config(file, environ={})


def command(
    folder: Path, toml: str, name: str = "sql", environ: dict[str, str] = ENVIRON
) -> tuple[list[str], dict[str, str]]:
    read = config(folder, toml)
    section = read.plugins[name]
    return child_command(
        name,
        section,
        python=sys.executable,
        folder=folder / "data" / name,
        data_dir=read.data_dir,
        base_dir=read.base_dir,
        environ=environ,
        log_level="warning",
        limits=read.host.limits.overridden(section.limits),
    )


def test_the_child_s_file_has_what_makes_the_plugin_and_nothing_that_its_host_does(tmp_path: Path) -> None:
    command(tmp_path, EVERYTHING)
    written = tomllib.loads((tmp_path / "data/sql/child.toml").read_text(encoding="utf-8"))
    host, sql = written["host"], written["plugins"]["sql"]
    assert (host["name"], host["data_dir"], host["on_error"]) == ("sql", str(tmp_path / "data"), "fail")
    assert (host["log_level"], host["debug"], host["call_timeout"]) == ("warning", False, "none")
    assert set(sql) == {"object", "settings", "limits"}
    assert (sql["object"], host["base_dir"]) == ("server.py:mcp", str(tmp_path))
    assert (sql["limits"]["calls"], sql["limits"]["threads"], sql["limits"]["failures"]) == (7, 3, 0)
    assert set(sql["limits"]).isdisjoint({"memory", "cpu_time"})
    assert sql["settings"] == tomllib.loads(dedent(EVERYTHING))["plugins"]["sql"]["settings"]


def test_the_child_s_file_is_private_and_has_no_secret(tmp_path: Path) -> None:
    command(tmp_path, EVERYTHING)
    file = tmp_path / "data/sql/child.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(value in file.read_text(encoding="utf-8") for value in ENVIRON.values())


def test_only_the_variables_that_the_settings_name_are_returned(tmp_path: Path) -> None:
    argv, variables = command(tmp_path, EVERYTHING)
    assert variables == {name: ENVIRON[name] for name in ("PASSWORD", "LISTED", "DEEP")}
    assert not any(value in " ".join(argv) for value in ENVIRON.values())


def test_the_host_accepts_the_child_s_file(tmp_path: Path) -> None:
    command(tmp_path, EVERYTHING)
    read = load_config(tmp_path / "data/sql/child.toml", environ={})
    assert read.plugins["sql"].source == "object"
    assert read.data_dir / "sql" == tmp_path / "data/sql"
    assert read.base_dir == tmp_path


TOML_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def canonical(settings: dict[str, Any]) -> str:
    """The settings as a text, because 1 == True."""
    return json.dumps(settings, default=repr, sort_keys=True)


@given(st.dictionaries(st.text(), TOML_VALUES, max_size=4))
def test_any_settings_reach_the_child_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-settings"
    section = PluginSection(isolation="process", settings=settings)
    child_command(
        "x", section, python="python", folder=folder, data_dir=folder, base_dir=folder, environ={}, log_level="info"
    )
    read = tomllib.loads((folder / "child.toml").read_bytes().decode())
    assert canonical(read["plugins"]["x"].get("settings", {})) == canonical(settings)


def test_a_colon_in_the_folder_does_not_break_the_object(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    command(folder, '[host]\ndata_dir = "data"\n[plugins.sql]\nisolation = "process"\nobject = "server.py:mcp"')
    child = load_config(folder / "data/sql/child.toml", environ={})
    name = child.plugins["sql"].object
    assert name is not None
    assert (child.base_dir / name.removesuffix(":mcp")).resolve() == folder / "server.py"


async def call(argv: list[str], variables: dict[str, str], folder: Path, tool: str) -> Any:
    env = {"HOME": str(folder), "PATH": os.defpath, **variables}
    parameters = StdioServerParameters(command=argv[0], args=argv[1:], env=env, cwd=folder)
    with (folder / "log").open("w") as log:
        async with Client(stdio_client(parameters, log)) as client:
            result = await client.call_tool(tool, {})
            assert not result.is_error, result.content
            return result.structured_content


PLUGIN = '''
    """A plugin that reports what it sees."""

    import os

    import beside
    from pydantic import BaseModel, SecretStr

    from mcp_host import Context, Plugin


    class Settings(BaseModel):
        password: SecretStr
        key: str


    plugin = Plugin(settings=Settings)


    @plugin.tool
    def look(ctx: Context[Settings]) -> dict[str, object]:
        """Return what this process sees."""
        return {
            "password": ctx.settings.password.get_secret_value(),
            "key": ctx.settings.key,
            "beside": beside.VALUE,
            "variables": sorted(os.environ),
            "pid": os.getpid(),
        }
'''


@pytest.mark.anyio
async def test_a_module_beside_the_toml_is_served_by_a_process_that_sees_only_its_secrets(tmp_path: Path) -> None:
    for name, text in {"ours.py": PLUGIN, "beside.py": "VALUE = 'beside'", "key": "the key\n"}.items():
        (tmp_path / name).write_text(dedent(text), encoding="utf-8")
    toml = """
        [host]
        data_dir = "data"
        [plugins.ours]
        isolation = "process"
        object = "ours:plugin"
        settings.password = { env = "PASSWORD" }
        settings.key = { file = "key" }
    """
    argv, variables = command(tmp_path, toml, "ours")
    seen = await call(limited(argv, Limits()), variables, tmp_path, "look")
    assert (seen["password"], seen["key"], seen["beside"]) == ("the password", "the key", "beside")
    assert set(seen["variables"]).isdisjoint(set(ENVIRON) - {"PASSWORD"})
    assert seen["pid"] != os.getpid()


def test_a_file_in_the_working_directory_does_not_replace_a_module_of_python(tmp_path: Path) -> None:
    (tmp_path / "asyncio.py").write_text("raise SystemExit('replaced')", encoding="utf-8")
    argv, variables = command(tmp_path, '[host]\ndata_dir = "data"\n[plugins.gone]\nisolation = "process"', "gone")
    # The plugin is not installed, so this ends by itself.
    done = subprocess.run(argv, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert "plugin 'gone' is not installed" in done.stderr
    assert "replaced" not in done.stderr


def test_what_this_process_finds_through_its_variable_is_found_in_its_own_environment_only(tmp_path: Path) -> None:
    table = '[host]\ndata_dir = "data"\n[plugins.sql]\nisolation = "process"\n'
    environ = {"PYTHONPATH": f"{tmp_path}{os.pathsep}other"}
    assert command(tmp_path, table, environ=environ)[1] == {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}/other"}
    assert command(tmp_path, f'{table}requirements = ["x"]', environ=environ)[1] == {}
    assert command(tmp_path, f'{table}python = "python3"', environ=environ)[1] == {}


def section(*requirements: str) -> PluginSection:
    return PluginSection(isolation="process", requirements=list(requirements))


def test_the_environment_has_the_same_host_and_the_same_plugin(site: Site, tmp_path: Path) -> None:
    site.plugin("tiny", version="1.5")
    (installed,) = [each for each in site.discover() if each.name == "tiny"]
    assert child_requirements(section("idna<3"), installed, base_dir=tmp_path) == [
        "idna<3", f"-e {ROOT}", "mcp-plugin-tiny==1.5"
    ]  # fmt: skip
    assert child_requirements(section(), None, base_dir=tmp_path) == [f"-e {ROOT}"]


def test_a_distribution_that_the_table_requires_is_not_added(site: Site, tmp_path: Path) -> None:
    site.plugin("tiny")
    (installed,) = [each for each in site.discover() if each.name == "tiny"]
    project = tmp_path / "tiny"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "MCP_Plugin.tiny"', encoding="utf-8")
    for own in ("mcp_plugin.Tiny==2", "./tiny", "-e ./tiny"):
        stated = section(own, "MCP_Host>=0")
        assert child_requirements(stated, installed, base_dir=tmp_path) == [own, "MCP_Host>=0"]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "mcp-plugin-tiny==1.0"),
        ({"url": "https://x/y.whl", "archive_info": {}}, "mcp-plugin-tiny @ https://x/y.whl"),
        (
            {"url": "https://x/y", "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "main"}},
            "mcp-plugin-tiny @ git+https://x/y@main",
        ),
        ({"url": "file:///there/is/none", "dir_info": {}}, "mcp-plugin-tiny==1.0"),
        ({"url": ROOT.as_uri(), "dir_info": {}}, str(ROOT)),
        ({"url": ROOT.as_uri(), "dir_info": {"editable": True}}, f"-e {ROOT}"),
    ],
)
def test_the_plugin_comes_from_where_it_was_installed_from(
    site: Site, tmp_path: Path, origin: dict[str, Any] | None, expected: str
) -> None:
    site.plugin("tiny")
    if origin is not None:
        (info,) = site.folder.glob("mcp_plugin_tiny-*.dist-info")
        (info / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
    installed = InstalledPlugin("tiny", "mcp_plugin_tiny:plugin", "mcp-plugin-tiny", "1.0")
    assert child_requirements(section("mcp-host"), installed, base_dir=tmp_path) == ["mcp-host", expected]


@pytest.mark.parametrize(
    ("written", "size"),
    [('"512MiB"', 2**29), ('"1.5 GiB"', 3 * 2**29), ('"500MB"', 5 * 10**8), ("100_000_000", 10**8), ('"none"', None)],
)
def test_memory_is_a_number_of_bytes_or_a_text_with_a_unit(written: str, size: int | None) -> None:
    read = parse_config(f'[plugins.a]\ncommand = "x"\nlimits.memory = {written}\n[host.limits]\nmemory = "1GiB"')
    assert read.host.limits.overridden(read.plugins["a"].limits).memory == size


@pytest.mark.parametrize(
    "written", ['"512"', '"1TiB"', '"1Mib"', "512", "true", "1.5", '"-1MiB"', "99999999999999999999"]
)
def test_another_memory_is_refused(written: str) -> None:
    with pytest.raises(InvalidConfigError, match=r"'memory' must be"):
        parse_config(f'[plugins.a]\ncommand = "x"\nlimits.memory = {written}')


@pytest.mark.parametrize("table", ["", 'object = "m:o"', 'url = "https://x"'])
@pytest.mark.parametrize("limit", ['memory = "1GiB"', "cpu_time = 9"])
def test_the_limits_of_a_process_do_not_fit_a_plugin_without_one(table: str, limit: str) -> None:
    with pytest.raises(InvalidConfigError) as raised:
        parse_config(f"[plugins.a]\n{table}\nlimits.{limit}")
    assert f"limits.{limit.partition(' ')[0]} does not fit this plugin" in str(raised.value)
    assert "it is for `command` and for `isolation`" in str(raised.value)
    parse_config(f"[plugins.a]\n{table}\n[host.limits]\n{limit}")  # a default, which applies where it can
