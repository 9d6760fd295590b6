"""Servers of other people from the package index and npm: their versions, and the environment that has them."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

BESIDE_THE_HOST = {
    "fastmcp": "4.2.3",
    "mcp-pandoc": "0.11.1",
    "mcp-server-fetch": "2026.10.24",
    "mcp-server-git": "2026.10.19",
    "mcp-server-time": "2026.10.19",
}
"""What is installed in the environment of the host, and runs in its process."""

ON_THEIR_OWN = {
    "mcp": "1.30.0",
    "mcp-server-calculator": "0.2.1",
    "mcp-server-motherduck": "1.1.0",
    "mcp-server-sqlite": "2025.4.25",
}
"""What the host installs into environments of their own. `mcp` is for the two that need mcp 1.

The versions of the npm packages are in tests/clients/package.json.
"""

UV = "0.13.9"

PARTS = (ROOT, ROOT / "plugins/mcp-plugin-stats", ROOT / "plugins/mcp-plugin-files")


class NoIndexError(Exception):
    """The package index cannot be reached. The text is the installer's last line."""


@dataclass(frozen=True)
class Environment:
    """An environment with mcp-host, two of its plugins, uv, and the servers that run in the process of the host."""

    prefix: Path

    @property
    def scripts(self) -> Path:
        return self.prefix / "bin"

    def variables(self, home: Path, *programs: Path) -> dict[str, str]:
        """Return the variables of a process that uses it, and may install: without those of who runs the tests."""
        wanted = ("PIP_CONSTRAINT", "UV", "UV_CONSTRAINT", "VIRTUAL_ENV")
        env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MCP_", "PYTHON")) and key not in wanted
        }
        for variable, file in (("PIP_CONFIG_FILE", "pip/pip.conf"), ("UV_CONFIG_FILE", "uv/uv.toml")):
            own = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / file
            if own.is_file():
                env.setdefault(variable, str(own))
        cache = subprocess.check_output([self.scripts / "uv", "cache", "dir"], text=True, cwd=ROOT).strip()
        path = os.pathsep.join([str(self.scripts), *map(str, programs), env["PATH"]])
        return {**env, "UV_CACHE_DIR": cache, "HOME": str(home), "PATH": path, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def environment(folder: Path) -> Environment:
    """Make the environment in a folder, with the wheels that users get.

    Raises:
        NoIndexError: Nothing can be installed.
        subprocess.CalledProcessError: Something else is wrong.
    """
    wheels, made = folder / "wheels", Environment(folder / "environment")
    venv.create(made.prefix, with_pip=True)
    pip = [str(made.scripts / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # uv is quick, and the host uses it, too.
    first = subprocess.run([*pip, f"uv=={UV}"], capture_output=True, text=True, check=False)
    if first.returncode != 0:
        raise NoIndexError(f"the package index cannot be reached: {first.stderr.strip().splitlines()[-1]}")
    for part in PARTS:
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(part)]
        subprocess.run(build, check=True, capture_output=True)
    servers = [f"{name}=={version}" for name, version in BESIDE_THE_HOST.items()]
    install = [str(made.scripts / "uv"), "pip", "install", "--quiet", "--python", str(made.scripts / "python")]
    options = ["--compile-bytecode", "--constraint", str(ROOT / "constraints.txt")]
    done = subprocess.run(
        [*install, *options, *map(str, wheels.iterdir()), *servers],
        env=made.variables(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return made
