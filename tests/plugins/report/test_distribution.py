from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from mcp_host.testing import contract

PLUGIN = Path(__file__).parents[3] / "plugins" / "mcp-plugin-report"


def test_the_plugin_keeps_the_contract() -> None:
    report = contract(PLUGIN)
    report.raise_for_problems()
    # The time of the import depends on the machine. The next test checks what it must not import.
    warned = {result.rule.id for result in report.results if result.findings}
    assert warned <= {"import-time"}


def test_jinja_is_imported_for_the_first_document() -> None:
    code = """
import sys, tempfile, anyio
from mcp_host.testing import connect
from mcp_plugin_report import plugin

async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with connect(plugin, options={"host": {"data_dir": folder}}) as client:
            for question in (client.call_tool("list_sources", {}), client.read_resource("ui://report/view.html")):
                await question
                print("jinja2" in sys.modules)

anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_wheel_contains_the_templates(tmp_path: Path) -> None:
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
    for name in ("report.html", "report.md", "style.css", "view.html", "view.js"):
        assert f"mcp_plugin_report/templates/{name}" in names
    assert "mcp_plugin_report/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["mcp.plugins"] == {"report": "mcp_plugin_report:plugin"}
    assert any(requirement.startswith("mcp-host>=") for requirement in project["dependencies"])
