"""The public surface is what the snapshot says, and importing it is cheap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from surface.surface import surface

ROOT = Path(__file__).parents[2]
SNAPSHOT = ROOT / "tests/surface/surface.json"


def test_the_public_surface_only_changes_with_its_snapshot() -> None:
    recorded = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert surface() == recorded, "within a major version this may only grow; see tests/surface/surface.py"


def test_importing_the_author_s_api_imports_no_sdk() -> None:
    code = (
        "import sys, mcp_host; from mcp_host import Plugin, Tool, hookimpl; "
        "sys.exit(int(any(name.partition('.')[0] in ('mcp', 'mcp_types') for name in sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
