"""The wheels that a user installs: mcp-host and a plugin, in an empty environment, used from any folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).parents[2]


def build(project: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(project)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.anyio
async def test_wheels_in_an_empty_environment_work_from_any_folder(tmp_path: Path) -> None:
    wheels, environment, folder = tmp_path / "wheels", tmp_path / "environment", tmp_path / "elsewhere"
    folder.mkdir()
    build(ROOT, wheels)
    build(ROOT / "plugins" / "mcp-plugin-stats", wheels)
    venv.create(environment, with_pip=True)
    scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
    constraint = ROOT / os.environ.get("PIP_CONSTRAINT", "constraints.txt")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MCP_", "PYTHON", "PIP_CONSTRAINT"))}
    if constraint.is_file():
        env["PIP_CONSTRAINT"] = str(constraint)
    install = [str(scripts / "python"), "-m", "pip", "install", "--quiet", *map(str, wheels.iterdir())]
    installed = subprocess.run(install, env=env, cwd=folder, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr

    def run(*args: str) -> str:
        command = [str(scripts / "mcp-host"), *args]
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    assert "stats   mcp-plugin-stats" in run("plugins")
    assert "Wrote mcp-host.toml." in run("init", "stats")
    assert "All is well." in run("check")
    described = json.loads(run("call", "describe_dataset", "dataset=penguins"))
    assert described["rows"] == 344
    python = [str(scripts / "python"), "-m", "mcp_host", "--version"]
    assert subprocess.run(python, env=env, cwd=folder, capture_output=True, text=True, check=True).stdout == run(
        "--version"
    )

    parameters = StdioServerParameters(
        command=str(scripts / "mcp-host"), args=["run", "--config", "mcp-host.toml"], env=env, cwd=folder
    )
    with (tmp_path / "log").open("w") as log:
        async with Client(stdio_client(parameters, log)) as client:
            assert "describe_dataset" in [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("calculate_statistics", {"numbers": [1, 2, 6], "operation": "mean"})
            assert not result.is_error
