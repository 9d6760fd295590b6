from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from mcp_host.testing import contract

PLUGIN = Path(__file__).parents[3] / "plugins" / "mcp-plugin-files"
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
    source = tmp_path / "source"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "mcp_plugin_files/py.typed" in names
    assert "mcp_plugin_files/tools/read.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["mcp.plugins"] == {"files": "mcp_plugin_files"}
    assert any(requirement.startswith("mcp-host>=") for requirement in project["dependencies"])
