"""Options that name a file: a folder, a missing parent and a place that cannot be written give one clear error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_host.__main__ import main
from mcp_host.cli.registry import COMMANDS, load

if TYPE_CHECKING:
    from support.sites import Site

Capture = pytest.CaptureFixture[str]

PAINTER = """
from mcp.types import ImageContent
from mcp_host import Plugin

plugin = Plugin()


@plugin.tool
def draw() -> ImageContent:
    \"\"\"Draw a picture.\"\"\"
    open("drawn", "w").close()
    return ImageContent(type="image", data="cGljdHVyZQ==", mime_type="image/png")


@plugin.resource("picture://one", mime_type="image/png")
def picture() -> bytes:
    \"\"\"A picture.\"\"\"
    return b"picture"
"""

ARGUMENTS = {
    "call": ["draw"],
    "read": ["picture://one"],
    "prompt": ["some"],
    "install": ["json", "--no-verify"],
    "uninstall": ["cursor"],
    "import": ["cursor"],
    "add": ["mcp-plugin-painter"],
    "remove": ["painter"],
    "enable": ["painter"],
    "disable": ["painter"],
    "login": ["painter"],
    "logout": ["painter"],
}
"""What a command needs besides its options."""

FILES = [
    (name, parameter.opts[0])
    for name in COMMANDS
    for parameter in load(name).params
    if getattr(parameter, "metavar", None) == "FILE"
]

WRITERS = [("schema", []), ("call", ["draw"]), ("read", ["picture://one"])]
"""The commands with `--output`."""


@pytest.fixture
def folder(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the plugin `painter` enabled, and a folder `there` in it."""
    site.plugin("painter", PAINTER)
    folder = tmp_path / "work"
    (folder / "there").mkdir(parents=True)
    (folder / "mcp-host.toml").write_text("[plugins.painter]\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor/mcp.json").write_text('{"mcpServers": {"one": {"command": "one"}}}', encoding="utf-8")
    return folder


@pytest.mark.parametrize(("command", "option"), FILES, ids=lambda value: value)
def test_a_folder_in_the_place_of_a_file_is_refused(capsys: Capture, folder: Path, command: str, option: str) -> None:
    arguments = ARGUMENTS.get(command, [])
    if option == "--file":
        arguments = ["cursor"]
    code = main([command, *arguments, option, "there"])
    shown = capsys.readouterr()
    if command == "doctor":  # it reports what is wrong with the configuration, as with everything else
        assert code == 1
        assert "there" in shown.out
        return
    assert code == 2
    _is_a_clear_refusal(shown.err, folder, (command, option))


def _is_a_clear_refusal(shown: str, folder: Path, asked: tuple[str, str]) -> None:
    assert shown.startswith("error: ")
    # `uninstall` only looks for an entry that has this path.
    assert ("there" in shown) is (asked != ("uninstall", "--config"))
    assert "Traceback" not in shown
    assert list((folder / "there").iterdir()) == []


def test_every_command_with_an_output_is_tested_here() -> None:
    assert {name for name, option in FILES if option == "--output"} == {name for name, _ in WRITERS}


@pytest.mark.parametrize(("command", "arguments"), WRITERS, ids=[name for name, _ in WRITERS])
@pytest.mark.parametrize(
    ("place", "what", "hint"),
    [
        ("there", "there is a folder, not a file", "--output there/"),
        (".", ". is a folder, not a file", "--output "),
        ("/", "/ is a folder, not a file", "--output /"),
        ("missing/below/file", "there is no folder missing/below", "mkdir -p missing/below"),
        ("mcp-host.toml/file", "there is no folder mcp-host.toml", "mkdir -p"),
        ("a" * 300, "cannot write aaa", "--output FILE"),
        ("/proc/nothing", "cannot write /proc/nothing: ", "--output FILE"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_clear_error(
    capsys: Capture, folder: Path, command: str, arguments: list[str], place: str, what: str, hint: str
) -> None:
    assert main([command, *arguments, "--output", place]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {what}")
    assert "where: command line: --output\n" in shown
    assert f"hint:  {hint}" in shown or f": {hint}" in shown
    assert "Traceback" not in shown


def test_a_tool_is_not_called_for_a_result_that_has_no_place(folder: Path) -> None:
    assert main(["call", "draw", "--output", "there"]) == 2
    assert not (folder / "drawn").exists()
    assert main(["call", "draw", "--output", "picture.png"]) == 0
    assert (folder / "drawn").exists()
    assert (folder / "picture.png").read_bytes() == b"picture"


def test_the_default_file_of_the_schema_may_be_a_folder(capsys: Capture, folder: Path) -> None:
    (folder / "mcp-host.schema.json").mkdir()
    assert main(["schema"]) == 2
    assert "mcp-host.schema.json is a folder, not a file" in capsys.readouterr().err
    assert main(["schema", "--output", "other.json"]) == 0
    assert (folder / "other.json").is_file()
