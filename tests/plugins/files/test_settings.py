from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mcp_host import HostFacts, PluginContext
from mcp_plugin_files.checks import folders_are_there
from mcp_plugin_files.settings import RootFolder, Settings


def test_a_path_is_the_short_form_of_a_table() -> None:
    settings = Settings.model_validate({"roots": {"docs": "a", "src": {"path": "b", "writable": True}}})
    assert settings.folders == {"docs": RootFolder(path="a"), "src": RootFolder(path="b", writable=True)}
    assert settings.writable
    assert not Settings.model_validate({"roots": {"docs": "a"}}).writable
    assert not Settings().writable


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"roots": {"My Docs": "a"}}, "roots.My Docs"),
        ({"roots": {"Docs": "a"}}, "should match pattern"),
        ({"roots": {"a/b": "a"}}, "should match pattern"),
        ({"roots": {"docs": {"path": ""}}}, "at least 1 character"),
        ({"roots": {"docs": {}}}, "path"),
        ({"roots": {"docs": {"path": "a", "writeable": True}}}, "writeable"),
        ({"roots": {"docs": {"path": "a", "encoding": "klingon"}}}, "there is no text encoding 'klingon'"),
        ({"roots": {"docs": {"path": "a", "encoding": "zlib"}}}, "there is no text encoding 'zlib'"),
        ({"roots": {"docs": {"path": "a", "ignore": ["!"]}}}, "Invalid git pattern: '!'"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_results": 0}, "max_results"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(settings)
    assert said in str(caught.value)


def test_every_setting_is_described() -> None:
    for model in (Settings, RootFolder):
        for name, field in model.model_fields.items():
            assert field.description, name


def test_the_check_names_the_folders_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "file").touch()

    def ask(roots: dict[str, Any]) -> str | None:
        host = HostFacts(name="h", version="0", transport="stdio", base_dir=tmp_path)
        settings = Settings.model_validate({"roots": roots})
        return folders_are_there(
            PluginContext("files", settings, logging.getLogger("files"), host, tmp_path / "private")
        )

    assert ask({"a": "good", "b": {"path": "good", "writable": True}}) is None
    assert ask({"a": "gone", "b": "file"}) == "a: there is no folder gone; b: file is not a folder"
    assert ask({}) == 'no folder is configured: for example, add settings.roots.docs = "docs"'


def test_the_check_names_folders_without_the_required_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may do everything, so `os.access` is replaced.
    (tmp_path / "shut").mkdir()
    allowed = {os.W_OK: False, os.R_OK | os.X_OK: True}
    monkeypatch.setattr(os, "access", lambda path, mode: allowed[mode])
    host = HostFacts(name="h", version="0", transport="stdio", base_dir=tmp_path)
    settings = Settings.model_validate({"roots": {"a": {"path": "shut", "writable": True}}})
    context = PluginContext("files", settings, logging.getLogger("files"), host, tmp_path / "private")
    assert folders_are_there(context) == "a: shut has writable = true but may not be written"
    allowed[os.R_OK | os.X_OK] = False
    assert folders_are_there(context) == "a: shut may not be read"
