"""Every message that docs/guide/troubleshooting.md explains is one that the code has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from support.pages import DOCS, ROOT

PAGE = (DOCS / "guide" / "troubleshooting.md").read_text(encoding="utf-8")

MESSAGES = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)


def texts() -> Iterator[str]:
    """Yield every text of the host's code. A value that is filled in is a NUL character."""
    for path in (ROOT / "host" / "mcp_host").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)


TEXTS = list(texts())


def test_the_page_explains_many_messages() -> None:
    assert len(MESSAGES) >= 12
    assert len(set(MESSAGES)) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_code_has_the_message(message: str) -> None:
    parts = [part.strip() for part in message.split("...") if part.strip()]
    assert max(map(len, parts)) > 6, "nothing of it is fixed"
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    assert any(pattern.search(text) for text in TEXTS), message


@pytest.mark.parametrize("option", sorted(set(re.findall(r"mcp-host (\w+)[^`\n]*`", PAGE))))
def test_the_commands_of_the_page_exist(option: str) -> None:
    from mcp_host.cli.registry import COMMANDS

    assert option in COMMANDS
