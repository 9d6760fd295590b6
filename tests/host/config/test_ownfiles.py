"""Which files are the host's own, and which paths lead to them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from mcp_host import HostFacts
from mcp_host.config import load_config, parse_config
from mcp_host.config.ownfiles import CODE_PATHS, OWN_PATHS, code_paths, own_paths, secret_files

TOML = """
[host]
data_dir = "data"
[plugins.a]
settings.deep = [{ token = { file = "keys/a" } }, { env = "A" }]
[plugins.b]
url = "https://b.example/mcp"
headers.X = { file = "~/b", format = "Bearer {}" }
[plugins.c]
command = ["c"]
env = { T = { file = "/c" } }
"""


def test_every_file_of_a_secret_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = parse_config(TOML, source=tmp_path / "mcp-host.toml", environ={})
    assert secret_files(config) == [tmp_path / "keys/a", tmp_path / "home/b", Path("/c")]


def test_the_configuration_its_helpers_the_secrets_and_the_data_are_own_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/host.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "mcp-host.toml").symlink_to(tmp_path / "real/host.toml")
    own = own_paths(load_config(tmp_path / "mcp-host.toml", environ={}), {OWN_PATHS: f"/parent.toml{os.pathsep}/data"})
    names = ["mcp-host.toml", "real/host.toml", "real/.host.toml.lock", "real/.host.toml.edit", "keys/a", "data"]
    assert {tmp_path / name for name in names} <= set(own)
    assert {Path("/parent.toml"), Path("/data")} <= set(own), "a child host protects the files of its parent"


def test_code_is_found_in_files_modules_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = """
    [plugins.a]
    object = "code/a.py:plugin"
    [plugins.b]
    command = ["uv", "run", "b.py", "--data", "notes", "b.txt"]
    cwd = "b"
    [plugins.c]
    command = ["bin/c", { env = "C" }]
    [plugins.d]
    object = "json.decoder"
    """
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    config = parse_config(toml, source=tmp_path / "mcp-host.toml", environ={})
    found = code_paths(config, ["json.decoder", "math", "no.such"], {CODE_PATHS: "/parent.py"})
    here = {str(path.relative_to(tmp_path)) for path in found if path.is_relative_to(tmp_path)}
    assert here == {"code/a.py", "b/b.py", "bin/c", ".venv"}
    assert {Path("/parent.py"), Path(json.__file__).parent} <= set(found)


def test_a_path_is_own_by_whatever_name(tmp_path: Path) -> None:
    secret, data = tmp_path / "secret", tmp_path / "data"
    secret.touch()
    data.mkdir()
    (tmp_path / "link").symlink_to(secret)
    (tmp_path / "folder").symlink_to(data)
    os.link(secret, tmp_path / "hard")
    host = HostFacts("h", "0", "stdio", tmp_path, False, lambda: (secret, data, tmp_path / "later"))
    for own in ("secret", "link", "hard", "data", "data/x/y", "folder/x", "later", "data/../secret", "x/../later"):
        assert host.owns(tmp_path / own), own
    for other in (".", "secrets", "x", "data2/y"):
        assert not host.owns(tmp_path / other), other
