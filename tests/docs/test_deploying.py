"""The Containerfile and the unit of the pages: their commands run, serve what the pages say, and refuse other hosts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from docs.sandbox import Sandbox
from mcp_host.config import parse_config
from support.pages import DOCS, blocks

CONTAINERS = DOCS / "howto" / "containers.md"
SYSTEMD = DOCS / "howto" / "systemd.md"

ANALYZE = shutil.which("systemd-analyze")

BUILT = ("pip ", "mcp-host ")
"""What a RUN line may begin with to be run here. The others make users of the image."""


def block(page: Path, title: str) -> str:
    (found,) = [each for each in blocks(page) if each.title == title]
    return found.text


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", block(CONTAINERS, "Containerfile"), re.MULTILINE)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.close()


def test_the_lines_of_the_containerfile_build_and_serve(sandbox: Sandbox) -> None:
    sandbox.write("mcp-host.toml", block(CONTAINERS, "mcp-host.toml"))
    assert instructions("COPY") == ["mcp-host.toml ."]
    run = [line for line in instructions("RUN") if line.startswith(BUILT)]
    assert len(run) == 2
    for line in run:
        printed, code = sandbox.run(line)
        assert code == 0, printed
    (command,) = instructions("CMD")
    printed, code = sandbox.run(" ".join(json.loads(command)))
    assert code is None, printed
    (health,) = instructions("HEALTHCHECK")
    printed, code = sandbox.run(" ".join(json.loads(health.removeprefix("CMD "))))
    assert code == 0, printed
    assert json.loads(printed)["tools"]
    address = f"http://127.0.0.1:{sandbox.port}/mcp"
    assert httpx2.get(address, headers={"Host": "evil.example"}).status_code == 421
    assert httpx2.get(address, headers={"Host": f"localhost:{sandbox.port}"}).status_code != 421


def test_without_the_line_about_security_the_container_refuses_to_start(sandbox: Sandbox) -> None:
    text = re.sub(r"^insecure = .*\n", "", block(CONTAINERS, "mcp-host.toml"), flags=re.MULTILINE)
    sandbox.write("mcp-host.toml", text)
    printed, code = sandbox.run("mcp-host run")
    assert code == 2
    assert "without [auth] would let everyone" in printed


def test_the_port_that_the_page_publishes_is_the_one_that_is_served() -> None:
    transport = parse_config(block(CONTAINERS, "mcp-host.toml"), environ={}).transport
    assert instructions("EXPOSE") == [str(transport.port)]
    (shell,) = [each.text for each in blocks(CONTAINERS) if each.language == "sh"]
    assert f"--publish 127.0.0.1:{transport.port}:{transport.port}" in shell


def unit(sandbox: Sandbox) -> str:
    """Return the page's unit with this machine's mcp-host."""
    text = block(SYSTEMD, "mcp-host.service")
    return text.replace("/opt/mcp-host/bin/", f"{sandbox.scripts}/").replace("/etc/mcp-host", str(sandbox.home))


@pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")
@pytest.mark.parametrize("typing", ["", "ProtectHom", "/bin/nothing"])
def test_systemd_accepts_the_unit_and_would_see_a_mistake(sandbox: Sandbox, typing: str) -> None:
    text = unit(sandbox)
    if typing == "ProtectHom":
        text = text.replace("ProtectHome", typing)
    elif typing:
        text = re.sub(r"ExecStart=\S+", f"ExecStart={typing}", text)
    file = sandbox.home / "mcp-host.service"
    file.write_text(text, encoding="utf-8")
    assert ANALYZE is not None
    command = [ANALYZE, "verify", "--man=no", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "mcp-host" in line]
    assert bool(complaints) is bool(typing), done.stderr


def test_the_command_of_the_unit_serves(sandbox: Sandbox) -> None:
    printed, code = sandbox.run(f"mcp-host init stats --http --config {sandbox.home}/mcp-host.toml")
    assert code == 0, printed
    (command,) = re.findall(r"^ExecStart=.*/(mcp-host .+)$", unit(sandbox), re.MULTILINE)
    printed, code = sandbox.run(command)
    assert code is None, printed
