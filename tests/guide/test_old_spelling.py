"""The page's blocks for mcp 1 run with mcp 1, with the results that the page shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guide.page import old_spelling

pytestmark = pytest.mark.network

LONGEST = 300.0

CALLS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "greeting": [("add", {"a": 1, "b": 2})],
    "calculator": [
        ("calculate_statistics", {"numbers": [1, 3], "operation": "sum"}),
        ("calculate_statistics", {"numbers": [1], "operation": "mode"}),
        ("long_running_task", {"task_name": "tidy"}),
    ],
    "structured": [
        ("get_detailed_weather", {"city": "x"}),
        ("get_location", {"address": "x"}),
        ("execute_query", {"sql": "SELECT 1"}),
    ],
    "datasets": [("read_and_analyze_resource", {"resource_uri": "config://settings"})],
    "reports": [("process_data_with_validation", {"request": {"data": "x", "callback_url": "secret"}})],
}

ASK = """
import asyncio, importlib, json, sys
from mcp.shared.memory import create_connected_server_and_client_session

async def main():
    answers = {}
    for name, calls in json.load(sys.stdin).items():
        server = importlib.import_module(name)
        if not calls:
            continue
        async with create_connected_server_and_client_session(server.mcp._mcp_server) as client:
            for tool, arguments in calls:
                result = await client.call_tool(tool, arguments)
                answers.setdefault(name, []).append([result.isError, result.structuredContent, result.content[0].text])
    print(json.dumps(answers))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def mcp_1(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An interpreter with mcp 1, and a folder with the page's old blocks."""
    folder = tmp_path_factory.mktemp("mcp_1")
    for name, text in old_spelling().items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=LONGEST)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "mcp>=1.20,<2", "pytest"]
    # This project's own constraints are for mcp 2.
    env = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    subprocess.run(install, check=True, timeout=LONGEST, env=env)
    return python, folder


def test_every_old_block_runs_with_mcp_1_with_the_results_on_the_page(mcp_1: tuple[Path, Path]) -> None:
    python, folder = mcp_1
    asked = {name: CALLS.get(name, []) for name in old_spelling()}
    done = subprocess.run(
        [str(python), "-c", ASK],
        cwd=folder,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers["greeting"] == [[False, {"result": 3}, "3"]]
    a_sum, unknown, _ = answers["calculator"]
    assert a_sum[1] is None, "a bare dict gives text only"
    assert unknown == [True, None, "Error executing tool calculate_statistics: Unknown operation: mode"]
    *_, plain_class = answers["structured"]
    assert plain_class[1] == {"query": "SELECT 1", "execution_time": 0.045, "rows": 10, "success": True}
    assert "DatabaseQuery object at 0x" in plain_class[2]
    ((failed, _, said),) = answers["reports"]
    assert failed
    assert "input_value='secret'" in said
    assert "errors.pydantic.dev" in said


def test_the_old_test_passes_with_mcp_1(mcp_1: tuple[Path, Path]) -> None:
    python, folder = mcp_1
    command = [str(python), "-m", "pytest", "-q", "-k", "asyncio", "test_greeting.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == 0, done.stdout
