from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from mcp_host.testing import contract

PLUGIN = Path(__file__).parents[3] / "plugins" / "mcp-plugin-fetch"
HEAVY = "{'httpx2', 'httpcore2', 'html_to_markdown', 'selectolax', 'pypdf', 'protego', 'cachetools', 'webencodings'}"


def test_the_plugin_keeps_the_contract() -> None:
    contract("mcp_plugin_fetch:plugin", name="fetch", import_budget=30).raise_for_problems()


def test_importing_the_plugin_imports_none_of_its_libraries() -> None:
    # The SDK itself imports httpx2.
    code = f"""
import sys
import mcp.types, mcp.server.mcpserver
before = set(sys.modules)
import mcp_plugin_fetch
print(*{HEAVY} & (set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_process_that_serves_never_imports_the_converter() -> None:
    code = """
import sys, anyio
from mcp_plugin_fetch.conversion import convert

page = anyio.run(lambda: convert("html", b"<h1>Hi</h1>", "http://x/", memory=2**30, most=100))
print(page.text, {"html_to_markdown", "selectolax", "pypdf"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "# Hi set()"


def test_the_wheel_holds_the_worker_and_the_licence(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=PLUGIN,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"mcp_plugin_fetch/py.typed", "mcp_plugin_fetch_worker/__main__.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["mcp.plugins"] == {"fetch": "mcp_plugin_fetch:plugin"}
    assert any(requirement.startswith("mcp-host>=") for requirement in project["dependencies"])
