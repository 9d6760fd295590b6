"""The MCP Inspector's command lines: `mcp-inspector --cli`, one request a run, and `mcpdo`, many on one connection.

The first has no completion, no subscriptions, no answers to questions and shows no progress; the second has all but the
last. Both take the changes of lists in and show none: the TypeScript clients test those.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from clients.conftest import Shop
    from e2e.conftest import Done, Process

each_era = pytest.mark.parametrize("era", ["legacy", "modern"])


@pytest.fixture(scope="module")
def served(shared_shop: Shop) -> Iterator[Process]:
    with shared_shop.cli.serve() as process:
        yield process


@each_era
def test_the_cli_sends_every_request_over_http(era: str, shared_shop: Shop, served: Process) -> None:
    def inspect(method: str, *args: str) -> Done:
        options = ["--protocol-era", era, "--format", "json", "--quiet", "--method", method]
        return shared_shop.run("mcp-inspector", "--cli", served.url, *options, *args)

    def result(method: str, *args: str) -> Any:
        done = inspect(method, *args)
        assert done.code == 0, done.err
        return done.json["result"]

    assert result("initialize")["serverInfo"]["name"] == "shop"
    assert {"add", "touch"} <= {tool["name"] for tool in result("tools/list")["tools"]}
    assert result("tools/call", "--tool-name", "add", "--tool-args-json", '{"a": 2, "b": 3}')["structuredContent"] == {
        "result": 5
    }
    assert [resource["uri"] for resource in result("resources/list")["resources"]][1:] == [
        "note://today",
        "pixel://one",
    ]
    assert [template["uriTemplate"] for template in result("resources/templates/list")["resourceTemplates"]] == [
        "note://by/{author}"
    ]
    assert result("resources/read", "--uri", "note://by/ann")["contents"][0]["text"] == "notes by ann"
    assert [prompt["name"] for prompt in result("prompts/list")["prompts"]] == ["review"]
    prompt = result("prompts/get", "--prompt-name", "review", "--prompt-args", "topic=cats")
    assert prompt["messages"][0]["content"]["text"] == "Review cats in a kind tone."
    if era == "legacy":
        assert result("logging/setLevel", "--log-level", "debug") == {}


def test_the_cli_shows_errors(shared_shop: Shop, served: Process) -> None:
    def error(method: str, *args: str) -> tuple[int, str]:
        options = ["--protocol-era", "auto", "--format", "json", "--quiet", "--method", method]
        done = shared_shop.run("mcp-inspector", "--cli", served.url, *options, *args)
        return done.code, done.out + done.err

    code, says = error("tools/call", "--tool-name", "add", "--tool-arg", "a=x")
    assert code == 5
    assert "Invalid arguments for tool add: a: Input should be a valid integer; b: Field required" in says
    code, says = error("resources/read", "--uri", "note://tody")
    assert code == 1
    assert "Unknown resource: note://tody (did you mean 'note://today'?)" in says
    code, says = error("prompts/get", "--prompt-name", "review")
    assert code == 1
    assert "Prompt review: missing argument topic" in says
    code, says = error("tools/call", "--tool-name", "dye", "--tool-arg", "thing=wool")
    assert code == 1
    assert "Client did not declare the form elicitation capability" in says


def test_the_cli_starts_a_server_on_stdio(shared_shop: Shop) -> None:
    # It passes only a few variables of its environment to its server.
    path = ["-e", f"PYTHONPATH={shared_shop.cli.env['PYTHONPATH']}"]
    options = ["--format", "json", "--quiet", *path, "--method", "tools/call"]
    call = ["--tool-name", "greet", "--tool-arg", "name=Ann"]
    done = shared_shop.run("mcp-inspector", "--cli", *options, *call, "--", *shared_shop.command)
    assert done.code == 0, done.err
    assert done.json["result"]["content"][0]["text"] == "Hello, Ann!"


class Mcpdo:
    """`mcpdo` with its own daemon and one connection, called `shop`."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def __call__(self, *args: str) -> Any:
        done = self.shop.run("mcpdo", "--format", "json", "--connection", "shop", *args)
        assert done.code == 0, done.out + done.err
        return done.json

    @contextmanager
    def streaming(self, *args: str) -> Iterator[Process]:
        program = "node_modules/.bin/mcpdo"
        with self.shop.client(program, "--format", "json", "--connection", "shop", *args) as process:
            yield process


@pytest.fixture
def mcpdo(shared_shop: Shop) -> Iterator[Mcpdo]:
    # Not in the test's own folder, because the path of a socket may have only 107 characters.
    with tempfile.TemporaryDirectory(prefix="mcpdo-") as folder:
        own = {"MCP_INSPECTOR_DAEMON_DIR": folder, "MCP_INSPECTOR_DAEMON_TOKEN": "of this test"}
        env = {**shared_shop.cli.env, **own, "MCP_INSPECTOR_SECRET_STORE": "file"}
        shop = replace(shared_shop, cli=replace(shared_shop.cli, env=env))
        try:
            yield Mcpdo(shop)
        finally:
            assert shop.run("mcpdo", "daemon", "stop").code == 0


@pytest.mark.parametrize(
    ("era", "http"), [("legacy", True), ("modern", False)], ids=["legacy over http", "modern over stdio"]
)
def test_mcpdo_completes_answers_questions_and_follows_a_resource(
    era: str, http: bool, mcpdo: Mcpdo, served: Process
) -> None:
    path = f"PYTHONPATH={mcpdo.shop.cli.env['PYTHONPATH']}"
    target = [served.url] if http else ["-e", path, "--", *mcpdo.shop.command]
    assert mcpdo("connect", "--era", era, *target)["protocolEra"] == era

    def complete(kind: str, ref: str, name: str, value: str) -> Any:
        reference = ["--complete-ref-type", kind, "--complete-ref", ref]
        argument = ["--complete-arg-name", name, "--complete-arg-value", value]
        return mcpdo("prompts/complete", *reference, *argument)["values"]

    assert complete("ref/prompt", "review", "topic", "ca") == ["cats", "cars"]
    assert complete("ref/resource", "note://by/{author}", "author", "a") == ["ann", "bob"]

    question = mcpdo("tools/call", "dye", "thing:=wool")["elicitationPending"]
    assert (question["message"], question["mode"]) == ("Which colour?", "form")
    assert question["requestedSchema"]["properties"]["colour"]["enum"] == ["red", "blue"]
    result = mcpdo("elicitation/respond", question["elicitationId"], "colour:=red")
    assert result["content"][0]["text"] == "wool: red"
    if era == "legacy":
        question = mcpdo("tools/call", "paint", "thing:=door")["elicitationPending"]
        result = mcpdo("elicitation/respond", question["elicitationId"], "--decline")
        assert result["content"][0]["text"] == "decline: left as it is"

    with mcpdo.streaming("resources/subscribe", "note://today") as following:
        following.until('"subscribed"')
        mcpdo("tools/call", "touch", "uri:=note://today")
        following.until('"resources/updated"')
        assert '"note://today"' in following.until('"uri"')
        following.signal(signal.SIGINT)
        following.wait()
