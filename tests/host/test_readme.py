"""What README.md shows runs, and prints what it says."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mcp_host.config import parse_config

ROOT = Path(__file__).parents[2]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def sessions() -> list[tuple[str, str]]:
    """Each command of the console blocks with the output shown below it."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


@pytest.mark.parametrize(("command", "shown"), sessions(), ids=[command for command, _ in sessions()])
def test_the_session_prints_what_the_readme_shows(command: str, shown: str) -> None:
    # A busy machine imports slowly, and the README shows no warning about that.
    quiet = {"MCP_HOST__HOST__IMPORT_WARNING": "60s", "MCP_HOST__HOST__BLOCK_WARNING": "60s"}
    environment = {**os.environ, **quiet, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    printed = done.stdout + "".join(
        line for line in done.stderr.splitlines(keepends=True) if not line.startswith("progress ")
    )
    assert printed == shown


def test_the_plugin_and_its_test_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, test, *_ = blocks("python")
    # The two blocks are two files of one package; together they are one module.
    (tmp_path / "readme_mean.py").write_text(plugin + test, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    asyncio.run(importlib.import_module("readme_mean").test_mean())


def test_the_app_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "mcp-host.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCP_HOST__TRANSPORT__INSECURE", "true")
    namespace: dict[str, Any] = {}
    exec(compile(blocks("python")[2], "README.md", "exec", dont_inherit=True), namespace)
    assert namespace["tools"].host.records[0].name == "stats"


def test_the_configuration_is_one_the_host_reads() -> None:
    text, _ = blocks("toml")
    config = parse_config(text, environ={})
    assert list(config.plugins) == ["stats", "validate"]


def test_the_files_it_points_to_are_there() -> None:
    # PyPI shows the page, too, so that links are absolute.
    assert re.findall(r"\]\((?!https://)([^)]+)\)", README) == []
    targets = re.findall(rf"\]\({REPOSITORY}/(?:blob|tree)/main/([^)#]+)", README)
    assert len(targets) > 15
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_first_screen_has_the_repository_and_what_starts_a_server() -> None:
    first = README.splitlines()[:40]
    assert any(f"<{REPOSITORY}>" in line for line in first)
    assert "uvx --from mcp-host --with mcp-plugin-stats mcp-host run" in first
    assert "pip install mcp-host mcp-plugin-stats" in first


def test_every_command_is_in_the_table() -> None:
    from mcp_host.cli.registry import COMMANDS

    table = "\n".join(line for line in README.splitlines() if line.startswith("| `"))
    assert {name for name in COMMANDS if f"`{name}`" not in table} == set()
