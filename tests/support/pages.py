"""The pages of docs/, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r'^(?P<indent> *)(?P<fence>`{3,}) ?(?P<language>\S*)(?: +title="(?P<title>[^"]*)")?(?P<rest>.*)$')


@dataclass(frozen=True)
class Block:
    """A fenced code block. `title` is the name of its file, `line` the line of its fence, counted from 1."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def all_pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, those in lists and admonitions too.

    Raises:
        ValueError: A fence is not closed, or has more than a language and a title.
    """
    found: list[Block] = []
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if fence["rest"].strip():
            raise ValueError(f"{page}:{number}: unknown text after the language: {fence['rest']!r}")
        text: list[str] = []
        for _, inner in lines:
            if inner.strip() == fence["fence"]:
                break
            text.append(inner)
        else:
            raise ValueError(f"{page}:{number}: the block is not closed")
        source = dedent("".join(f"{each}\n" for each in text)) if fence["indent"] else "".join(f"{t}\n" for t in text)
        found.append(Block(page, number, fence["language"], fence["title"], source))
    return found


def sessions(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output shown below it.

    Raises:
        ValueError: The block does not start with a command.
    """
    before, *parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    if before or not parts:
        raise ValueError(f"{block}: a console block starts with `$ `")
    found = []
    for part in parts:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = f"{command}\n{more}"
        found.append((command, output))
    return found
