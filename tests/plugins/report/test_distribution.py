from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mcp_host.testing import contract
from support.firstparty import PLUGINS, in_wheel, is_licensed, needs_the_host, project_of

PLUGIN = PLUGINS / "mcp-plugin-report"


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
    names = in_wheel("report", tmp_path)
    for name in ("report.html", "report.md", "style.css", "view.html", "view.js"):
        assert f"mcp_plugin_report/templates/{name}" in names
    assert "mcp_plugin_report/py.typed" in names
    assert is_licensed(names)


def test_the_entry_point_names_the_plugin() -> None:
    project = project_of("report")
    assert project["entry-points"]["mcp.plugins"] == {"report": "mcp_plugin_report:plugin"}
    assert needs_the_host("report")
