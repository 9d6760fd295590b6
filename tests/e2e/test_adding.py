"""`mcp-host add` with a package index on loopback, for pip and uv: what is found, shown, confirmed and installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from support.index import Index, build_sdist, serving
from support.processes import Done
from support.sites import GOOD, build_wheel
from support.terminals import screen

LONGEST = 240.0
"""Seconds after which a test stops waiting for a command and fails."""


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program uv, from PATH or from the index."""
    from shutil import which

    if found := which("uv"):
        return Path(found)
    prefix = tmp_path_factory.mktemp("uv")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(prefix)]
    subprocess.run([*pip, "uv"], check=True, capture_output=True)
    return prefix / "bin" / "uv"


@dataclass(frozen=True)
class World:
    """An environment that sees the mcp-host of the tests, and in which pip or uv installs from an index on loopback."""

    prefix: Path
    folder: Path
    index: Index
    env: dict[str, str]

    def __call__(self, *args: str | Path, **env: str) -> Done:
        done = subprocess.run(
            [*self.command, *args], cwd=self.folder, env=self.environment(env),
            capture_output=True, stdin=subprocess.DEVNULL, encoding="utf-8", timeout=LONGEST, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    @property
    def command(self) -> list[str]:
        return [str(self.prefix / "bin" / "python"), "-m", "mcp_host"]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**self.env, **more}

    def has(self, distribution: str, version: str = "*") -> bool:
        return any(self.prefix.glob(f"**/{distribution.replace('-', '_')}-{version}.dist-info"))

    def wheel(self, distribution: str, **details: object) -> Path:
        """Put the wheel of a plugin into the index. Its plugin has the last word of the distribution's name."""
        module = distribution.replace("-", "_")
        source = str(details.pop("source", GOOD))
        points = details.pop("plugins", {distribution.rpartition("-")[2]: f"{module}:plugin"})
        files = {f"{module}.py": dedent(source)}
        return build_wheel(
            self.index.folder, distribution, files, plugins=points, **{"requires": (), **details}  # type: ignore[arg-type]
        )  # fmt: skip

    @property
    def file(self) -> Path:
        return self.folder / "mcp-host.toml"


def _world(installer: str, tmp_path: Path, uv: Path | None) -> Iterator[World]:
    prefix, wheels, folder = tmp_path / "env", tmp_path / "index", tmp_path / "work"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    own = next((prefix / "lib").glob("python*/site-packages"))
    (own / "host.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    if installer == "uv":
        with (prefix / "pyvenv.cfg").open("a") as settings:
            settings.write("uv = 1\n")
    wheels.mkdir()
    folder.mkdir()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MCP_", "VIRTUAL_ENV", "PYTHON"))}
    env = {key: value for key, value in env.items() if not key.startswith(("PIP_", "UV"))}
    path = os.pathsep.join(["/usr/bin", "/bin"] if uv is None else [str(uv.parent), "/usr/bin", "/bin"])
    with serving(wheels) as index:
        home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        yield World(prefix, folder, index, {**env, **index.environ(), **home, "PATH": path, "NO_COLOR": "1"})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An environment for pip."""
    yield from _world("pip", tmp_path, None)


@pytest.fixture(params=["pip", pytest.param("uv", marks=pytest.mark.network)])
def each_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """An environment for pip, and one for uv."""
    uv = request.getfixturevalue("uv") if request.param == "uv" else None
    yield from _world(request.param, tmp_path, uv)


def test_a_plugin_s_name_means_its_own_distribution_which_is_shown_and_confirmed(each_world: World) -> None:
    world = each_world
    built = world.wheel("mcp-plugin-tiny", scripts={"tiny-tool": "mcp_plugin_tiny:main"})
    world.wheel("tiny", plugins={"evil": "tiny:plugin"})  # somebody else's distribution with the plugin's name
    done = world("add", "tiny")
    assert done.code == 2
    assert done.err.endswith(
        "mcp-plugin-tiny 1.0\n"
        f"  file:      {built.name}\n"
        f"  sha256:    {hashlib.sha256(built.read_bytes()).hexdigest()}\n"
        "  plugin:    tiny = mcp_plugin_tiny:plugin\n"
        "  programs:  tiny-tool\n"
        "error: mcp-plugin-tiny 1.0 comes from an index or a URL, and nobody can be asked whether it is the right one; "
        "nothing was installed\n"
        "  where: command line\n"
        "  hint:  --yes, if it is\n"
    )
    assert not world.has("mcp-plugin-tiny")
    assert not world.file.exists()

    done = world("add", "tiny", "--yes", "--json")
    assert done.code == 0, done.err
    assert done.json["files"][0]["sha256"] == hashlib.sha256(built.read_bytes()).hexdigest()
    assert [record["stage"] for record in done.json["plugins"]] == ["serving"]
    assert world.has("mcp-plugin-tiny")
    assert tomllib.loads(world.file.read_text())["host"]["requires"] == ["mcp-plugin-tiny"]
    # What is installed is neither looked for nor confirmed again.
    asked = len(world.index.asked)
    assert world("add", "tiny").code == 0
    assert len(world.index.asked) == asked
    assert not list(world.prefix.glob("**/tiny-*.dist-info"))


def test_a_name_that_is_no_plugin_s_gets_the_form_for_what_is_there(each_world: World) -> None:
    world = each_world
    world.wheel("sums", plugins={"adder": "sums:plugin"}, version="2.1")
    world.wheel("sums-server", plugins={}, requires=["mcp<2"], scripts={"sums-server": "sums_server:main"})
    world.wheel("sums-library", plugins={})
    done = world("add", "sums", "sums-server", "sums-library", "sums-nowhere", "--yes")
    assert done.code == 2
    assert (
        "no plugin 'sums' is installed, and the index has no mcp-plugin-sums; it has sums 2.1, whose plugin is adder\n"
        "  where: command line: sums\n"
        '  hint:  mcp-host add "sums==2.1", if you meant this one\n'
    ) in done.err
    assert "it has sums-server 1.0, which is a server and no plugin, and needs mcp<2, and mcp 2." in done.err
    assert "hint:  mcp-host add pypi:sums-server   (an environment and a process of its own)\n" in done.err
    assert "it has sums-library 1.0, which is neither a plugin nor a server\n" in done.err
    assert "the index has no mcp-plugin-sums-nowhere and no sums-nowhere\n" in done.err
    assert not world.file.exists()
    done = world("add", "sums==2.1", "--yes")
    assert done.code == 0, done.err
    assert "Enabled adder in mcp-host.toml.\n" in done.out


def test_exactly_the_file_that_was_shown_is_installed(each_world: World) -> None:
    world = each_world
    world.wheel("mcp-plugin-needed", plugins={})
    # Then the index gets another file of the same version. uv asks for a file in parts, so it gets it later, when
    # what the plugin needs is installed.
    is_pip = "uv = 1" not in (world.prefix / "pyvenv.cfg").read_text()
    moment = "tiny" if is_pip else "needed"
    world.index.on_request[f"mcp_plugin_{moment}-1.0-py3-none-any.whl"] = lambda: world.wheel(
        "mcp-plugin-tiny", source="raise RuntimeError('another file')"
    )
    shown = world.wheel("mcp-plugin-tiny", requires=["mcp-plugin-needed"])
    sha256 = hashlib.sha256(shown.read_bytes()).hexdigest()
    done = world("add", "tiny", "--yes", "--json")
    assert done.code == 0, done.err
    assert done.json["files"][0]["sha256"] == sha256 != hashlib.sha256(shown.read_bytes()).hexdigest()
    (module,) = world.prefix.glob("**/site-packages/mcp_plugin_tiny.py")
    assert "another file" not in module.read_text()
    assert world.has("mcp-plugin-needed")


def test_a_source_distribution_is_not_built_unless_asked_for(each_world: World, tmp_path: Path) -> None:
    world, ran = each_world, tmp_path / "ran"
    build_sdist(world.index.folder, "mcp-plugin-src", marker=ran)
    done = world("add", "src", "--yes")
    assert done.code == 2
    assert "mcp-plugin-src has no wheel that fits here, only its source, and building it runs its code\n" in done.err
    assert "hint:  --allow-build, if you trust it\n" in done.err
    # Neither what a plugin needs, nor a newer version than the one that has a wheel.
    world.wheel("mcp-plugin-tiny", requires=["mcp-plugin-src"])
    assert world("add", "tiny", "--yes").code == 2
    assert not world.has("mcp-plugin-tiny")
    world.wheel("mcp-plugin-src", plugins={"src": "mcp_plugin_src:plugin"}, version="0.9")
    done = world("add", "src", "--yes")
    assert done.code == 0, done.err
    assert "warning:   mcp-plugin-src 1.0 is newer than 0.9, and has no wheel that fits here: --allow-build" in done.err
    assert world.has("mcp-plugin-src", "0.9")
    archive = next(world.index.folder.glob("*.tar.gz"))
    done = world("add", str(archive), "--yes")
    assert "is no wheel but source, and building it runs its code" in done.err
    assert not ran.exists()


def test_a_version_for_another_mcp_is_named_and_no_old_one_is_taken_for_it(each_world: World) -> None:
    world = each_world
    world.wheel("mcp-plugin-aged", version="0.10.2")
    world.wheel("mcp-plugin-aged", version="0.23.1", requires=["mcp>=1,<2"])
    done = world("add", "aged", "--yes")
    assert done.code == 2
    assert "mcp-plugin-aged 0.23.1 needs mcp<2,>=1, and mcp 2." in done.err
    assert "hint:  mcp-host add pypi:mcp-plugin-aged   (an environment and a process of its own)\n" in done.err
    assert not world.has("mcp-plugin-aged")
    # An older one is taken if it is asked for.
    assert world("add", "mcp-plugin-aged<0.20", "--yes").code == 0
    assert world.has("mcp-plugin-aged", "0.10.2")


def test_an_index_that_does_not_answer_is_not_taken_for_one_without_the_plugin(each_world: World) -> None:
    unreachable = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple/", "PIP_RETRIES": "0"}
    unreachable |= {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple/", "UV_HTTP_RETRIES": "0"}
    done = each_world("add", "tiny", "--yes", **unreachable)
    assert done.code == 2
    assert "mcp-plugin-tiny could not be fetched\n" in done.err
    assert "the index has no" not in done.err


CHECKED = """
    from typing import Annotated, Literal

    from pydantic import BaseModel, Field
    from mcp_host import Plugin

    class Settings(BaseModel):
        city: Annotated[str, Field(description="The city of the forecast.")]
        days: int
        api_key: str
        unit: Literal["C", "F"] = "C"

    plugin = Plugin(settings=Settings)

    @plugin.check
    def city_known(plugin) -> str | None:
        return None if plugin.settings.city == "Rome" else f"there is no city {plugin.settings.city}"
"""


def test_what_a_plugin_still_needs_is_shown_and_add_does_not_end_with_0(world: World) -> None:
    world.wheel("mcp-plugin-weather", source=CHECKED)
    done = world("add", "weather", "--yes")
    assert done.code == 1
    assert done.err.endswith(
        "weather requires settings. In [plugins.weather]:\n"
        "  settings.city = ...   # string: The city of the forecast.\n"
        "  settings.days = ...   # integer\n"
        '  settings.api_key = { env = "WEATHER_API_KEY" }   # string\n\n'
        "Not finished: weather is in mcp-host.toml, and does not work yet.\n"
        "Correct it, then: mcp-host check   (or take it out: mcp-host remove weather)\n"
    )
    needed = 'settings = { city = "Oslo", days = 2, api_key = { env = "KEY" } }\n'
    world.file.write_text(f'[host]\nrequires = ["mcp-plugin-weather"]\n\n[plugins.weather]\n{needed}')
    done = world("add", "weather", "--json", KEY="hunter22")
    assert (done.code, done.json["ok"]) == (1, False)
    assert done.json["failed_checks"] == {"weather": ["city known: there is no city Oslo"]}
    done = world("add", "weather", KEY="hunter22")
    assert done.code == 1
    assert "error in plugin weather: its check failed: city known: there is no city Oslo\n" in done.err


def test_on_a_terminal_the_file_the_settings_and_the_clients_are_asked_for(world: World) -> None:
    world.wheel("mcp-plugin-weather", source=CHECKED)
    (world.prefix.parent / ".cursor").mkdir()
    with screen(world, "add", "weather", env={"WEATHER_API_KEY": "hunter22"}) as shown:
        shown.until("Install mcp-plugin-weather 1.0? [y/N]")
        shown.type("y\n")
        shown.until("weather: city (string), The city of the forecast.\ncity:")
        shown.type("Rome\n")
        shown.until("days:")
        shown.type("many\n")
        shown.until("a value as TOML writes it")
        shown.type("2\n")
        shown.until("The environment variable with it [WEATHER_API_KEY]:")
        shown.type("\n")
        shown.until("mcp-host install cursor   (Cursor)")
        shown.until("Install into which? Names, or none [none]:")
        shown.type("none\n")
        assert shown.wait() == 0, shown.shown
    assert "hunter22" not in world.file.read_text()
    assert tomllib.loads(world.file.read_text())["plugins"]["weather"]["settings"] == {
        "city": "Rome",
        "days": 2,
        "api_key": {"env": "WEATHER_API_KEY"},
    }


def test_no_is_an_answer_and_nothing_is_installed(world: World) -> None:
    world.wheel("mcp-plugin-tiny")
    with screen(world, "add", "tiny") as shown:
        shown.until("Install mcp-plugin-tiny 1.0? [y/N]")
        shown.type("\n")
        assert shown.wait() == 2, shown.shown
    assert "nothing was installed" in shown.shown
    assert not world.has("mcp-plugin-tiny")
    assert not world.file.exists()


def test_the_clients_of_this_machine_are_named_when_all_works(world: World) -> None:
    (world.prefix.parent / ".cursor").mkdir()
    built = world.wheel("mcp-plugin-tiny")
    done = world("add", str(built))
    assert done.code == 0, done.err
    assert done.out.endswith("\nUse it in a client of this machine:\n  mcp-host install cursor   (Cursor)\n")
