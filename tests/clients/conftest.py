"""Other clients, and a server for them in the test's own folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import node
from support.processes import Cli, Done, Process
from support.sites import Site, source_of

LONGEST = 300.0
"""How long a server or a client may run, in seconds. Some servers run for a whole module, on a busy machine."""

CONFIG = """
[host]
name = "shop"
instructions = "Be kind."
[transport]
resumable = true
[plugins.good]
[plugins.bell]
"""


@dataclass(frozen=True)
class Shop:
    """A folder with an mcp-host.toml, an `mcp-host` that serves it, and its clients."""

    cli: Cli

    @property
    def command(self) -> list[str]:
        """The command that a client starts for the server on stdio."""
        return [sys.executable, "-m", "mcp_host", "run", "--reload", "--config", str(self.cli.folder / "mcp-host.toml")]

    def add_the_late_plugin(self) -> None:
        self.cli.config(CONFIG + "[plugins.late]\n")

    @contextmanager
    def client(self, script: str, *args: str) -> Iterator[Process]:
        """Run one of the scripts beside this file, and kill it at the end of the block if it still runs."""
        folder = self.cli.folder
        command = [str(node.node()), script, *args]
        process = Process(command, folder, self.cli.env, folder / "client.log", longest=self.cli.longest)
        try:
            process.stdin.close()
            yield process
        finally:
            process.close()

    def run(self, program: str, *args: str) -> Done:
        """Run a program of one of the packages to its end."""
        done = subprocess.run(
            [node.node(), node.packages() / ".bin" / program, *args],
            cwd=self.cli.folder,
            env=self.cli.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=self.cli.longest,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def wares(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("wheels"))
    for name in ("good", "bell", "late"):
        site.plugin(name, source_of(name))
    return site


def clients_in(folder: Path) -> None:
    """Put the programs of clients into a folder, or skip the test if the packages of some are not installed."""
    try:
        # A script's imports are searched beside it.
        (folder / "node_modules").symlink_to(node.packages())
    except node.MissingError as error:
        pytest.skip(str(error))
    for script in (*node.CLIENTS.glob("*.mjs"), *node.CLIENTS.glob("driven_*.py")):
        shutil.copy(script, folder)


def _shop(wares: Site, folder: Path) -> Shop:
    clients_in(folder)
    env = node.environment(PYTHONPATH=str(wares.folder), PYTHONUNBUFFERED="1", HOME=str(folder))
    cli = Cli(folder, env, longest=LONGEST)
    cli.config(CONFIG)
    return Shop(cli)


@pytest.fixture
def shop(wares: Site, tmp_path: Path) -> Shop:
    return _shop(wares, tmp_path)


@pytest.fixture(scope="module")
def shared_shop(wares: Site, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop for those tests of a module that change nothing."""
    return _shop(wares, tmp_path_factory.mktemp("shop"))


__all__ = ["Shop", "clients_in"]
