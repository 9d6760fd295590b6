"""The official conformance suite passes with `mcp-host run` and a plugin that has its fixtures."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from conformance import suite
from support import node
from support.processes import Cli, Process
from support.sites import Site

HERE = Path(__file__).parent
EXPECTED: dict[str, Any] = tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))
OLDER, NEWER = "0.1.16", "0.2.0-alpha.12"
REQUIRED = {OLDER: 31, "2025-11-25": 30, "2026-07-28": 37}
"""How many scenarios are required."""


@pytest.fixture(scope="module", params=["plugin", "process", "url"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Serve the fixtures: as a plugin, or from another server, which is a child process or at a URL."""
    try:
        node.packages()
    except node.MissingError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("conformance")
    site = Site(folder / "site", folder)
    package = HERE / "mcp_plugin_conformance"
    files = {f"{package.name}/{path.name}": path.read_text(encoding="utf-8") for path in package.glob("*.py")}
    site.install("mcp-plugin-conformance", files, plugins={"conformance": package.name})
    cli = Cli(folder, node.environment(PYTHONPATH=str(site.folder), PYTHONUNBUFFERED="1"), longest=300)
    front = '[host]\nname = "conformance"\ndata_dir = "data"\n[transport]\nresumable = true\n[plugins.conformance]\n'
    with ExitStack() as stack:
        if request.param == "process":
            front += 'isolation = "process"\nera = "caller"\n'
        if request.param == "url":
            back = Cli(tmp_path_factory.mktemp("back"), cli.env, longest=300)
            back.config('[host]\nname = "back"\n[plugins.conformance]\n')
            front += f'url = "{stack.enter_context(back.serve()).url}"\nera = "caller"\n'
        cli.config(front)
        yield stack.enter_context(cli.serve())


def passing(
    served: Process,
    tmp_path: Path,
    version: str,
    revision: str | None,
    required: Set[str],
    *,
    timed: Collection[str] = (),
) -> dict[str, suite.Scenario]:
    """Run the suite. Required scenarios pass without a warning, the others have the result in expected.toml."""
    others: dict[str, dict[str, Any]] = EXPECTED[revision or version]["others"]
    assert len(required) == REQUIRED[revision or version]
    expected: dict[str, suite.Result] = {
        **dict.fromkeys(required, "passes"),
        **{name: line["result"] for name, line in others.items()},
    }
    options, alone = ["--requirements", revision or ""], ["--spec-version", revision or ""]
    if revision is None:
        options, alone = ["--suite", "all"], []
    scenarios = suite.run_steadily(version, served.url, tmp_path, options, alone, expected, timed)
    wrong = [name for name, scenario in scenarios.items() if scenario.result != expected.get(name)]
    problems = "\n".join(line for name in wrong for line in scenarios[name].problems)
    assert {name: scenario.result for name, scenario in scenarios.items()} == expected, problems
    assert all(line["reason"] for line in others.values())
    return scenarios


def assert_saw(scenarios: dict[str, suite.Scenario], name: str, *texts: str) -> None:
    """Check that a scenario which every server passes really saw this plugin's fixture."""
    for text in texts:
        assert text in scenarios[name].details, f"{name} passed without having seen {text!r}"


def assert_saw_the_tools(scenarios: dict[str, suite.Scenario]) -> None:
    assert_saw(scenarios, "tools-call-simple-text", "This is a simple text response for testing.")
    assert_saw(scenarios, "tools-call-error", "This tool intentionally returns an error for testing")


def test_the_release_0_1_16_passes(served: Process, tmp_path: Path) -> None:
    scenarios = passing(served, tmp_path, OLDER, None, set(EXPECTED[OLDER]["required"]))
    assert_saw_the_tools(scenarios)
    assert_saw(scenarios, "server-sse-multiple-streams", '"functionalSseStreams": 3')


def test_the_requirements_of_2025_11_25_are_met(served: Process, tmp_path: Path) -> None:
    revision = "2025-11-25"
    scenarios = passing(served, tmp_path, NEWER, revision, suite.required(NEWER, revision))
    assert_saw_the_tools(scenarios)
    assert_saw(scenarios, "server-sse-multiple-streams", '"functionalSseStreams": 3')


def test_the_requirements_of_2026_07_28_are_met(
    served: Process, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    revision = "2026-07-28"
    is_forwarded = request.node.callspec.params["served"] != "plugin"
    timed = EXPECTED[revision]["timed-when-forwarded"]["checks"] if is_forwarded else ()
    scenarios = passing(served, tmp_path, NEWER, revision, suite.required(NEWER, revision), timed=timed)
    assert_saw_the_tools(scenarios)
    assert_saw(scenarios, "input-required-result-ignore-extra-params", "Hello, Alice!")
    assert_saw(scenarios, "input-required-result-validate-input", '"code": -32602', "What is your name?")
    # unsupported-methods lists a tool and a prompt that ask questions when they are called.
    assert_saw(scenarios, "tools-list", "test_input_required_result_elicitation")
    assert_saw(scenarios, "input-required-result-non-tool-request", "What context should the prompt use?")


@pytest.mark.parametrize(
    ("statuses", "result"),
    [
        (["SUCCESS", "INFO"], "passes"),
        (["SUCCESS", "WARNING"], "warns"),
        (["SUCCESS", "FAILURE", "WARNING"], "fails"),
        (["INFO", "SKIPPED"], "empty"),
        ([], "empty"),
    ],
)
def test_a_scenario_passes_only_with_a_check_that_passed(statuses: list[str], result: str) -> None:
    assert suite.Scenario("name", [{"status": status} for status in statuses]).result == result


def test_simultaneous_calls_each_get_a_stream_in_2026_07_28(served: Process) -> None:
    """server-sse-multiple-streams does not test this: it lists tools, and lists are not sent as streams."""

    def call(number: int) -> list[dict[str, Any]]:
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "progressToken": f"token-{number}",
        }
        params = {"name": "test_tool_with_progress", "arguments": {}, "_meta": meta}
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": "test_tool_with_progress",
        }
        message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        answer = httpx2.post(served.url, json=message, headers=headers, timeout=60)
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line.removeprefix("data:")) for line in answer.text.splitlines() if line.startswith("data:")]

    with ThreadPoolExecutor(3) as pool:
        for number, events in enumerate(pool.map(call, range(3))):
            *progress, result = events
            assert [event["params"]["progress"] for event in progress] == [0, 50, 100]
            assert {event["params"]["progressToken"] for event in progress} == {f"token-{number}"}
            assert result["id"] == number
            assert result["result"]["content"][0]["text"] == "Tool with progress executed successfully"
