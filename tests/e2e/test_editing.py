"""`enable`, `disable`, `add`, `remove` and `sync`: in this process, and in real environments of each kind."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from support.processes import Done
from support.sites import GOOD, build_wheel

if TYPE_CHECKING:
    from support.invoking import Invoke

ROOT = Path(__file__).parents[2]
LONGEST = 120.0
"""Seconds after which a test stops waiting for a command and fails."""

# --- enable and disable


def test_enabling_and_disabling_change_one_line_and_import_nothing(invoke: Invoke) -> None:
    path = invoke.config("# mine\n[plugins.good] # why\nsettings.greeting = 'Hi'\n\n[plugins.frail]\n")
    before = path.read_text()
    done = invoke("enable", "broken")  # whose module raises when it is imported
    assert (done.code, done.err) == (0, "")
    assert done.out == "Enabled broken.\nNext: mcp-host check\n"
    assert path.read_text() == before + "\n[plugins.broken]\n"
    done = invoke("disable", "broken", "good")
    assert done.out == "Disabled broken.\nDisabled good.\n"
    assert path.read_text() == before.replace("# why\n", "# why\nenabled = false\n") + (
        "\n[plugins.broken]\nenabled = false\n"
    )  # fmt: skip
    assert invoke("disable", "good").out == "good is not enabled.\n"
    assert invoke("enable", "good", "frail").out.startswith("Enabled good.\nfrail is already enabled.\n")
    assert invoke("disable", "vault").out == "vault is not enabled.\n"  # installed, not in the file
    assert path.read_text() == before + "\n[plugins.broken]\nenabled = false\n"


def test_enabling_without_a_file_writes_one(invoke: Invoke) -> None:
    done = invoke("enable", "good")
    assert done.out.startswith("Wrote mcp-host.toml.\nEnabled good.\n")
    config = tomllib.loads((invoke.folder / "mcp-host.toml").read_text())
    assert config["plugins"] == {"good": {}}
    assert invoke("check").code == 0
    assert invoke("enable", "vault").code == 0
    text = (invoke.folder / "mcp-host.toml").read_text()
    assert "# [plugins.vault]" not in text  # the comment became the table
    assert "# [plugins.noisy]" in text


def test_disabling_without_a_file_is_an_error(invoke: Invoke) -> None:
    done = invoke("disable", "good")
    assert done.code == 2
    assert "there is no mcp-host.toml here" in done.err
    assert list(invoke.folder.glob("*.toml")) == []


def test_a_plugin_that_cannot_be_enabled_is_named_with_a_hint_and_nothing_is_changed(invoke: Invoke) -> None:
    path = invoke.config("[plugins.good]\n")
    done = invoke("enable", "vualt", "nowhere", "future", "frail")
    assert done.code == 2
    assert "plugin 'vualt' is not installed (did you mean 'vault'?)" in done.err
    assert "hint:  mcp-host enable vault\n" in done.err
    assert "hint:  mcp-host add nowhere\n" in done.err
    assert "mcp-plugin-future 1.0 needs mcp-host>=99" in done.err
    assert path.read_text() == "[plugins.good]\n"
    done = invoke("disable", "goood")
    assert done.code == 2
    assert "there is no plugin 'goood' (did you mean 'good'?)" in done.err


def test_the_name_of_a_distribution_enables_its_plugins(invoke: Invoke) -> None:
    path = invoke.config("")
    assert invoke("enable", "MCP_plugin.good").out.startswith("Enabled good.\n")
    assert path.read_text() == "[plugins.good]\n"


def test_an_object_needs_no_entry_point_to_be_enabled(invoke: Invoke) -> None:
    path = invoke.config('[plugins.odd]\nobject = "nowhere.at.all:mcp"\nenabled = false\n')
    assert invoke("enable", "odd").code == 0
    assert path.read_text() == '[plugins.odd]\nobject = "nowhere.at.all:mcp"\n'


def test_dry_run_shows_a_diff_without_secrets_and_changes_nothing(invoke: Invoke) -> None:
    path = invoke.config("[plugins.vault]\nsettings.token = 'hunter2'\n")
    before = path.read_text()
    for command in (["disable", "vault"], ["enable", "good"], ["remove", "vault"]):
        done = invoke(*command, "--dry-run")
        assert done.code == 0
        assert "--- mcp-host.toml\n+++ mcp-host.toml\n@@" in done.out
        assert "hunter2" not in done.out + invoke(*command, "--dry-run", "--json").out
        assert path.read_text() == before
    assert "+enabled = false\n" in invoke("disable", "vault", "--dry-run").out


def test_as_json_the_change_is_data(invoke: Invoke) -> None:
    path = invoke.config("[plugins.good]\n")
    assert invoke("disable", "good", "--json").json == {
        "config": str(path),
        "dry_run": False,
        "changed": True,
        "diff": "--- mcp-host.toml\n+++ mcp-host.toml\n@@ -1 +1,2 @@\n [plugins.good]\n+enabled = false",
        "plugins": ["good"],
    }
    assert invoke("disable", "good", "--json").json["changed"] is False


def test_a_file_that_does_not_load_is_left_alone(invoke: Invoke) -> None:
    path = invoke.config("[plugins.good]\nprefx = 1\n")
    for command in (["enable", "vault"], ["disable", "good"], ["remove", "good"], ["add", "x"], ["sync"]):
        done = invoke(*command)
        assert done.code == 2
        assert "unknown key 'prefx' (did you mean 'prefix'?)" in done.err
        assert "a file that does not load is not changed" in done.err
    assert path.read_text() == "[plugins.good]\nprefx = 1\n"


def test_the_file_is_found_as_by_the_other_commands(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    here, asked = invoke.config("[plugins.good]\n"), invoke.config("[plugins.good]\n", "other.toml")
    assert invoke("disable", "good", "--config", "other.toml").code == 0
    assert "enabled = false" in asked.read_text()
    monkeypatch.setenv("MCP_HOST_CONFIG", str(asked))
    assert invoke("enable", "good").code == 0
    assert "enabled" not in asked.read_text() + here.read_text()


def test_what_cannot_be_installed_is_refused_before_anything_is_done(invoke: Invoke) -> None:
    done = invoke("add", "./nowhere", "a b")
    assert done.code == 2
    assert "does not exist" in done.err
    assert "'a b' is not something that can be installed" in done.err
    assert "there is nothing to add" in invoke("add").err
    assert list(invoke.folder.glob("*.toml")) == []
    invoke.config('[host]\nrequires = ["a", "-r x"]\n')
    done = invoke("sync")
    assert "where: " + str(invoke.folder / "mcp-host.toml") + ":2: host.requires[1]" in done.err


def test_adding_can_be_tried_without_installing(invoke: Invoke) -> None:
    path = invoke.config('[host]\nrequires = [\n  "mcp-plugin-x>=1", # x\n]\n')
    done = invoke("add", "mcp-plugin-x>=2", "good", "--dry-run")
    assert '-  "mcp-plugin-x>=1", # x\n' in done.out
    assert '"mcp-plugin-x>=2", # x\n' in done.out
    assert '"mcp-plugin-good",\n' in done.out  # the distribution that the installed plugin comes from
    assert f"in {sys.prefix},\n" in done.out
    assert invoke("add", "mcp-plugin-x", "--dry-run", "--json").json["changed"] is False
    assert ">=1" in path.read_text()


def test_removing_names_what_is_unknown_and_keeps_what_is_needed(invoke: Invoke) -> None:
    invoke.config('[host]\nrequires = ["mcp-plugin-gone"]\n\n[plugins.good]\n')
    done = invoke("remove", "godo", "mcp-plugin-gnoe")
    assert done.code == 2
    assert "called 'godo' (did you mean 'good'?)" in done.err
    assert "(did you mean 'mcp-plugin-gone'?)" in done.err
    assert invoke("remove", "mcp-plugin-gone").out == "Removed mcp-plugin-gone from [host] requires in mcp-host.toml.\n"
    assert (invoke.folder / "mcp-host.toml").read_text() == "[plugins.good]\n"


def test_sync_lists_what_is_missing(invoke: Invoke) -> None:
    path = invoke.config('[host]\nrequires = ["mcp-plugin-good>=1", "mcp-plugin-gone", "mcp-plugin-vault>=3"]\n')
    done = invoke("sync", "--check")
    assert done.code == 1
    assert done.out == (
        "missing: mcp-plugin-gone (not installed)\n"
        "missing: mcp-plugin-vault>=3 (1.0 is installed)\n"
        "mcp-host sync installs it.\n"
    )
    done = invoke("sync", "--check", "--json")
    assert (done.code, done.json["requires"][:2]) == (
        1,
        [
            {"requirement": "mcp-plugin-good>=1", "missing": None},
            {"requirement": "mcp-plugin-gone", "missing": "not installed"},
        ],
    )
    invoke.config('[host]\nrequires = ["mcp-plugin-good"]\n')
    done = invoke("sync")
    assert (done.code, done.out) == (0, "All of [host] requires in mcp-host.toml is installed.\n")
    invoke.config("[plugins.good]\n[plugins.gone]\n")
    done = invoke("sync", "--check")
    assert done.code == 1
    assert f"where: {path}:2: plugins.gone\n  hint:  mcp-host add gone\n" in done.err


def test_what_has_an_environment_of_its_own_is_not_missing(invoke: Invoke) -> None:
    invoke.config("[plugins.gone]\nisolation = 'process'\nrequirements = ['mcp-plugin-gone']\n")
    assert invoke("sync", "--check").code == 0
    invoke.config("[plugins.gone]\nisolation = 'process'\n")
    assert invoke("sync", "--check").code == 1


# --- add, remove and sync, in environments of each kind

KINDS = ("uv tool", "pipx", "uv", "venv")


@dataclass(frozen=True)
class World:
    """An environment with mcp-host in it, and folders to work in."""

    kind: str
    prefix: Path
    env: dict[str, str]
    folder: Path = field(default_factory=Path)

    @property
    def scripts(self) -> Path:
        return self.prefix / ("Scripts" if os.name == "nt" else "bin")

    def __call__(self, *args: str | Path, **env: str) -> Done:
        done = subprocess.run(
            [self.scripts / "mcp-host", *args], cwd=self.folder, env={**self.env, **env}, capture_output=True,
            stdin=subprocess.DEVNULL, encoding="utf-8", timeout=LONGEST, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def has(self, distribution: str) -> bool:
        return any(self.prefix.glob(f"**/{distribution.replace('-', '_')}-*.dist-info"))

    def text(self) -> str:
        return (self.folder / "mcp-host.toml").read_text(encoding="utf-8")

    def tool(self, *args: str | Path) -> None:
        subprocess.run(list(args), env=self.env, check=True, capture_output=True, cwd=self.folder)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment with uv and pipx, from the index."""
    prefix = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    scripts = prefix / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(scripts / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "uv", "pipx"], check=True, capture_output=True)
    return scripts


def _settings(tools: Path, home: Path) -> dict[str, str]:
    """An environment where nothing of the user's is changed, with how the user's pip and uv reach the index."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MCP_", "VIRTUAL_ENV", "PYTHON"))}
    for variable, file in (("PIP_CONFIG_FILE", "pip/pip.conf"), ("UV_CONFIG_FILE", "uv/uv.toml")):
        own = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / file
        if own.is_file():
            env.setdefault(variable, str(own))
    env.setdefault("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
    env.setdefault("UV_CACHE_DIR", subprocess.check_output([tools / "uv", "cache", "dir"], text=True).strip())
    # Constraints of who runs the tests are not for what the tests install.
    for variable in ("PIP_CONSTRAINT", "UV", "UV_CONSTRAINT"):
        env.pop(variable, None)
    return {
        **env,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "PATH": os.pathsep.join([str(tools), env["PATH"]]),
        "UV_TOOL_DIR": str(home / "uv-tools"),
        "UV_TOOL_BIN_DIR": str(home / "bin"),
        "UV_PYTHON": sys.executable,
        "PIPX_HOME": str(home / "pipx"),
        "PIPX_BIN_DIR": str(home / "bin"),
        "PIPX_MAN_DIR": str(home / "man"),
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="module")
def worlds(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """The environments that were made so far, by kind."""
    return {}


def _make(kind: str, tools: Path, home: Path) -> World:
    env = _settings(tools, home)

    def tool(*args: str | Path) -> None:
        done = subprocess.run(args, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    # Measured as this process is, when it is.
    coverage = f"coverage=={version('coverage')}"
    if kind == "uv tool":
        tool(tools / "uv", "tool", "install", "--editable", ROOT, "--with", coverage)
        return World(kind, home / "uv-tools" / "mcp-host", env)
    if kind == "pipx":
        tool(tools / "pipx", "install", "--editable", ROOT, "--python", sys.executable)
        world = World(kind, home / "pipx" / "venvs" / "mcp-host", env)
        tool(tools / "pipx", "inject", "mcp-host", coverage)
        return world
    world = World(kind, home / ".venv", env)
    if kind == "uv":
        tool(tools / "uv", "venv", world.prefix)
    else:
        tool(sys.executable, "-m", "venv", world.prefix)
    # Whoever installs mcp-host itself does not matter, and uv is quick.
    tool(tools / "uv", "pip", "install", "--python", world.scripts / "python", "--editable", ROOT, coverage)
    return world


def _world(
    kind: str, worlds: dict[str, World], tools: Path, factory: pytest.TempPathFactory, folder: Path
) -> Iterator[World]:
    if kind not in worlds:
        worlds[kind] = _make(kind, tools, factory.mktemp("home"))
    world = World(kind, worlds[kind].prefix, worlds[kind].env, folder)
    before = set(world.prefix.glob("**/mcp_plugin_*.dist-info"))
    yield world
    left = {path.name.partition("-")[0] for path in set(world.prefix.glob("**/mcp_plugin_*.dist-info")) - before}
    if left:
        world.tool(tools / "uv", "pip", "uninstall", "--python", world.scripts / "python", *left)


@pytest.fixture(params=KINDS)
def each_world(
    request: pytest.FixtureRequest, worlds: dict[str, World], tools: Path,
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path,
) -> Iterator[World]:  # fmt: skip
    """An environment of each kind, without plugins, and an empty folder."""
    yield from _world(request.param, worlds, tools, tmp_path_factory, tmp_path)


@pytest.fixture
def pipx_world(
    worlds: dict[str, World], tools: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Iterator[World]:
    """An environment that pipx made, without plugins, and an empty folder."""
    yield from _world("pipx", worlds, tools, tmp_path_factory, tmp_path)


@pytest.fixture
def world(
    worlds: dict[str, World], tools: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Iterator[World]:
    """An environment that `uv tool` made, without plugins, and an empty folder."""
    yield from _world("uv tool", worlds, tools, tmp_path_factory, tmp_path)


def wheel(folder: Path, name: str, source: str = GOOD, **details: Any) -> Path:
    """Build `mcp-plugin-NAME`, whose plugin is NAME."""
    plugins = details.pop("plugins", {name: f"mcp_plugin_{name}:plugin"})
    folder.mkdir(exist_ok=True)
    files = {f"mcp_plugin_{name}/__init__.py": dedent(source)}
    return build_wheel(folder, f"mcp-plugin-{name}", files, plugins=plugins, **details)


@pytest.mark.network
def test_add_installs_and_enables_and_remove_undoes_it(each_world: World) -> None:
    world = each_world
    built = wheel(world.folder / "wheels", "tiny")
    done = world("add", f"./wheels/{built.name}", "--json")
    assert done.code == 0, done.err
    installer = {"uv tool": "uv", "venv": "pip"}.get(world.kind, world.kind)
    assert f"  file:      {built.name}\n" in done.err
    assert done.err.endswith(f"Installing ./wheels/{built.name} with {installer} ...\nLoading tiny ...\n")
    assert done.json["environment"] == {"kind": world.kind, "prefix": str(world.prefix), "installer": installer}
    assert done.json["installed"] == [
        {"distribution": "mcp-plugin-tiny", "version": "1.0", "before": None, "asked": True}
    ]  # fmt: skip
    (record,) = done.json["plugins"]
    assert (record["stage"], record["contributed"]["tools"]) == ("serving", ["add"])
    config = tomllib.loads(world.text())
    assert config["plugins"] == {"tiny": {}}
    assert config["host"]["requires"] == [f"./wheels/{built.name}"]
    assert world("sync", "--check").code == 0

    done = world("remove", "tiny")
    assert done.code == 0, done.err
    assert "Removed tiny from mcp-host.toml:\n\n    [plugins.tiny]\n" in done.out
    assert "Uninstalled mcp-plugin-tiny.\n" in done.out
    assert not world.has("mcp-plugin-tiny")
    assert "tiny" not in world.text()
    assert list(world.folder.glob("*.bak")) == []  # nothing handwritten was in it


@pytest.mark.network
def test_a_plugin_for_another_host_is_refused_and_the_host_stays(each_world: World) -> None:
    world = each_world
    built = wheel(world.folder, "late", requires=["mcp-host>=99"])
    done = world("add", f"./{built.name}")
    assert done.code == 2
    assert "mcp-plugin-late 1.0 needs mcp-host>=99, and mcp-host " in done.err
    assert "or add another version of mcp-plugin-late" in done.err
    assert not world.has("mcp-plugin-late")
    assert list(world.folder.glob("*.toml")) == []


@pytest.mark.network
def test_sync_installs_again_what_an_upgrade_of_the_tool_removes(world: World, tools: Path) -> None:
    built = wheel(world.folder, "tiny")
    done = world("add", built)
    assert done.code == 0, done.err
    assert done.out.startswith(
        "Installed mcp-plugin-tiny 1.0.\nWrote mcp-host.toml.\nEnabled tiny in mcp-host.toml.\n"
    )  # fmt: skip
    assert "tiny    mcp-plugin-tiny 1.0  serving  1 tool\n" in done.out
    assert "tiny tools: add\n" in done.out
    assert "Note: `uv tool upgrade` removes" in done.out
    world.tool(tools / "uv", "tool", "upgrade", "mcp-host")
    assert not world.has("mcp-plugin-tiny")
    done = world("sync", "--check")
    assert (done.code, done.out) == (
        1,
        f"missing: ./{built.name} (not installed)\nmcp-host sync installs it.\n",
    )  # fmt: skip
    assert not world.has("mcp-plugin-tiny")
    done = world("sync")
    assert (done.code, done.out) == (0, f"Installed ./{built.name}.\n")
    assert world.has("mcp-plugin-tiny")
    # And nothing is removed.
    other = wheel(world.folder, "other")
    world.tool(tools / "uv", "pip", "install", "--python", world.scripts / "python", other)
    assert world("sync").code == 0
    assert world.has("mcp-plugin-other")


@pytest.mark.network
def test_a_project_is_added_in_place_from_the_index_s_build_backend(world: World) -> None:
    project = world.folder / "my plugins" / "mine"
    (project / "mcp_plugin_mine").mkdir(parents=True)
    (project / "mcp_plugin_mine" / "__init__.py").write_text(dedent(GOOD))
    (project / "pyproject.toml").write_text(
        dedent("""\
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "mcp-plugin-mine"
        version = "3"
        dependencies = ["mcp-host>=0.1,<1"]

        [project.entry-points."mcp.plugins"]
        mine = "mcp_plugin_mine:plugin"
        """)
    )
    done = world("add", "--editable", "my plugins/mine")
    assert done.code == 0, done.err
    assert "mine    mcp-plugin-mine 3  serving  1 tool" in done.out
    assert tomllib.loads(world.text())["host"]["requires"] == ["-e ./my plugins/mine"]
    assert world("sync", "--check").code == 0
    assert world("remove", "mine").code == 0
    assert not world.has("mcp-plugin-mine")
    assert (project / "pyproject.toml").exists()


@pytest.mark.network
def test_a_distribution_without_a_plugin_is_uninstalled_again_with_its_dependencies(world: World) -> None:
    wheel(world.folder, "part", plugins={})
    built = wheel(world.folder, "none", plugins={}, requires=["mcp-plugin-part"])
    done = world("add", f"./{built.name}", UV_FIND_LINKS=str(world.folder), UV_NO_INDEX="1")
    assert done.code == 2
    assert "mcp-plugin-none 1.0 has no plugin: no entry point of the group 'mcp.plugins'" in done.err
    assert not world.has("mcp-plugin-none")
    assert not world.has("mcp-plugin-part")
    assert list(world.folder.glob("*.toml")) == []
    done = world("add", "mcp-plugin-there-is-no-such", UV_NO_INDEX="1")
    assert done.code == 2
    assert "the index has no distribution mcp-plugin-there-is-no-such" in done.err


@pytest.mark.network
def test_a_name_that_another_distribution_has_is_refused(world: World, tools: Path) -> None:
    first = wheel(world.folder, "tiny")
    second = build_wheel(world.folder, "rival", {"rival.py": dedent(GOOD)}, plugins={"tiny": "rival:plugin"})
    assert world("add", first).code == 0
    before = world.text()
    done = world("add", second)
    assert done.code == 2
    assert "2 distributions claim the plugin name 'tiny'" in done.err
    assert not world.has("rival")
    assert world.text() == before


@pytest.mark.network
def test_a_plugin_that_needs_settings_is_enabled_and_the_output_names_them(world: World) -> None:
    source = """
        from pydantic import BaseModel
        from mcp_host import Plugin

        class Settings(BaseModel):
            city: str

        plugin = Plugin(settings=Settings)
    """
    built = wheel(world.folder, "weather", source)
    broken = wheel(world.folder, "broken", "raise RuntimeError('no engine')")
    (world.folder / "mcp-host.toml").write_text("# mine\n[transport]\nport = 1\n")
    done = world("add", built, broken)
    assert done.code == 1
    assert "Enabled weather, broken in mcp-host.toml." in done.out
    assert "weather requires settings. In [plugins.weather]:\n  settings.city = ...   # string\n" in done.err
    assert "Not finished: weather, broken is in mcp-host.toml, and does not work yet." in done.err
    assert "error in plugin weather: 'city' is missing" in done.err
    assert "hint:  add `settings.city = ...` to [plugins.weather]" in done.err
    assert "error in plugin broken: importing mcp_plugin_broken failed: RuntimeError: no engine" in done.err
    assert world.text().startswith("# mine\n[transport]\nport = 1\n\n[plugins.weather]\n\n[plugins.broken]\n")
    # A broken plugin can be switched off and removed.
    assert world("disable", "broken").code == 0
    assert world("remove", "broken").code == 0
    assert not world.has("mcp-plugin-broken")


@pytest.mark.network
def test_what_a_person_wrote_is_shown_and_kept_when_a_plugin_is_removed(world: World) -> None:
    assert world("add", wheel(world.folder, "tiny")).code == 0
    path = world.folder / "mcp-host.toml"
    path.write_text(world.text() + 'prefix = "t_"   # short\nsettings.api_key = "hunter2"\n')
    path.chmod(0o600)
    before = path.read_bytes()
    done = world("remove", "tiny")
    assert done.code == 0, done.err
    assert '    prefix = "t_"   # short\n    settings.api_key = "***"\n' in done.out
    assert "hunter2" not in done.out + done.err
    assert "The old file: mcp-host.toml.bak\n" in done.out
    backup = world.folder / "mcp-host.toml.bak"
    assert backup.read_bytes() == before
    assert backup.stat().st_mode & 0o777 == 0o600


@pytest.mark.network
def test_a_distribution_stays_while_a_plugin_or_another_distribution_needs_it(world: World) -> None:
    pair = {"one": "mcp_plugin_pair:plugin", "two": "mcp_plugin_pair:plugin"}
    built = wheel(world.folder, "pair", plugins=pair)
    assert world("add", built).code == 1  # both plugins have the tool `add`
    assert list(tomllib.loads(world.text())["plugins"]) == ["one", "two"]
    done = world("remove", "one")
    assert "mcp-plugin-pair stays installed: plugin two comes from it.\n" in done.out
    assert world.has("mcp-plugin-pair")
    assert "mcp_plugin_pair" in world.text()
    # A distribution without plugins that depends on it.
    bundle = wheel(world.folder, "bundle", plugins={}, requires=["mcp-plugin-pair", "mcp-plugin-tiny"])
    wheel(world.folder, "tiny")
    done = world("add", bundle, UV_FIND_LINKS=str(world.folder), UV_NO_INDEX="1")
    assert done.code == 0, done.err
    assert "Enabled tiny in mcp-host.toml." in done.out
    done = world("remove", "two")
    assert "mcp-plugin-pair stays installed: mcp-plugin-bundle needs it.\n" in done.out
    assert list(tomllib.loads(world.text())["plugins"]) == ["tiny"]
    assert world.has("mcp-plugin-pair")


@pytest.mark.network
def test_an_upgrade_and_a_range_replace_the_old_requirement(world: World) -> None:
    for number in ("1.0", "2.0", "3.0"):
        wheel(world.folder / "wheels", "tiny", version=number)
    index = {"UV_FIND_LINKS": str(world.folder / "wheels"), "UV_NO_INDEX": "1"}
    assert "Installed mcp-plugin-tiny 1.0.\n" in world("add", "mcp-plugin-tiny<2", "--yes", **index).out
    assert "Installed" not in world("add", "mcp-plugin-tiny", **index).out
    assert tomllib.loads(world.text())["host"]["requires"] == ["mcp-plugin-tiny<2"]
    done = world("add", "mcp-plugin-tiny<3", "--upgrade", "--yes", "-v", **index)
    assert "Installed mcp-plugin-tiny 2.0 (was 1.0).\n" in done.out
    assert "+ mcp-plugin-tiny==2.0" in done.err  # in the words of uv
    assert tomllib.loads(world.text())["host"]["requires"] == ["mcp-plugin-tiny<3"]
    path = world.folder / "mcp-host.toml"
    path.write_text(world.text().replace("<3", ">=3"))
    assert "missing: mcp-plugin-tiny>=3 (2.0 is installed)" in world("sync", "--check").out
    assert world("sync", **index).code == 0
    assert world("sync", "--check").code == 0


@pytest.mark.network
def test_what_pipx_knows_already_is_replaced_and_pipx_still_removes_it(pipx_world: World) -> None:
    world = pipx_world
    for number in ("1.0", "2.0"):
        wheel(world.folder, "tiny", version=number)
    index = {"UV_FIND_LINKS": str(world.folder), "UV_NO_INDEX": "1"}
    (world.folder / "mcp-host.toml").write_text('[host]\nrequires = ["mcp-plugin-tiny==1.0"]\n')
    assert world("sync", **index).code == 0
    (world.folder / "mcp-host.toml").write_text('[host]\nrequires = ["mcp-plugin-tiny==2.0"]\n\n[plugins.tiny]\n')
    done = world("sync", **index)
    assert done.code == 0, done.err
    assert len(list(world.prefix.glob("**/mcp_plugin_tiny-2.0.dist-info"))) == 1
    done = world("remove", "tiny")
    assert done.code == 0, done.err
    assert not world.has("mcp-plugin-tiny")


@pytest.mark.network
def test_without_the_tool_that_made_the_environment_another_one_installs_or_it_is_an_error(
    world: World, pipx_world: World, tools: Path
) -> None:
    built = wheel(world.folder, "tiny")
    done = world("add", built, PATH="/nowhere")
    assert done.code == 2
    assert "uv made this environment but is not on PATH, and it has no pip" in done.err
    assert "hint:  put uv on PATH\n" in done.err
    only_uv = world.folder / "only uv"
    only_uv.mkdir()
    (only_uv / "uv").symlink_to(tools / "uv")
    done = pipx_world("add", built, PATH=str(only_uv))
    assert done.code == 0, done.err
    assert "Note: pipx is not on PATH, so it did not record this" in done.out
    assert pipx_world("remove", "tiny").code == 0  # pipx is on PATH again, but it has no record of the plugin
    assert not pipx_world.has("mcp-plugin-tiny")


@pytest.mark.network
def test_an_object_s_distribution_is_removed_if_the_file_requires_it(world: World) -> None:
    built = wheel(world.folder, "odd", plugins={})
    plugin = '[plugins.odd]\nobject = "mcp_plugin_odd:plugin"\n'
    path = world.folder / "mcp-host.toml"
    path.write_text(f'[host]\nrequires = ["./{built.name}"]\n\n{plugin}')
    assert world("sync").code == 0
    assert world("remove", "odd", "--dry-run").out.endswith("Would have uninstalled mcp-plugin-odd.\n")
    path.write_text(plugin)
    assert "ninstalled" not in world("remove", "odd", "--dry-run").out
    path.write_text(f'[host]\nrequires = ["./{built.name}"]\n\n{plugin}')
    assert world("remove", "odd").code == 0
    assert not world.has("mcp-plugin-odd")
    assert path.read_text() == ""


# --- servers that are no plugins


def test_a_server_in_a_file_is_added_and_served(invoke: Invoke) -> None:
    (invoke.folder / "weather.py").write_text(
        dedent("""\
        from mcp.server import MCPServer

        mcp = MCPServer("weather")

        @mcp.tool()
        def forecast(city: str) -> str:
            return f"Rain in {city}"
        """)
    )
    done = invoke("add", "weather.py")
    assert done.code == 0, done.err
    assert done.out.startswith("Wrote mcp-host.toml.\nEnabled weather in mcp-host.toml.\n")
    assert "weather  weather.py:mcp  serving  1 tool\n" in done.out
    assert "Rain in Rome" in invoke("call", "weather_forecast", "city=Rome").out
    assert "there is already a plugin 'weather'" in invoke("add", "weather.py").err


def test_a_server_s_own_arguments_come_after_two_dashes(invoke: Invoke) -> None:
    script = invoke.folder / "server.py"
    script.write_text("from mcp.server import MCPServer\nmcp = MCPServer('x')\n")
    done = invoke("add", "npx:mcp-server-git", "--name", "git", "--dry-run", "--", "--repository", ".", "-v")
    assert done.code == 0, done.err
    assert '+command = ["npx", "-y", "mcp-server-git", "--repository", ".", "-v"]\n+prefix = "git_"' in done.out
    assert "-- is for one server" in invoke("add", "uvx:a", "npx:b", "--", "x").err
    assert "-- is for one server" in invoke("add", "mcp-plugin-x", "--", "x").err
    assert "--name is for one server" in invoke("add", "uvx:a", "mcp-plugin-x", "--name", "n").err
    assert "two servers would have the name 'a'" in invoke("add", "npx:a", "npx:@b/a").err
    done = invoke("add", "npx:a", "npx:b", "mcp-plugin-x", "--dry-run", "--json")
    added = tomllib.loads("\n".join(line[1:] for line in done.json["diff"].splitlines() if line.startswith("+[plu")))
    assert list(added["plugins"]) == ["a", "b"]
    assert 'requires = [\\"mcp-plugin-x\\"]' in done.out


@pytest.mark.network
def test_a_distribution_that_needs_an_older_mcp_is_refused_with_the_form_that_serves_it(each_world: World) -> None:
    world = each_world
    built = wheel(world.folder, "older", requires=["mcp<2"], plugins={})
    done = world("add", f"./{built.name}")
    assert done.code == 2
    assert "mcp-plugin-older 1.0 has no plugin: no entry point of the group 'mcp.plugins'" in done.err
    server = wheel(world.folder, "server", requires=["mcp<2"], plugins={}, scripts={"server": "mcp_plugin_server:main"})
    done = world("add", f"./{server.name}")
    assert done.code == 2
    assert "mcp-plugin-server 1.0 is a server and no plugin, and needs mcp<2, and mcp 2." in done.err
    assert f"requirements = ['{world.folder / server.name}']" in done.err
    assert not world.has("mcp-plugin-older")
    assert list(world.prefix.glob("**/mcp-1.*.dist-info")) == []
