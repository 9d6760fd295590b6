"""A new plugin from its first command to its first call, in an environment with nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = "Scripts" if os.name == "nt" else "bin"

CLEAN = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST_", "MCP_", "VIRTUAL_"))
}


def run(command: Sequence[str | Path], *, cwd: Path, path: Path | None = None) -> str:
    """Run a command that must succeed, with only `path` and the system's own on PATH, and return its stdout."""
    environment = {**CLEAN, "PATH": f"{path}{os.pathsep}{os.defpath}" if path else CLEAN["PATH"]}
    environment |= {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "XDG_CONFIG_HOME": str(cwd)}
    program = str(path / command[0]) if path else command[0]
    done = subprocess.run(
        [program, *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_a_new_plugin_is_built_installed_and_called(tmp_path: Path) -> None:
    wheels, work, elsewhere = (tmp_path / name for name in ("wheels", "work", "elsewhere"))
    for folder in (work, elsewhere):
        folder.mkdir()

    def install(project: Path) -> None:
        """Build the wheel of a project and install it; only the wheel reaches the empty environment."""
        before = set(wheels.glob("*.whl"))
        build = ["build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(project)]
        run([sys.executable, "-m", *build], cwd=tmp_path)
        (wheel,) = set(wheels.glob("*.whl")) - before
        pip = ["pip", "--python", str(tmp_path / "empty"), "install", "--quiet", str(wheel)]
        run([sys.executable, "-m", *pip], cwd=tmp_path)

    def host(*arguments: str, cwd: Path = elsewhere) -> str:
        return run(["mcp-host", *arguments], cwd=cwd, path=tmp_path / "empty" / BIN)

    run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "empty"], cwd=tmp_path)
    install(ROOT)
    host("new", "weather", "--author", "Ada Lovelace", cwd=work)
    project = work / "mcp-plugin-weather"
    install(project)

    host("init", "weather")
    checked = json.loads(host("check", "--json"))
    assert checked["ok"] is True
    (plugin,) = [plugin for plugin in checked["plugins"] if plugin["name"] == "weather"]
    assert plugin["distribution"] == "mcp-plugin-weather"
    assert plugin["stage"] == "serving"
    assert json.loads(host("call", "search_weather", "text=MODEL")) == [
        {"name": "tool", "text": "A function that the model may call."}
    ]

    # What its README shows.
    readme = (project / "README.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    (elsewhere / "mcp-host.toml").write_text(toml, encoding="utf-8")
    (session,) = re.findall(r"```console\n(.*?)```", readme, re.DOTALL)
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        assert host(*shlex.split(command)[1:]) == shown
