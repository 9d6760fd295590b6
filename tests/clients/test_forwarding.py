"""Every client sees another server through the host as it sees it without: in every pairing of protocol eras.

Each session takes all steps. What a client sees in a step is compared with what a client without the host sees.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from clients.conftest import LONGEST, clients_in
from clients.driving import HERE, KINDS, LEGACY, MODERN, Driven, Kind, Step, driven
from support import node
from support.processes import Cli, Process

SERVER = [sys.executable, str(HERE / "other.py")]
URI = "thing://fixed"
OF_ALL = 3600.0
"""How long a server may run that all tests of this module share, in seconds."""

UPDATED = "notifications/resources/updated"
LISTS_CHANGED = [f"notifications/{kind}/list_changed" for kind in ("prompts", "resources", "tools")]
LOG_LEVEL, SERVER_INFO, SUBSCRIPTION = (
    f"io.modelcontextprotocol/{name}" for name in ("logLevel", "serverInfo", "subscriptionId")
)

SAMPLE = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "written"}, "stopReason": "endTurn"}
ROOTS = {"roots": [{"uri": "file:///a", "name": "a"}, {"uri": "file:///b", "name": "b"}]}
DECLINED, CANCELLED = {"action": "decline"}, {"action": "cancel"}


def named(name: str) -> dict[str, Any]:
    return {"action": "accept", "content": {"name": name}}


def call(tool: str, /, *answers: Mapping[str, Any], **arguments: Any) -> Step:
    return Step("tools/call", {"name": tool, "arguments": arguments}, answers)


def read(uri: str) -> Step:
    return Step("resources/read", {"uri": uri})


def prompt(name: str, /, **arguments: str) -> Step:
    return Step("prompts/get", {"name": name, "arguments": arguments})


def complete(ref: Mapping[str, str], name: str, **more: Any) -> Step:
    return Step("completion/complete", {"ref": ref, "argument": {"name": name, "value": "v"}, **more})


PROMPT, TEMPLATE = {"type": "ref/prompt", "name": "greet"}, {"type": "ref/resource", "uri": "thing://of/{name}"}

SAME = {
    "structured content": call("add", a=2, b=3),
    "arguments of every kind": call("show", value={"a": None, "b": [1, 1.5, "\u2028ü", {}], "": True}),
    "content of every kind": call("content"),
    "an error of a tool": call("fail"),
    "arguments that do not fit": call("add", a="x"),
    "an error with an own code and data": call("fail", how="protocol"),
    "_meta of a request": Step("tools/call", {"name": "meta", "arguments": {}, "_meta": {"mine": {"x": None}}}),
    "progress": Step("tools/call", {"name": "walk", "arguments": {"steps": 4}}, progress="goes on"),
    "a call that is cancelled": Step("tools/call", {"name": "hold", "arguments": {}}, progress="cancels"),
    "the server sees the cancelling": call("held"),
    "a text": read(URI),
    "bytes": read("thing://bytes"),
    "a resource of a template": read("thing://of/a%20b"),
    "a path that the server refuses": read("thing://up/..%2F..%2Fetc%2Fpasswd"),
    "a prompt": prompt("greet", name="Eva"),
    "a prompt with content of several kinds": prompt("pose"),
    "a completion for a prompt": complete(PROMPT, "name"),
    "a completion for a template": complete(TEMPLATE, "name", context={"arguments": {"other": "chosen"}}),
    "a question in every version": call("resolved", named("Eva")),
    "a sample in every version": call("resolved_sample", SAMPLE),
    "the roots in every version": call("resolved_roots", ROOTS),
}
"""A client sees the same with and without the host, whatever the host and the other server speak."""

QUESTIONS = {
    "an accepted question": call("ask", named("Eva")),
    "a declined question": call("ask", DECLINED),
    "a cancelled question": call("ask", CANCELLED),
    "a question after another": call("ask_twice", named("Eva"), named("Max")),
    "a page to open": call("visit", {"action": "accept"}),
    "a sample": call("sample", SAMPLE),
    "the roots": call("roots", ROOTS),
}
"""Only a server of the handshake asks in the middle of a call. Through the host, it can ask clients of both eras."""

LISTED = ("tools/list", "resources/list", "resources/templates/list", "prompts/list")

CANCELLING = {"a call that is cancelled", "the server sees the cancelling"}

DEFAULTS = [("isError", False), ("mode", "form")]
"""What a server may leave out."""

ERRORS = {"an error with an own code and data", "a path that the server refuses"}
"""The steps that end with an error of the protocol."""


BY_ITSELF = ("roots/list", "notifications/message")
"""What the server of `NODE` sends at the beginning of a session."""

NODE = {
    # It asks for the roots by itself when a session begins. This step is the first, and takes long enough for that.
    "progress": Step(
        "tools/call",
        {"name": "trigger-long-running-operation", "arguments": {"duration": 1, "steps": 4}},
        answers=[ROOTS, ROOTS],
        progress="shown",
    ),
    "text": call("echo", message="\u00fc"),
    "arguments that do not fit": call("echo"),
    "a structured result": call("get-structured-content", location="Chicago"),
    "content with annotations": call("get-annotated-message", messageType="error", includeImage=True),
    "links": call("get-resource-links", count=2),
    "an accepted question": call("trigger-elicitation-request", named("Eva")),
    "a declined question": call("trigger-elicitation-request", DECLINED),
    "a sample": call("trigger-sampling-request", SAMPLE, prompt="Hello"),
    "a resource": read("demo://resource/static/document/features.md"),
    "a prompt": prompt("simple-prompt"),
    "a prompt with arguments": prompt("args-prompt", city="Bonn"),
    "a completion": Step(
        "completion/complete",
        {
            "ref": {"type": "ref/prompt", "name": "completable-prompt"},
            "argument": {"name": "name", "value": "A"},
            "context": {"arguments": {"department": "Engineering"}},
        },
    ),
    **{method: Step(method) for method in LISTED},
}
"""What a client sees of the reference server of the TypeScript SDK 1.x, which speaks the handshake only."""


def tidy(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client sees without what belongs to its era, to its connection or to its SDK."""
    events = [[name, _tidied(params)] for name, params in seen["events"] if name not in (UPDATED, *LISTS_CHANGED)]
    done = {key: _tidied(value) for key, value in seen.items() if key != "events"}
    if "error" in done:
        code, message = done["error"]["code"], done["error"]["message"]
        done["error"] = {**done["error"], "message": message.removeprefix(f"MCP error {code}: ")}
    return {"events": events, **done}


def _tidied(value: Any) -> Any:
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    of_the_connection = {"resultType", "ttlMs", "cacheScope", "elicitationId"}
    kept = {
        key: _tidied(item)
        for key, item in value.items()
        if key not in of_the_connection and (key, item) not in DEFAULTS
    }
    if "requestedSchema" in kept:
        # Some clients, and the newer version, know no title of a whole form.
        kept["requestedSchema"] = {key: item for key, item in kept["requestedSchema"].items() if key != "title"}
    if "_meta" in kept:
        own = {SERVER_INFO, SUBSCRIPTION, "mcp-host/plugin"}
        kept["_meta"] = {key: item for key, item in kept["_meta"].items() if key not in own}
        if not kept["_meta"]:
            del kept["_meta"]
    return kept


def without_its_name(seen: dict[str, Any]) -> dict[str, Any]:
    """Remove the name of the plugin from the messages of questions. Each must have it."""
    for name, params in seen["events"]:
        if name == "elicitation/create":
            assert params["message"].startswith("other: ")
            params["message"] = params["message"].removeprefix("other: ")
    return seen


class House:
    """Hosts with the other server behind them, and clients of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._env = node.environment(PYTHONPATH=str(HERE.parent), PYTHONUNBUFFERED="1", HOME=str(folder))
        self._fronts: dict[str, list[str]] = {}
        self._back: Process | None = None
        self._direct: dict[str, dict[str, Any]] = {}
        clients_in(folder)

    @property
    def _url(self) -> str:
        """Where the other server is. It runs for all tests of a module."""
        if self._back is None:
            log = self._folder / "back.log"
            self._back = Process([*SERVER, "http"], self._folder, self._env, log, longest=OF_ALL)
            self._stack.callback(self._back.close)
            self._back.url = self._back.until("http").strip()
        return self._back.url

    def _front(self, transport: str, source: str, era: str) -> list[str]:
        """Return the command, or the URL, of a host that has the other server as `other`."""
        name = f"{transport}-{source}-{era}"
        if name not in self._fronts:
            table = f'[host]\nname = "front"\ndata_dir = "{name}"\n[plugins.other]\nrequired = true\nera = "{era}"\n'
            if source == "url":
                table += f'url = "{self._url}"\n'
            else:
                table += (
                    f"command = {json.dumps(self._command(source))}\nenv.PYTHONPATH = {json.dumps(str(HERE.parent))}\n"
                )
            cli = Cli(self._folder, self._env, longest=OF_ALL)
            options = ["--config", str(cli.config(table, f"{name}.toml"))]
            if transport == "stdio":
                self._fronts[name] = [*cli.command, "run", *options]
            else:
                self._fronts[name] = [self._stack.enter_context(cli.serve(*options)).url]
        return self._fronts[name]

    def client(self, kind: Kind, transport: str, source: str, era: str) -> Any:
        return self._connected(kind, self._front(transport, source, era))

    def _connected(self, kind: Kind, target: list[str]) -> Any:
        return driven(kind, target, folder=self._folder, env=self._env, longest=LONGEST)

    def direct(self, version: str, source: str = "command") -> dict[str, Any]:
        """Return what a client of a protocol version sees without a host in every step."""
        key = f"{source} {version}"
        if key not in self._direct:
            kind = KINDS["python-2" if version == MODERN else "python-2-legacy"]
            steps = NODE if source == "node" else {**SAME, **QUESTIONS, **{method: Step(method) for method in LISTED}}
            with self._connected(kind, self._command(source)) as client:
                self._direct[key] = {name: tidy(client(step)) for name, step in steps.items()}
        return self._direct[key]

    @staticmethod
    def _command(source: str) -> list[str]:
        if source == "command":
            return SERVER
        program = node.packages() / "@modelcontextprotocol/server-everything/dist/index.js"
        return [str(node.node()), str(program), "stdio"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("house"), stack)


each_kind = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, id=name, marks=[pytest.mark.network] * bool(kind.requirement)) for name, kind in KINDS.items()],
)
WAYS = [
    pytest.param(transport, source, era, id=f"{transport}-{source}-{era}")
    for transport, source, era in [
        ("stdio", "command", "caller"),
        ("stdio", "url", "legacy"),
        ("http", "url", "caller"),
        ("http", "command", "auto"),
    ]
]


@pytest.mark.parametrize(("transport", "source", "era"), WAYS)
@each_kind
def test_a_session_through_the_host(
    kind: Kind, transport: str, source: str, era: str, house: House, subtests: pytest.Subtests
) -> None:
    of_the_session = {"legacy": LEGACY, "auto": MODERN, "caller": kind.version}[era]
    same, questions = house.direct(kind.version), house.direct(of_the_session)
    with house.client(kind, transport, source, era) as client:
        assert client.connected["version"] == kind.version
        assert client.connected["server"][0] == "front"
        for name, step in SAME.items():
            if not kind.can_cancel and name in CANCELLING:
                continue
            with subtests.test(name):
                assert ("error" in same[name]) == (name in ERRORS)
                assert without_its_name(tidy(client(step))) == same[name]
        for name, step in QUESTIONS.items():
            with subtests.test(name):
                assert without_its_name(tidy(client(step))) == questions[name]
        with subtests.test("pages of lists"):
            lists_are_whole(client, same)
        with subtests.test("names that do not exist"):
            unknown_names_are_refused(client)
        with subtests.test("log messages"):
            log_messages_come(client, kind)
        with subtests.test("subscriptions and changed lists"):
            changes_come(client)


@each_kind
def test_the_reference_server_of_another_sdk(kind: Kind, house: House, subtests: pytest.Subtests) -> None:
    direct = house.direct(LEGACY, "node")
    with house.client(kind, "http", "node", "auto") as client:
        for name, step in NODE.items():
            with subtests.test(name):
                seen, expected = without_its_name(tidy(client(step))), deepcopy(direct[name])
                if name == "progress":
                    for side in (seen, expected):
                        side["events"] = [event for event in side["events"] if event[0] not in BY_ITSELF]
                if name == "tools/list" and kind.version == MODERN:
                    # The field does not exist in this version.
                    for item in expected["result"]["items"]:
                        item.pop("execution", None)
                if name == "resources/list":
                    assert seen["result"]["items"].pop(0)["uri"] == "mcp-host://plugins"
                assert "error" not in seen
                assert seen == expected


def lists_are_whole(client: Driven, direct: Mapping[str, Any]) -> None:
    """Check that the host lists every page of the other server, in one page and in the same order."""
    for method in LISTED:
        assert direct[method]["result"]["count"] > 1
        items = tidy(client(Step(method)))["result"]["items"]
        assert [item for item in items if item.get("uri") != "mcp-host://plugins"] == direct[method]["result"]["items"]


def unknown_names_are_refused(client: Driven) -> None:
    """Check the host's own errors."""
    for step, text in (
        (call("ad"), "Unknown tool: ad (did you mean 'add'?)"),
        (read("thing://fixd"), "Unknown resource: thing://fixd (did you mean 'thing://fixed'?)"),
        (prompt("gret"), "Unknown prompt: gret (did you mean 'greet'?)"),
    ):
        error = tidy(client(step))["error"]
        assert (error["code"], error["message"]) == (-32602, text)


def log_messages_come(client: Driven, kind: Kind) -> None:
    step = call("speak")
    if kind.version == LEGACY:
        assert "result" in client(Step("logging/setLevel", {"level": "info"}))
    else:
        step = Step("tools/call", {**step.params, "_meta": {LOG_LEVEL: "info"}})
    message, (done, _) = client(Step(step.method, step.params, until=["notifications/message"]))["events"]
    assert _tidied(message) == ["notifications/message", {"level": "info", "logger": "other", "data": "spoken"}]
    assert done == "result"


def changes_come(client: Driven) -> None:
    """Check subscriptions, and that a change of the lists is announced and listed."""
    assert "result" in client(Step("resources/subscribe", {"uri": URI}))
    seen = client(Step("tools/call", {"name": "touch", "arguments": {}}, until=[UPDATED]))
    assert [_tidied(params) for name, params in seen["events"] if name == UPDATED] == [{"uri": URI}]
    for text in ("shown", "hidden"):
        seen = client(Step("tools/call", {"name": "change", "arguments": {}}, until=LISTS_CHANGED))
        assert seen["result"]["content"] == [{"type": "text", "text": text}]
        for method in LISTED:
            names = [item["name"] for item in client(Step(method))["result"]["items"]]
            assert ("late" in names) == (text == "shown" and method != "resources/templates/list")
    assert "result" in client(Step("resources/unsubscribe", {"uri": URI}))
