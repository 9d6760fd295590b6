"""The picture of the landing page is what the commands print today."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import ModuleType

import pytest

from support.pages import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("picture", ROOT / "tools" / "docs" / "picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_what_the_commands_print_today() -> None:
    picture = load()
    assert picture.PICTURE.read_text(encoding="utf-8") == picture.draw(), "make docs draws it again"


def test_the_picture_fetches_nothing_and_runs_nothing() -> None:
    svg = load().PICTURE.read_text(encoding="utf-8")
    assert re.findall(r"(?:url\(|href=\"|src=\")(?!#)(.*?)[)\"]", svg) == []
    assert "<script" not in svg
    assert "Something is wrong." in re.sub("&#160;", " ", svg)
