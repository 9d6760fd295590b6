"""`mcp-host call`, `read`, `prompt` and `inspect`: requests from the shell and how their answers are shown."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli


@pytest.fixture
def good(invoke: Invoke) -> Invoke:
    invoke.config('[host]\nname = "demo"\ninstructions = "Be kind."\n[plugins.good]')
    return invoke


def test_a_result_goes_to_stdout_and_progress_to_stderr(good: Invoke) -> None:
    done = good("call", "work", "steps=2")
    assert (done.code, done.out) == (0, "worked\n")
    assert done.err == "progress 1/2 step 1\nprogress 2/2 step 2\n"
    assert good("call", "wander").err == "progress 1\nprogress 2 on the way\n"


def test_log_messages_of_a_tool_go_to_stderr(good: Invoke) -> None:
    done = good("call", "talk")
    assert (done.out, done.err) == ("talked\n", "info: said to the client\n")


def test_a_list_of_objects_is_shown_as_one_json_document(good: Invoke) -> None:
    assert [place["name"] for place in good("call", "places").json] == ["Ulm", "Bern"]


def test_json_is_the_whole_result_as_a_client_gets_it(good: Invoke) -> None:
    result = good("call", "add", "a=1", "b=2", "--json").json
    assert result["structuredContent"] == {"result": 3}
    assert result["content"] == [{"type": "text", "text": "3"}]
    assert good("read", "note://today", "--json").json["contents"][0]["text"] == "buy milk"
    assert good("prompt", "review", "topic=cats", "--json").json["messages"][0]["role"] == "user"


def test_an_error_of_the_tool_goes_to_stderr_with_exit_code_1(good: Invoke) -> None:
    done = good("call", "refuse")
    assert (done.code, done.out) == (1, "")
    assert "not on a Sunday" in done.err
    done = good("call", "refuse", "--json")
    assert done.code == 1
    assert done.json["isError"] is True


def test_values_are_read_by_the_type_the_tool_wants(good: Invoke) -> None:
    def kinds(*arguments: str) -> object:
        return good("call", "kinds", *arguments, "--json").json["structuredContent"]

    (good.folder / "note.txt").write_text("from a file")
    plain = {"text": "", "number": 0, "flag": False, "maybe": None, "choice": "a", "items": None, "level": "1"}
    assert kinds() == plain
    assert kinds("text=12", "number=12", "flag=true") == {**plain, "text": "12", "number": 12, "flag": True}
    assert kinds("maybe=12", "choice=b", "items=[1, 2]") == {**plain, "maybe": "12", "choice": "b", "items": [1, 2]}
    assert kinds("level=2") == {**plain, "level": "2"}
    assert kinds("maybe:=null", 'text:="a=b"', "items:=[3]") == {**plain, "text": "a=b", "items": [3]}
    assert kinds("text=@note.txt", "text=a=b") == {**plain, "text": "a=b"}
    assert kinds("text=@note.txt") == {**plain, "text": "from a file"}


def test_all_arguments_can_come_as_json_and_be_overridden(good: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    assert good("call", "add", "--input", '{"a": 1, "b": 2}', "b=40").out == "41\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"a": 1, "b": 2}'))
    assert good("call", "add", "--input", "-").out == "3\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["a"], "'a' is not KEY=VALUE"),
        (["=1"], "'=1' is not KEY=VALUE"),
        ([":=1"], "':=1' is not KEY=VALUE"),
        (["a:=x"], "the value of 'a' is not JSON"),
        (["a:=NaN"], "the value of 'a' is not JSON: NaN is not a JSON value"),
        (["a=@nowhere"], "cannot read nowhere: No such file or directory"),
        (["a=@."], "cannot read .: Is a directory"),
        (["--input", "{"], "not JSON"),
        (["--input", "[1]"], "not a JSON object"),
    ],
)
def test_arguments_that_cannot_be_read_are_an_error_of_the_command_line(
    good: Invoke, arguments: list[str], error: str
) -> None:
    done = good("call", "add", *arguments)
    assert (done.code, done.out) == (2, "")
    assert f"error: {error}" in done.err
    assert "where: command line" in done.err


def test_a_file_that_is_not_text_is_no_argument(good: Invoke) -> None:
    (good.folder / "binary").write_bytes(b"\xff\xfe")
    assert "cannot read binary: it is not UTF-8 text" in good("call", "add", "a=@binary").err


def test_nan_is_left_to_the_tool_to_refuse(good: Invoke) -> None:
    done = good("call", "add", "a=NaN", "b=1")
    assert done.code == 1
    assert "a: " in done.err


def test_binary_content_is_written_to_the_file_asked_for(good: Invoke) -> None:
    assert good("call", "picture").out == "image/png, 10 bytes (--output FILE writes it)\n"
    target = good.folder / "pixel.png"
    assert good("call", "picture", "-o", "pixel.png").out == "image/png, 10 bytes, written to pixel.png\n"
    assert target.read_bytes() == b"\x89PNG pixel"
    target.unlink()
    assert good("read", "pixel://one", "--output", str(target)).code == 0
    assert target.read_bytes() == b"\x89PNG pixel"


def test_several_images_get_a_file_each(good: Invoke) -> None:
    good("call", "pictures", "-o", "p.png")
    assert [(good.folder / name).read_bytes() for name in ("p.png", "p-2.png")] == [b"\x89PNG one", b"\x89PNG two"]


def test_binary_content_goes_to_stdout_as_it_is_when_asked(cli: Cli) -> None:
    cli.config("[plugins.good]")
    done = subprocess.run(
        [*cli.command, "read", "pixel://one", "-o", "-"],
        cwd=cli.folder,
        env=cli.environment(),
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"\x89PNG pixel"


def test_a_file_that_cannot_be_written_is_an_error(good: Invoke) -> None:
    done = good("call", "picture", "-o", "no/such/folder.png")
    assert done.code == 2
    assert "there is no folder no/such" in done.err


def test_a_link_is_shown_by_name_and_address(good: Invoke) -> None:
    assert good("call", "link").out == "today note://today\n"


def test_a_tool_that_asks_gets_an_error_without_a_terminal(good: Invoke) -> None:
    done = good("call", "paint", "thing=wall")
    assert done.code == 1
    assert "cannot be asked" in done.err
    done = good("call", "dye", "thing=wool")
    assert done.code == 1
    assert "elicitation" in done.err


def test_a_resource_is_read_and_a_template_too(good: Invoke) -> None:
    assert good("read", "note://today").out == "buy milk\n"
    assert good("read", "note://by/ann").out == "notes by ann\n"


def test_a_prompt_is_shown_by_role_and_takes_every_argument_as_text(good: Invoke) -> None:
    assert good("prompt", "review", "topic=[1, 2]").out == "[user]\nReview [1, 2] in a kind tone.\n"
    assert good("prompt", "review", "topic=true").out == "[user]\nReview true in a kind tone.\n"


@pytest.mark.parametrize(
    ("command", "error", "code"),
    [
        (["call", "adf"], "no tool is called 'adf' (did you mean 'add'?)", 2),
        (["read", "note://tday"], "Unknown resource: note://tday (did you mean 'note://today'?)", 2),
        (["prompt", "revue"], "no prompt is called 'revue' (did you mean 'review'?)", 2),
        (["prompt", "review"], "Prompt review: missing argument topic", 1),
        (["inspect", "ad"], "nothing is served as 'ad' (did you mean 'add'?)", 2),
    ],
)
def test_what_is_not_served_is_an_error_with_a_suggestion(
    good: Invoke, command: list[str], error: str, code: int
) -> None:
    done = good(*command)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"error: {error}\n")
    assert "hint:  mcp-host inspect" in done.err


def test_inspect_shows_everything_that_is_served(good: Invoke) -> None:
    done = good("inspect")
    assert done.code == 0
    assert done.out.startswith("demo ")
    assert "Be kind." in done.out
    for line in ("greet          name ", "review   topic [tone]  Ask for a review.", "note://by/{author}  text/plain"):
        assert line in done.out
    assert "mcp-host://plugins" in done.out


def test_inspect_as_json_is_what_a_client_sees(good: Invoke) -> None:
    data = good("inspect", "--json").json
    assert data["name"] == "demo"
    assert data["instructions"] == "Be kind."
    assert data["protocol"] == "2026-07-28"
    assert "listChanged" in data["capabilities"]["tools"]
    assert data["tools"][0]["inputSchema"]["required"] == ["a", "b"]
    assert {resource["uri"] for resource in data["resources"]} >= {"note://today", "mcp-host://plugins"}
    assert data["templates"][0]["uriTemplate"] == "note://by/{author}"
    assert data["prompts"][0]["arguments"][0] == {"name": "topic", "required": True}


def test_inspect_of_one_thing_shows_how_it_is_used(good: Invoke) -> None:
    tool = good("inspect", "add").out
    assert "tool add\nplugin good (mcp-plugin-good 1.0), read-only\n" in tool
    assert "Add two whole numbers." in tool
    assert "a         integer  required" in tool
    assert tool.endswith("mcp-host call add a=... b=...\n")
    kinds = good("inspect", "kinds").out
    assert 'choice    "a" | "b"                default "a"' in kinds
    assert "items     array of integer | null  optional" in kinds
    assert good("inspect", "review").out.endswith("mcp-host prompt review topic=...\n")
    assert good("inspect", "note://today").out.endswith("mcp-host read note://today\n")
    assert good("inspect", "note://by/{author}").out.endswith("mcp-host read note://by/{author}\n")
    # A resource has a name, too.
    assert "resource note://today" in good("inspect", "today").out
    assert "array of Place" in good("inspect", "places").out


def test_inspect_of_one_thing_as_json_is_all_of_it(good: Invoke) -> None:
    assert good("inspect", "add", "--json").json["annotations"] == {"readOnlyHint": True}


def test_disable_leaves_a_plugin_out(good: Invoke) -> None:
    assert good("inspect", "--json", "--disable", "good").json["tools"] == []
    done = good("inspect", "--disable", "godo")
    assert done.code == 2
    assert "'godo'" in done.err


def test_requests_reach_a_running_server_by_its_url(cli: Cli, invoke: Invoke) -> None:
    cli.config("[plugins.good]")
    with cli.serve() as process:
        at = ["--url", process.url]
        assert invoke("call", "add", "a=1", "b=2", *at).out == "3\n"
        assert invoke("call", "work", "steps=1", *at).err == "progress 1/1 step 1\n"
        assert invoke("call", "talk", *at).err == "info: said to the client\n"
        assert invoke("read", "note://today", *at).out == "buy milk\n"
        assert "Review cats" in invoke("prompt", "review", "topic=cats", *at).out
        assert invoke("inspect", "--json", *at).json["tools"][0]["name"] == "add"
        root = process.url.removesuffix("/mcp")
        assert invoke("inspect", "--json", "--url", root).json["tools"][0]["name"] == "add", "it leads to the endpoint"
        done = invoke("read", "note://nowhere", *at)
        assert done.code == 2
        assert f"where: {process.url}" in done.err


def test_a_server_that_is_not_there_is_an_error_with_how_to_start_one(invoke: Invoke) -> None:
    done = invoke("inspect", "--url", "http://127.0.0.1:1/mcp")
    assert (done.code, done.out) == (2, "")
    assert "error: cannot reach http://127.0.0.1:1/mcp: " in done.err
    assert "hint:  mcp-host run --transport http" in done.err
    assert "Traceback" not in done.err


def test_a_prompt_or_result_ends_with_one_newline(good: Invoke) -> None:
    assert not good("read", "mcp-host://plugins").out.endswith("\n\n")
    assert json.loads(good("read", "mcp-host://plugins").out)["plugins"][0]["name"] == "good"
