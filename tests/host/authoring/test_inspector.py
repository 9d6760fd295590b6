"""Which MCP Inspector is opened for which Node.js."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_host.authoring.inspector import choose_release, find_inspector
from mcp_host.errors import HostError


@pytest.mark.parametrize(
    ("node", "release"),
    [
        ("v24.1.0", "2.12.0"),
        ("v22.19.0", "2.12.0"),
        ("v22.18.0", "1.0.3"),
        ("v22.7.5", "1.0.3"),
        ("v20.20.2", "0.15.0"),
        ("v18.0.0", "0.15.0"),
        ("v16.20.0", None),
        ("", None),
        ("bun 1", None),
    ],
)
def test_the_release_is_one_that_runs_on_the_node_that_is_there(node: str, release: str | None) -> None:
    assert choose_release(node) == release


def program(folder: Path, name: str, prints: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {prints}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_newer_inspector_gets_the_url_and_an_older_one_s_user_gets_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    program(tmp_path, "npx", "")
    program(tmp_path, "node", "v22.19.0")
    found = find_inspector("http://127.0.0.1:8000/mcp")
    assert found.command[1:] == (
        "--yes",
        "@modelcontextprotocol/inspector@2.12.0",
        "--web",
        "--transport",
        "http",
        "--server-url",
        "http://127.0.0.1:8000/mcp",
    )
    assert found.hint == ""
    program(tmp_path, "node", "v20.0.0")
    found = find_inspector("http://127.0.0.1:8000/mcp")
    assert found.command[1:] == ("--yes", "@modelcontextprotocol/inspector@0.15.0")
    assert "http://127.0.0.1:8000/mcp" in found.hint
    program(tmp_path, "node", "v12.0.0")
    with pytest.raises(HostError, match=r"no MCP Inspector runs on Node\.js v12\.0\.0"):
        find_inspector("http://127.0.0.1:8000/mcp")


def test_without_node_the_error_has_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="needs Node") as caught:
        find_inspector("http://127.0.0.1:8000/mcp")
    assert "--no-inspector" in caught.value.hint
