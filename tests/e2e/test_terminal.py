"""The commands at a terminal: what they show and ask, on a pseudo-terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.terminals import LONGEST, screen

if TYPE_CHECKING:
    from support.processes import Cli


@pytest.fixture
def good(cli: Cli) -> Cli:
    cli.config("[plugins.good]")
    return cli


def test_progress_is_a_bar_that_is_gone_at_the_end(good: Cli) -> None:
    with screen(good, "call", "work", "steps=3") as shown:
        assert shown.wait() == 0
        assert "step 3" in shown.shown
        assert "100%" in shown.shown
        assert shown.shown.endswith("worked\n")
        assert "progress 1/3" not in shown.shown


def test_log_messages_are_shown_above_the_bar(good: Cli) -> None:
    with screen(good, "call", "talk_and_work") as shown:
        assert shown.wait() == 0
        assert "info: half of it" in shown.shown


def test_a_tool_asks_the_person_until_the_answers_fit(good: Cli) -> None:
    with screen(good, "call", "paint", "thing=wall") as shown:
        shown.until("colour (The colour to paint it in; one of red, blue): ")
        assert "How shall wall be painted?" in shown.shown
        shown.type("green\n")
        shown.until("not valid: expected one of red, blue")
        shown.type("\n")
        shown.until("not valid: an answer is required")
        shown.type("red\n")
        shown.until("coats (a whole number; Enter: 1): ")
        for wrong, why in (("many", "a whole number"), ("7", "a number from 1 to 3")):
            shown.type(wrong + "\n")
            shown.until(f"not valid: expected {why}")
        shown.type("\n")
        shown.until("glossy (y or n; Enter: false): ")
        shown.type("perhaps\n")
        shown.until("not valid: expected y or n")
        shown.type("y\n")
        assert shown.wait() == 0
        assert shown.shown.endswith("wall: 1 x red, glossy\n")


def test_the_end_of_the_input_leaves_the_question_unanswered(good: Cli) -> None:
    with screen(good, "call", "paint", "thing=wall") as shown:
        shown.until("Ctrl+D: no answer")
        shown.until("colour")
        shown.type("\x04")
        assert shown.wait() == 0
        assert shown.shown.endswith("cancel: left as it is\n")


def test_every_kind_of_field_can_be_filled_in(good: Cli) -> None:
    with screen(good, "call", "order") as shown:
        for question, answer in (
            ("sizes (any of s, m, l", "s, x"),
            ("not valid: 'x' is not one of s, m, l", "s, m"),
            ("weight (a number", "1.5"),
            ("note (Enter: leave out)", ""),
            ("tier (one of free, paid", "paid"),
        ):
            shown.until(question)
            shown.type(answer + "\n")
        assert shown.wait() == 0
        assert '"sizes":["s","m"]' in re.sub(r"\s", "", shown.shown)
        assert '"note"' not in shown.shown


@pytest.mark.parametrize(("answer", "action"), [("y", "accept"), ("n", "decline")])
def test_a_tool_can_send_the_person_to_an_address(good: Cli, answer: str, action: str) -> None:
    with screen(good, "call", "sign_in") as shown:
        shown.until("https://login.example/")
        shown.until("[y/n]")
        shown.type(answer + "\n")
        assert shown.wait() == 0
        assert shown.shown.endswith(f"{action}\n")


def test_ctrl_c_ends_a_call_quietly(good: Cli) -> None:
    with screen(good, "call", "hold") as shown:
        shown.until("holding")
        shown.type("\x03")
        assert shown.wait() == 130
        assert "Traceback" not in shown.shown


def test_run_prints_that_it_waits_for_a_client_and_ctrl_c_ends_it_quietly(good: Cli) -> None:
    with screen(good, "run") as shown:
        shown.until("Waiting for an MCP client on stdin. Ctrl+C ends")
        shown.type("\x03")
        assert shown.wait() == 0
        assert "Traceback" not in shown.shown


@pytest.mark.parametrize("command", ["plugins", "check --verbose", "inspect", "install --list", "doctor --quick"])
@pytest.mark.parametrize("columns", [60, 100])
def test_tables_fit_the_terminal(cli: Cli, command: str, columns: int) -> None:
    cli.config("[plugins.good]\n[plugins.noisy]\nenabled = false\n")
    (cli.folder / ".cursor").mkdir()
    entry = {"command": "/py", "args": ["-m", "mcp_host", "run", "--config", "/gone/a-folder/mcp-host.toml"]}
    (cli.folder / ".cursor/mcp.json").write_text(json.dumps({"mcpServers": {"a-name-of-some-length": entry}}))
    with screen(cli, *command.split(), columns=columns, env={"HOME": str(cli.folder)}) as shown:
        shown.wait()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.shown).splitlines()
    tables = [line for line in lines if "  " in line and not line.startswith(("  where:", "  hint:"))]
    assert tables
    assert [line for line in tables if len(line) > columns] == []


def test_a_terminal_too_narrow_for_a_table_still_gets_it(good: Cli) -> None:
    with screen(good, "plugins", columns=30) as shown:
        assert shown.wait() == 0
        assert "mcp-plugin-good" in shown.shown


def test_headings_are_bold_unless_no_color_is_set(good: Cli) -> None:
    with screen(good, "plugins", env={"NO_COLOR": ""}) as shown:
        shown.wait()
        assert "\x1b[1mplugin " in shown.shown
    with screen(good, "plugins", env={"NO_COLOR": "1"}) as shown:
        shown.wait()
        assert "\x1b" not in shown.shown


def test_a_plugin_cannot_rewrite_the_terminal(cli: Cli) -> None:
    cli.config("[plugins.good]")
    with screen(cli, "inspect", "evil") as shown:
        assert shown.wait() == 0
        assert "\\x1b[2J" in shown.shown
        assert "\x1b[2J" not in shown.shown


STEERING = r"""
from mcp_host import Context, Plugin
from mcp.types import ImageContent

TEXT = "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe\u202c\u2028\u200b\x9b \U000e0041 \u061c end"
plugin = Plugin()

@plugin.tool(read_only=True, description="Shows. " + TEXT)
def page() -> str:
    return TEXT

@plugin.tool(read_only=True)
def pages() -> list[dict[str, str]]:
    return [{TEXT: TEXT}]

@plugin.tool(read_only=True)
async def talk(ctx: Context) -> str:
    await ctx.info("first\nwarning: second " + TEXT)
    return "done"

@plugin.tool(read_only=True)
def fail() -> str:
    from mcp_host import ToolError
    raise ToolError(TEXT)

@plugin.tool(read_only=True)
def image() -> ImageContent:
    return ImageContent(type="image", data="G1syShs=", mime_type="image/png")

@plugin.resource("doc://one", mime_type="text/plain; x=" + TEXT)
def one() -> str:
    return TEXT

@plugin.prompt(description=TEXT)
def plan() -> str:
    return TEXT

@plugin.prompt
def broken() -> str:
    from mcp_host import ToolError
    raise ToolError("no\nerror: forged " + TEXT)
"""
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\U000e0000-\U000e0fff]")


@pytest.fixture
def steering(cli: Cli) -> Cli:
    (cli.folder / "steering.py").write_text(STEERING, encoding="utf-8")
    cli.config('[plugins.steering]\nobject = "steering:plugin"')
    return cli


@pytest.mark.parametrize(
    "args",
    [
        ["call", "page"],
        ["call", "page", "--json"],
        ["call", "pages"],
        ["call", "talk"],
        ["call", "fail"],
        ["call", "fail", "--json"],
        ["call", "image", "-o", "-"],
        ["read", "doc://one"],
        ["read", "doc://one", "--json"],
        ["prompt", "plan"],
        ["prompt", "plan", "--json"],
        ["prompt", "broken"],
        ["inspect"],
        ["inspect", "--json"],
        ["inspect", "page"],
        ["inspect", "doc://one", "--json"],
        ["check", "--json"],
    ],
    ids=" ".join,
)
def test_no_text_of_a_server_steers_the_terminal_hides_or_reorders(steering: Cli, args: list[str]) -> None:
    with screen(steering, *args, env={"TERM": "dumb"}) as shown:
        shown.wait()
        # The bar of a progress is the only one who steers.
        assert UNSAFE.findall(shown.shown) == []
        assert len(shown.shown) > 5
        lines = shown.shown.splitlines()
        assert not any(line.startswith(("error: forged", "warning: second")) for line in lines)
        if args[0] != "check" and "image" not in args:
            assert "202e" in shown.shown


def test_a_pipe_gets_the_text_unchanged_and_equal_json(steering: Cli) -> None:
    assert steering.run("call", "page").out.startswith("\x1b[2J\x1b]0;owned\x07 \u202egnp.exe")
    done = steering.run("call", "page", "--json")
    assert done.out.isascii()
    assert "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe" in done.json["content"][0]["text"]


def test_a_reader_that_closes_the_pipe_early_is_not_an_error(good: Cli) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*good.command, "inspect", "--json"],
        cwd=good.folder,
        env=good.environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_process_without_standard_streams_still_works(good: Cli) -> None:
    command = " ".join([*good.command, "inspect --json >inspected 0<&- 2>&-"])
    done = subprocess.run(["sh", "-c", command], cwd=good.folder, env=good.environment(), timeout=LONGEST, check=False)
    assert done.returncode == 0
    assert '"add"' in (good.folder / "inspected").read_text()
