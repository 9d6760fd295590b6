"""Every code block of every page runs, and prints what the page shows."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from docs.sandbox import Sandbox
from mcp_host.config import parse_config
from support.pages import DOCS, Block, all_pages, blocks, sessions

TUTORIAL = ["install", "first-plugin", "parts", "testing", "publishing"]
"""Each page of the tutorial continues where the page before it ends."""

ELSEWHERE = ("git", "python3 -m venv ", ". .venv/bin/activate", "uv ", "uvx ", "pipx ", "claude ", "sudo ", "docker ")
"""Commands that leave the sandbox: only their syntax is checked. test_newcomer.py runs those that make environments."""


class Story:
    """Follows pages from top to bottom and runs every block."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.module = types.ModuleType("docs_story")

    def follow(self, page: Path) -> None:
        for block in blocks(page):
            KINDS[block.language](self, block)

    def console(self, block: Block) -> None:
        for command, output in sessions(block):
            printed, _ = self.sandbox.run(command)
            assert matches(output, printed), f"{block}: $ {command}\nshown:\n{output}\nprinted:\n{printed}"

    def shell(self, block: Block) -> None:
        for command in re.split(r"(?<!\\)\n", block.text.strip()):
            if command.startswith(ELSEWHERE):
                subprocess.run(["/bin/sh", "-n", "-c", command], check=True)
                continue
            printed, code = self.sandbox.run(command)
            assert not code, f"{block}: {command}\n{printed}"

    def toml(self, block: Block) -> None:
        text = self.sandbox.inside(block.text)
        if (block.title or "").endswith("pyproject.toml"):
            project = tomllib.loads(text)["project"]
            assert project["entry-points"]["mcp.plugins"], block
            assert any(Requirement(each).name == "mcp-host" for each in project["dependencies"]), block
        else:
            parse_config(text, source=str(block), environ={})
        if block.title:
            self.sandbox.write(block.title, block.text)

    def python(self, block: Block) -> None:
        if block.title:
            file = self.sandbox.write(block.title, block.text)
            if {"src", "tests"} & set(Path(block.title).parts):
                # A part of a project, which the commands after it run.
                assert block.page.parent.name == "tutorial", block
                compile(block.text, str(block), "exec")
                return
            printed, code = self.sandbox.run(f"python {file}")
            assert (printed, code) == ("", 0), f"{block}\n{printed}"
            return
        before = dict(vars(self.module))
        exec(compile(block.text, str(block), "exec", dont_inherit=True), vars(self.module))
        for name, value in vars(self.module).items():
            if name.startswith("test_") and before.get(name) is not value:
                result = value()
                if inspect.iscoroutine(result):
                    asyncio.run(result)

    def old(self, block: Block) -> None:
        """Check the syntax of code for mcp 1; guide/test_old_spelling.py runs it."""
        assert block.page.name == "port-fastmcp.md", block
        compile(block.text, str(block), "exec", dont_inherit=True)

    def json(self, block: Block) -> None:
        json.loads(block.text)
        if block.title:
            self.sandbox.write(block.title, block.text)

    def elsewhere(self, block: Block) -> None:
        """Leave the block to a test of its own: test_nginx.py, test_deploying.py, or test_login.py of the e2e tests."""
        assert block.page.name in ("nginx.md", "containers.md", "systemd.md", "remote-servers.md"), block


KINDS: dict[str, Callable[[Story, Block], None]] = {
    "console": Story.console,
    "sh": Story.shell,
    "toml": Story.toml,
    "python": Story.python,
    "py": Story.old,
    "json": Story.json,
    "nginx": Story.elsewhere,
    "dockerfile": Story.elsewhere,
    "ini": Story.elsewhere,
    "text": Story.elsewhere,
}


def matches(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed; `...` matches anything."""
    pattern = ".*?".join(re.escape(part) for part in shown.rstrip().split("..."))
    return re.fullmatch(pattern, printed.rstrip(), re.DOTALL) is not None


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    sandbox = Sandbox(tmp_path)
    monkeypatch.chdir(sandbox.home)
    following = Story(sandbox)
    monkeypatch.setitem(sys.modules, following.module.__name__, following.module)
    yield following
    sandbox.close()


def test_newcomers_walk_through_the_whole_tutorial() -> None:
    assert sorted(TUTORIAL) == sorted(page.stem for page in (DOCS / "tutorial").glob("*.md"))


OTHERS = [page for page in all_pages() if page.parent.name != "tutorial" and blocks(page)]


@pytest.mark.parametrize("page", OTHERS, ids=[page.relative_to(DOCS).as_posix() for page in OTHERS])
def test_every_block_of_the_page_works(page: Path, story: Story) -> None:
    story.follow(page)


def test_every_kind_of_block_is_run() -> None:
    unknown = [f"{block}: {block.language!r}" for page in all_pages() for block in blocks(page)]
    assert [each for each in unknown if each.rpartition(": ")[2].strip("'") not in KINDS] == []


def test_zsh_takes_every_command_as_it_is_shown() -> None:
    """zsh, the shell of macOS, refuses unquoted brackets that match no file."""
    for page in all_pages():
        for block in blocks(page):
            if block.language == "console":
                for command, _ in sessions(block):
                    assert not re.search(r"[\[\]*?]", re.sub(r"""'[^']*'|"[^"]*\"""", "", command)), (
                        f"{block}: {command}"
                    )


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [("a\n", "a\n", True), ("a ... c\n", "a b c\n", True), ("a\n...\n", "a\nb\nc\n", True), ("a\n", "a\nb\n", False)],
)
def test_dots_stand_for_anything(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same
