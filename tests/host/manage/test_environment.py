"""The installer of an environment, for the kinds that need no index; tests/e2e/test_editing.py has the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_host.errors import HostError
from mcp_host.manage.environment import Command, Environment, EnvironmentKind, InstallerError, detect, held, run
from support.sites import build_wheel

ROOT = Path(__file__).parents[3]
MEASURED = """
import os
if "COVERAGE_PROCESS_CONFIG" in os.environ:
    import coverage
    coverage.process_startup()
"""
"""What a Python without coverage's own start does to be measured as this process is."""

DESCRIBE = f"""{MEASURED}
import json, sys
from mcp_host.manage.environment import detect
from mcp_host.errors import HostError
try:
    found = detect()
except HostError as error:
    print(json.dumps({{"what": error.what, "where": error.where, "hint": error.hint}}))
else:
    print(json.dumps({{"kind": found.kind, "prefix": str(found.prefix), "tool": found.tool, "note": found.note}}))
"""


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mcp-host needs, from this environment, without anything that installs."""
    folder = tmp_path_factory.mktemp("libraries")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("pip", "uv", "_", "a1_", "mcp_host", "mcp_plugin")):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing in it."""
    folder = tmp_path_factory.mktemp("bare") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def environment(libraries: Path, **extra: str) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV", "PYTHON", "VIRTUAL_"))}
    path = os.pathsep.join([str(ROOT / "host"), str(libraries)])
    return {**env, "PATH": "/usr/bin-that-is-empty", "PYTHONPATH": path, **extra}


def described(python: str | Path, env: Mapping[str, str]) -> Any:
    done = subprocess.run([python, "-c", DESCRIBE], env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def scripts(prefix: Path) -> Path:
    return prefix / ("Scripts" if os.name == "nt" else "bin")


def test_a_virtual_environment_without_pip_and_uv_is_an_error_with_a_hint_that_works(
    bare: Path, libraries: Path
) -> None:
    env = environment(libraries)
    python = scripts(bare) / "python"
    said = described(python, env)
    assert said["what"] == "nothing can be installed: this environment has no pip, and uv is not on PATH"
    assert said["where"] == str(bare)
    assert said["hint"] == f"{python} -m ensurepip"
    subprocess.run(said["hint"].split(), env={**env, "PYTHONPATH": ""}, check=True, capture_output=True)
    found = described(python, env)
    assert found == {"kind": "venv", "prefix": str(bare), "tool": [str(python), "-P", "-m", "pip"], "note": ""}


def test_the_python_of_the_operating_system_is_left_alone(libraries: Path, tmp_path: Path) -> None:
    """A marked standard library, as distributions of Linux and uv have it (PEP 668)."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    mine = tmp_path / stdlib.parent.name / stdlib.name
    mine.mkdir(parents=True)
    for entry in stdlib.iterdir():
        if entry.name not in ("site-packages", "EXTERNALLY-MANAGED"):
            (mine / entry.name).symlink_to(entry)
    (mine / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=Use apt.\n")
    env = environment(libraries, PYTHONHOME=str(tmp_path))
    python = Path(sys.base_prefix, *(() if os.name == "nt" else ("bin",)), Path(sys.executable).name)
    said = described(python, env)
    assert "PEP 668" in said["what"]
    assert said["where"] == str(mine / "EXTERNALLY-MANAGED")
    assert said["hint"].startswith("uv tool install mcp-host, or pipx install mcp-host")
    # The user allows pip to install anyway, but there is no pip here.
    said = described(python, {**env, "PIP_BREAK_SYSTEM_PACKAGES": "1"})
    assert "no pip" in said["what"]


PLAIN = f"""{MEASURED}
import sys
from pathlib import Path
from mcp_host.manage.environment import detect, held, run
from mcp_host.plugins.requirements import installed_now

environment = detect()
with held({{"mcp-host": "0.1.0"}}) as constraints:
    run(environment.install([([sys.argv[1]], None)], constraints=constraints))
assert installed_now("mcp.plugins")["mcp-plugin-tiny"].plugins == ("tiny",)
run(environment.uninstall(["mcp-plugin-tiny"]))
assert "mcp-plugin-tiny" not in installed_now("mcp.plugins")
print(environment.kind)
"""


def test_outside_an_environment_pip_installs_as_it_is_configured(libraries: Path, tmp_path: Path) -> None:
    if (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").exists():
        pytest.skip("this Python lets nothing install")
    wheel = build_wheel(
        tmp_path, "mcp-plugin-tiny", {"tiny.py": ""}, plugins={"tiny": "tiny:plugin"}, requires=()
    )  # fmt: skip
    # pip makes the folder of the user's own distributions when it is missing, and Python reads it from its start on.
    base = tmp_path / "base"
    env = environment(libraries, PYTHONUSERBASE=str(base), PIP_USER="1", PIP_NO_INDEX="1")
    python = Path(sys.base_prefix, *(() if os.name == "nt" else ("bin",)), Path(sys.executable).name)
    user_site = subprocess.run(
        [python, "-m", "site", "--user-site"], env=env, capture_output=True, text=True, check=False
    ).stdout.strip()
    Path(user_site).mkdir(parents=True)
    done = subprocess.run([python, "-c", PLAIN, wheel], env=env, capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr or "has no pip" in done.stderr:
        pytest.skip("this Python has no pip")
    assert (done.stdout, done.stderr) == ("pip\n", "")


def throwaway(tmp_path: Path, where: str) -> Path:
    prefix = tmp_path / where
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", prefix], check=True)
    return prefix


@pytest.mark.parametrize(
    ("where", "tool", "hint"),
    [("archive-v0/abc", "uvx", "uv tool install mcp-host"), (".cache/abc", "pipx run", "pipx install mcp-host")],
)
def test_an_environment_made_for_one_run_is_no_place_to_install(
    libraries: Path, tmp_path: Path, where: str, tool: str, hint: str
) -> None:
    prefix = throwaway(tmp_path, where)
    if tool == "pipx run":
        (prefix / "pipx_metadata.json").write_text('{"injected_packages": {}}')
    said = described(scripts(prefix) / "python", environment(libraries))
    assert f"a temporary environment of {tool}" in said["what"]
    assert said["hint"] == hint


def test_this_environment_is_one_that_can_be_installed_into() -> None:
    found = detect()
    assert found.prefix == Path(sys.prefix)
    assert found.installer in ("pip", "uv", "pipx")


# --- The commands

PREFIX = Path(os.sep, "home", "venvs", "mcp-host")
HELD = Path(os.sep, "tmp", "c.txt")


def test_pip_and_uv_respect_the_constraints() -> None:
    pip = Environment(EnvironmentKind.VENV, PREFIX, "py", ("py", "-P", "-m", "pip"))
    (command,) = pip.install([(["a>=1"], "a"), (["-e", "b"], None)], constraints=HELD, upgrade=True)
    assert command.arguments[4:] == (
        "install", "--disable-pip-version-check", "--no-input", "--upgrade", "--constraint", str(HELD),
        "a>=1", "-e", "b",
    )  # fmt: skip
    assert pip.uninstall(["a"])[0].arguments[-2:] == ("--yes", "a")
    assert pip.upgrade_host == "python -m pip install --upgrade mcp-host"
    uv = Environment(EnvironmentKind.UV, PREFIX, "py", ("/bin/uv",))
    assert uv.install([(["a"], "a")], constraints=HELD) == (
        Command(("/bin/uv", "pip", "install", "--python", "py", "--constraint", str(HELD), "a")),
    )
    assert uv.uninstall(["a"]) == (Command(("/bin/uv", "pip", "uninstall", "--python", "py", "a")),)
    assert uv.upgrade_host == "uv pip install --upgrade mcp-host"
    tool = Environment(EnvironmentKind.UV_TOOL, PREFIX, "py", ("/bin/uv",))
    assert tool.upgrade_host == "uv tool upgrade mcp-host && mcp-host sync"


def test_pipx_gets_the_home_of_this_environment() -> None:
    known = frozenset({"a"})
    pipx = Environment(EnvironmentKind.PIPX, PREFIX, "py", ("/bin/pipx",), injected=known, direct=("/bin/uv",))
    new, editable, again = pipx.install(
        [(["a>=2"], "a"), (["b"], "b"), (["-e", "c"], None)], constraints=HELD, upgrade=True
    )
    assert new.arguments == ("/bin/pipx", "inject", "mcp-host", "b")
    assert editable.arguments == ("/bin/pipx", "inject", "--editable", "mcp-host", "c")
    assert new.environ["PIPX_HOME"] == str(PREFIX.parent.parent)
    assert new.environ["PIP_CONSTRAINT"] == new.environ["UV_CONSTRAINT"] == HELD.as_uri()
    assert again.arguments[:5] == ("/bin/uv", "pip", "install", "--python", "py")
    assert again.arguments[-1] == "a>=2"
    first, second = pipx.uninstall(["a", "b"])
    assert first.arguments == ("/bin/pipx", "uninject", "--leave-deps", "mcp-host", "a")
    assert second.arguments == ("/bin/uv", "pip", "uninstall", "--python", "py", "b")
    assert pipx.upgrade_host == "pipx upgrade mcp-host"
    with pytest.raises(HostError, match="nothing can be installed"):
        replace(pipx, direct=()).uninstall(["b"])


def test_constraints_are_a_file_for_as_long_as_they_are_needed() -> None:
    with held({"mcp-host": "0.1.0"}) as file:
        assert file.read_text() == "mcp-host==0.1.0\n"
    assert not file.exists()


def test_what_an_installer_writes_is_kept_for_when_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    command = Command((sys.executable, "-c", "import os; print('one', os.environ['X'])"), {"X": "two"})
    assert run([command]) == "one two\n"
    failing = Command((sys.executable, "-c", "import sys; sys.exit('no such thing')"))
    with pytest.raises(InstallerError) as caught:
        run([command, failing, command])
    assert (caught.value.what, caught.value.output) == ("exit code 1", "one two\nno such thing\n")
    with pytest.raises(InstallerError, match="no-such-program cannot be run: No such file"):
        run([Command(("no-such-program",))])
    assert capfd.readouterr() == ("", "")
    with pytest.raises(InstallerError) as caught:
        run([failing], show=True)
    assert caught.value.output == ""
    assert capfd.readouterr() == ("", "no such thing\n")
