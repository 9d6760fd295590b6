"""What a plugin contributes works from a process of its own, in both eras, or its record says that it does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from mcp import Client
from mcp.types import PromptReference, ResourceTemplateReference, TextContent

from mcp_host.cli.check import summary_of
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host
from support.talking import read, refusal, text_of

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])

PLUGIN = """
    import os

    from mcp_host import Plugin, ToolError
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    plugin = Plugin()


    @plugin.tool
    def pid() -> int:
        return os.getpid()


    @plugin.tool
    def fail() -> str:
        raise ToolError("as it says")


    @plugin.resource("thing://fixed")
    def fixed() -> str:
        return "fixed"


    @plugin.resource("thing://{name}/page")
    def page(name: str) -> str:
        return f"page of {name}"


    @plugin.prompt
    def ask(topic: str) -> str:
        return f"Ask about {topic}"


    @plugin.completion("ask", "topic")
    def topics(value: str) -> list[str]:
        return [each for each in ("cats", "cars") if each.startswith(value)]


    @plugin.completion("thing://{name}/page", "name")
    def names(value: str) -> list[str]:
        return ["one"]


    @plugin.middleware
    async def wrapped(call, call_next):
        with open("calls.txt", "a") as file:
            file.write(f"{call.kind} {call.name}\\n")
        return await call_next(call)


    @plugin.check
    def sound() -> str | None:
        return "it is not sound" if os.path.exists("unsound") else None


    @plugin.observer
    def seen(event) -> None:
        pass


    @plugin.route("/hello")
    async def hello(request):
        return PlainTextResponse("hello")
"""


def config(folder: Path) -> Path:
    (folder / "ours.py").write_text(dedent(PLUGIN), encoding="utf-8")
    file = folder / "mcp-host.toml"
    table = f'[plugins.ours]\nobject = "ours.py:plugin"\nisolation = "process"\ncwd = {json.dumps(str(folder))}\n'
    file.write_text(f'[host]\ndata_dir = "data"\n{table}', encoding="utf-8")
    return file


@each_era
async def test_everything_that_is_called_works_from_a_process_of_its_own(tmp_path: Path, mode: Any) -> None:
    async with connect(config(tmp_path), mode=mode) as client:
        assert text_of(await client.call_tool("pid", {})) != str(os.getpid())
        assert "as it says" in await refusal(client, "fail")
        assert (await read(client, "thing://fixed")).text == "fixed"
        assert (await read(client, "thing://one/page")).text == "page of one"
        content = (await client.get_prompt("ask", {"topic": "cats"})).messages[0].content
        assert isinstance(content, TextContent)
        assert content.text == "Ask about cats"
        prompt = PromptReference(type="ref/prompt", name="ask")
        completed = await client.complete(ref=prompt, argument={"name": "topic", "value": "cat"})
        assert completed.completion.values == ["cats"]
        template = ResourceTemplateReference(type="ref/resource", uri="thing://{name}/page")
        completed = await client.complete(ref=template, argument={"name": "name", "value": ""})
        assert completed.completion.values == ["one"]
    calls = (tmp_path / "calls.txt").read_text().splitlines()
    assert [call.split()[1] for call in calls] == ["pid", "fail", "thing://fixed", "thing://one/page", "ask"]


async def test_what_does_not_work_from_there_is_in_the_record(tmp_path: Path) -> None:
    file = config(tmp_path)
    for _ in range(2):
        # The second time, the process is not started.
        host = make_host(file)
        async with host.running(), Client(HostServer(host)):
            warnings = [warning.what for warning in host.records[0].warnings]
            assert "its routes do not work from a process of its own: /hello" in warnings
            assert "its observers do not work from a process of its own: seen" in warnings
            assert len(warnings) == 2


async def test_its_own_checks_are_run(tmp_path: Path) -> None:
    host = make_host(config(tmp_path))
    (check,) = host.plugins[0].contributions.checks
    assert await check.fn() is None  # type: ignore[misc]
    (tmp_path / "unsound").touch()
    assert await check.fn() == "sound: it is not sound"  # type: ignore[misc]


async def test_an_offline_check_does_not_start_it_for_its_own_checks(tmp_path: Path) -> None:
    (tmp_path / "unsound").touch()
    summary = await summary_of(make_host(config(tmp_path)), offline=True)
    assert list(summary.results) == []
    assert not (tmp_path / "data/ours/child.toml").exists()
