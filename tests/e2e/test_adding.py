"""`mcp-host add` with a package index on loopback, for pip and uv: what is found, shown, confirmed and installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from support.index import Index, serving
from support.processes import Done
from support.sites import GOOD, build_wheel

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
            [self.prefix / "bin" / "python", "-m", "mcp_host", *args], cwd=self.folder, env={**self.env, **env},
            capture_output=True, stdin=subprocess.DEVNULL, encoding="utf-8", timeout=LONGEST, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

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
