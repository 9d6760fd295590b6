from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from support.firstparty import in_wheel, is_licensed, needs_the_host, project_of

DATA = "mcp_plugin_stats/data"


def test_importing_the_plugin_imports_neither_duckdb_nor_matplotlib_nor_numpy() -> None:
    code = (
        "import sys; from mcp_plugin_stats import plugin; print(*{'duckdb', 'matplotlib', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_serving_imports_neither_because_they_are_used_in_the_worker() -> None:
    code = """
import sys, anyio
from mcp_host.testing import connect
from mcp_plugin_stats import plugin

async def main():
    async with connect(plugin) as client:
        for tool, arguments in [
            ("calculate_statistics", {"numbers": [1], "operation": "sum"}),
            ("describe_dataset", {"dataset": "penguins"}),
            ("histogram", {"dataset": "penguins", "column": "year"}),
            ("chart", {"dataset": "penguins", "kind": "bar", "x": "species"}),
        ]:
            assert not (await client.call_tool(tool, arguments)).is_error
    print(*{"duckdb", "matplotlib", "numpy"} & set(sys.modules))

anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_worker_starts_without_the_mcp_sdk() -> None:
    code = "import sys, mcp_plugin_stats.worker.desk, mcp_plugin_stats.worker.loading; print('mcp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_wheel_contains_the_penguins_and_their_source(tmp_path: Path) -> None:
    built = in_wheel("stats", tmp_path)
    notice = built[f"{DATA}/NOTICE.md"].decode()
    penguins = built[f"{DATA}/penguins.csv"]
    assert {"mcp_plugin_stats/py.typed", "mcp_plugin_stats/page/chart.js"} <= set(built)
    assert is_licensed(built)
    assert any(name.endswith("licenses/src/mcp_plugin_stats/data/NOTICE.md") for name in built)
    assert "CC0 1.0" in notice
    assert hashlib.sha256(penguins).hexdigest() in notice
    assert len(penguins.splitlines()) == 345


def test_the_installed_data_match_the_notice() -> None:
    folder = files("mcp_plugin_stats") / "data"
    digest = hashlib.sha256((folder / "penguins.csv").read_bytes()).hexdigest()
    assert digest in (folder / "NOTICE.md").read_text(encoding="utf-8")


def test_the_entry_point_names_the_plugin() -> None:
    project = project_of("stats")
    assert project["entry-points"]["mcp.plugins"] == {"stats": "mcp_plugin_stats:plugin"}
    assert needs_the_host("stats")
