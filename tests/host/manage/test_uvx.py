"""The entry of a mcp-host that runs in an environment of uvx: a command of uvx, with what it was given."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from mcp_host.errors import HostError
from mcp_host.manage.clientenv import INHERITED
from mcp_host.manage.install import command_entry
from mcp_host.manage.uvx import uv_variables
from support.sites import Site


@pytest.fixture
def uvx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uvx on PATH, and this process in an environment of its cache."""
    prefix = tmp_path / "uv/archive-v0/4f3a"
    for folder in (prefix / "bin", tmp_path / "bin"):
        folder.mkdir(parents=True)
        for name in ("uvx", "uv"):
            (folder / name).write_text("#!/bin/sh\n", encoding="utf-8")
            (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setenv("PATH", os.pathsep.join([str(prefix / "bin"), "relative", str(tmp_path / "bin")]))
    for name in [name for name in os.environ if name.startswith(("UV", "SSL_", "PYTHON"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "bin/uvx"


def test_the_entry_is_a_command_of_uvx_with_the_versions_of_what_is_enabled(
    uvx: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("good", version="2.1")
    site.plugin("local")
    project = uvx.parent.parent / "local"
    direct = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (site.folder / "mcp_plugin_local-1.0.dist-info/direct_url.json").write_text(json.dumps(direct), encoding="utf-8")
    config = site.config("[plugins.good]\n[plugins.local]\n").located(
        Path("mcp-host.toml").absolute(), user_data=None, origins=site.config("")._origins
    )
    monkeypatch.setenv("UV_FIND_LINKS", "links")
    (uvx.parent.parent / "links").mkdir()
    entry = command_entry(None, config, {"A": "1"})
    assert entry["command"] == str(uvx)
    words = entry["args"]
    assert words[:3] == ["--python", f"{sys.version_info.major}.{sys.version_info.minor}", "--from"]
    assert words[3].startswith("mcp-host")
    pairs = list(zip(words[4::2], words[5::2], strict=False))
    assert ("--with", "mcp-plugin-good==2.1") in pairs
    assert ("--with-editable", str(project)) in pairs
    assert words[words.index("mcp-host") :] == [
        *("mcp-host", "run", "--transport", "stdio", "--config"),
        str(Path("mcp-host.toml").absolute()),
    ]
    assert entry["env"]["UV_FIND_LINKS"] == str(Path("links").absolute())
    assert entry["env"]["A"] == "1"
    assert not any(sys.prefix in word for word in [entry["command"], *words])


def test_without_a_uvx_that_stays_there_is_no_entry(uvx: Path, site: Site) -> None:
    for name in ("uvx", "uv"):
        (uvx.parent / name).unlink()
    site.plugin("good")
    config = site.config("[plugins.good]\n").located(Path("x.toml"), user_data=None, origins=site.config("")._origins)
    with pytest.raises(HostError, match="temporary environment") as caught:
        command_entry(None, config, {})
    assert "uv tool install mcp-host" in caught.value.hint
    assert "--with mcp-plugin-good" in caught.value.hint


def test_uv_itself_runs_the_tool_if_there_is_no_uvx(uvx: Path, site: Site) -> None:
    uvx.unlink()
    config = site.config("").located(Path("x.toml"), user_data=None, origins=site.config("")._origins)
    entry = command_entry(None, config, {})
    assert (entry["command"], entry["args"][:2]) == (str(uvx.with_name("uv")), ["tool", "run"])


def test_a_password_of_an_index_is_not_written_unasked() -> None:
    with pytest.raises(HostError, match="UV_INDEX_URL") as caught:
        uv_variables({"UV_INDEX_URL": "https://me:hush@pypi.example/simple"})
    assert "hush" not in str(caught.value.problem)
    assert uv_variables({"UV_INDEX_URL": "https://pypi.example/simple", "OTHER": "x"}) == {
        "UV_INDEX_URL": "https://pypi.example/simple"
    }


def test_the_environment_of_a_client_is_the_one_of_the_sdk() -> None:
    from mcp.client.stdio import DEFAULT_INHERITED_ENV_VARS

    assert set(DEFAULT_INHERITED_ENV_VARS) == INHERITED
    assert version("mcp").startswith("2.")
