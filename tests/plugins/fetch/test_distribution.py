from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mcp_host.testing import contract
from support.firstparty import PLUGINS, in_wheel, is_licensed, needs_the_host, project_of

PLUGIN = PLUGINS / "mcp-plugin-fetch"
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
    names = in_wheel("fetch", tmp_path)
    assert {"mcp_plugin_fetch/py.typed", "mcp_plugin_fetch_worker/__main__.py"} <= set(names)
    assert is_licensed(names)


def test_the_entry_point_names_the_plugin() -> None:
    project = project_of("fetch")
    assert project["entry-points"]["mcp.plugins"] == {"fetch": "mcp_plugin_fetch:plugin"}
    assert needs_the_host("fetch")
