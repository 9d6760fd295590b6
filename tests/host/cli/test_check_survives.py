"""`mcp-host check` reports any contributions: it never ends with a traceback, and its JSON is valid."""

from __future__ import annotations

import asyncio
import io
import json
import math
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from mcp.types import Tool

from mcp_host import Plugin
from mcp_host.__main__ import main
from mcp_host.cli.check import blocks_of, summary_of
from mcp_host.cli.output import json_text, plain, write
from mcp_host.cli.tokens import tool_tokens
from mcp_host.testing import make_host

if TYPE_CHECKING:
    from support.sites import Site

HOSTILE = """
    import datetime
    import itertools
    import math
    import os

    from mcp.types import Icon, ToolAnnotations
    from mcp_host import Check, Command, Completion, HostError, Prompt, Resource, Tool, hookimpl

    class Loud:
        def __str__(self):
            raise RuntimeError("loud")

        __repr__ = __str__

    class LoudText(str):
        def __str__(self):
            raise RuntimeError("loud")

        __repr__ = strip = split = encode = splitlines = __str__

    deep = {}
    for _ in range(2000):
        deep = {"x": deep}
    circle = {}
    circle["self"] = circle

    value = {
        "date": datetime.date(2020, 1, 1),
        "set": {1, 2},
        "nan": math.nan,
        "huge": 10**5000,
        "surrogate": "a\\ud800b",
        "control": "a\\x00\\x1b[31mb",
        "bytes": b"\\xff",
        "object": object(),
        "loud": Loud(),
        "loud text": LoudText("x"),
        "loud list": [Loud()],
        "deep": deep,
        "circle": circle,
    }[os.environ["HOSTILE"]]

    numbers = itertools.count()

    def named():
        def fn(a: int) -> str:
            "About it."
            return "x"
        fn.__name__ = f"fn{next(numbers)}"
        return fn

    def raising(error):
        def fails():
            raise error
        return fails

    def plugin(hook, make):
        def implementation(self):
            return [make()]
        implementation.__name__ = hook
        return type("Contributing", (), {hook: hookimpl(implementation)})()

    PARTS = [
        *(("tools", lambda key=key: Tool(named(), **{key: value})) for key in (
            "name", "title", "description", "annotations", "icons", "meta", "input_schema", "read_only", "timeout",
            "scopes", "ui", "structured_output",
        )),
        ("tools", lambda: Tool(named(), meta={"x": value})),
        ("tools", lambda: Tool(named(), scopes=[value])),
        ("tools", lambda: Tool(named(), input_schema={"type": "object", "x": value})),
        ("tools", lambda: Tool(named(), input_schema={"type": "object", "properties": {"a": {"default": value}}})),
        ("tools", lambda: Tool(named(), input_schema={"type": "object", "properties": {value: {}}})),
        ("tools", lambda: Tool(named(), annotations=ToolAnnotations.model_construct(title=value))),
        ("tools", lambda: Tool(named(), icons=[Icon.model_construct(src=value)])),
        ("tools", lambda: Tool(value)),
        ("tools", raising(HostError(value, where=value, hint=value))),
        ("tools", raising(RuntimeError(value))),
        ("resources", lambda: Resource(value, lambda: "x")),
        ("resources", lambda: Resource("x://" + value, lambda: "x")),
        *(("resources", lambda key=key: Resource(f"y://{next(numbers)}", lambda: "x", **{key: value})) for key in (
            "name", "title", "description", "mime_type", "annotations", "icons", "meta", "security", "timeout",
            "scopes",
        )),
        *(("prompts", lambda key=key: Prompt(named(), **{key: value})) for key in (
            "name", "title", "description", "icons",
        )),
        ("completions", lambda: Completion(value, "a", lambda value: [])),
        ("checks", lambda: Check(named(), value)),
        ("checks", lambda: Check(value, "a")),
        ("checks", lambda: Check(lambda: value, "a")),
        ("checks", lambda: Check(raising(HostError(value)), "a")),
        ("commands", lambda: Command(value)),
        ("commands", lambda: Command(named(), value)),
        ("middleware", lambda: value),
    ]
    for number, (kind, make) in enumerate(PARTS):
        globals()[f"part{number}"] = plugin(f"mcp_{kind}", make)
"""
"""A module of plugins `part0`, `part1` ..., each with the hostile value in another field."""


@pytest.mark.parametrize(
    "value",
    [
        "date",
        "set",
        "nan",
        "huge",
        "surrogate",
        "control",
        "bytes",
        "object",
        "loud",
        "loud text",
        "loud list",
        "deep",
        "circle",
    ],
)
def test_a_value_that_does_not_fit_is_reported_in_every_form(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HOSTILE", value)
    module: dict[str, Any] = {}
    exec(compile(dedent(HOSTILE), "<hostile>", "exec", dont_inherit=True), module)
    adder = Plugin()
    adder.tool("add_them")(lambda a: a)
    parts = {name: part for name, part in module.items() if name.startswith("part")}
    assert len(parts) == len(module["PARTS"])
    summary = asyncio.run(summary_of(make_host({"adder": adder, **parts})))
    assert summary.failed
    for verbose in (False, True):
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        write("\n\n".join(blocks_of(summary, out, strict=True, verbose=verbose)), out)
    data = json.loads(json_text(summary.to_json(strict=True)), parse_constant=refuse)
    assert len(data["plugins"]) == len(parts) + 1
    assert data["plugins"][0]["stage"] == "serving"
    assert all(plugin["problem"] is None or plugin["problem"]["what"] for plugin in data["plugins"])


@pytest.mark.parametrize("value", ["surrogate", "loud text"])
def test_the_command_itself_survives_them(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    site.plugin("hostile", HOSTILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOSTILE", value)
    tables = [f'[plugins.p{number}]\nobject = "mcp_plugin_hostile:part{number}"\n' for number in (0, 1, 2)]
    (tmp_path / "mcp-host.toml").write_text("".join(tables))
    for form in ([], ["--verbose"], ["--json"]):
        assert main(["check", *form]) in (0, 2)
        printed = capfd.readouterr()
        assert "Traceback" not in printed.out + printed.err
        if form == ["--json"]:
            assert len(json.loads(printed.out)["plugins"]) == len(tables)


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def test_data_of_any_type_is_shown_as_json() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    data = {1: {2}, "nan": math.nan, "huge": 10**5000, "half": "\ud800", "bytes": b"x", "circle": circle}
    shown = json.loads(json_text(data), parse_constant=refuse)
    assert (shown["1"], shown["nan"], shown["half"], shown["bytes"]) == ("{2}", None, "\ufffd", "b'x'")
    assert shown["huge"] == hex(10**5000)
    same = {"a": [1, 2.5, None, True, {"b": "é"}]}
    assert plain(same) == same


def test_a_tool_whose_schema_is_not_json_has_an_estimate() -> None:
    tool = Tool.model_construct(
        name="a\ud800", description=None, input_schema={"x": {1, 2}, 3: object(), "y": 10**5000}
    )
    assert tool_tokens(tool) > 10
