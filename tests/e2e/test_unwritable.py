"""Commands that write, in a folder that cannot be written: one clear line, and nothing is changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.processes import Cli

COMMANDS = {
    "init": "init --config new.toml",
    "new": "new weather",
    "add": "add https://mcp.example.com/mcp --name other",
    "remove": "remove good",
    "enable": "enable noisy",
    "disable": "disable good",
    "install": "install cursor --no-verify --file client/mcp.json",
    "install, a new file": "install cursor --no-verify --file client/new/mcp.json",
    "uninstall": "uninstall cursor --name mine --file client/mcp.json --force",
    "schema": "schema --output new.json",
    "import": "import client/mcp.json --yes",
}


def as_a_user(folder: Path) -> list[str]:
    """Make the folders of a folder unwritable, and return what to put before a command."""
    if os.geteuid() != 0:
        for each in (folder, folder / "client"):
            each.chmod(0o555)
        return []
    # root writes everywhere: the command runs without that right, on files of somebody else.
    for each in (folder, *folder.rglob("*")):
        os.chown(each, 65534, 65534)
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_cannot_be_written_is_one_clear_line(command: str, cli: Cli) -> None:
    folder = cli.folder / "theirs"
    (folder / "client").mkdir(parents=True)
    (folder / "mcp-host.toml").write_text("[plugins.good]\n", encoding="utf-8")
    (folder / "client/mcp.json").write_text('{"mcpServers": {"mine": {"command": "npx"}}}', encoding="utf-8")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    prefix = as_a_user(folder)
    done = subprocess.run(
        [*prefix, *cli.command, *COMMANDS[command].split()],
        cwd=folder,
        env=cli.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "cannot be written" in error or "cannot write" in error
    assert "  where: " in done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
