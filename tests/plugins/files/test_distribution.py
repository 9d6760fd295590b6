from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mcp_host.testing import contract
from support.firstparty import PLUGINS, in_wheel, is_licensed, needs_the_host, project_of

PLUGIN = PLUGINS / "mcp-plugin-files"
HEAVY = ("re2", "webencodings", "pathspec", "pypdf", "docx", "openpyxl", "pptx")


def test_the_plugin_keeps_the_contract(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for writable in (False, True):
        settings = {"roots": {"docs": {"path": "docs", "writable": writable}}}
        report = contract(PLUGIN, settings=settings, base_dir=tmp_path, import_budget=30)
        report.raise_for_problems()


def test_importing_the_plugin_imports_none_of_its_libraries() -> None:
    code = f"import sys, mcp_plugin_files; print(*set({HEAVY}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_wheel_is_typed_and_licensed(tmp_path: Path) -> None:
    names = in_wheel("files", tmp_path)
    assert "mcp_plugin_files/py.typed" in names
    assert "mcp_plugin_files/tools/read.py" in names
    assert is_licensed(names)


def test_the_entry_point_names_the_plugin() -> None:
    project = project_of("files")
    assert project["entry-points"]["mcp.plugins"] == {"files": "mcp_plugin_files"}
    assert needs_the_host("files")
