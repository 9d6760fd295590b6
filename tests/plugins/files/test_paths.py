"""The bounds of a path, and how names appear in texts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_plugin_files.paths import is_text, parts_of, printable

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]


@pytest.mark.anyio
async def test_a_long_path_is_shortened_in_the_error(served: Served, refused: Refused) -> None:
    async with served() as client:
        for path, shown in (("/" + "a" * 79, "/" + "a" * 79), ("/" + "a" * 80, "/" + "a" * 76 + "...")):
            text = refused(await client.call_tool("read_file", {"path": path}))
            assert text.startswith(f"The path '{shown}' is absolute")


def test_a_path_may_have_100_parts() -> None:
    assert parts_of("a/" * 100) == ("a",) * 100


@pytest.mark.parametrize(
    ("name", "shown"), [("größe 1", "größe 1"), ("a\nb\x1b[0m", "a\\nb\\x1b[0m"), ("caf\udce9", "caf\\xe9")]
)
def test_a_name_is_shown_with_escapes_for_what_cannot_be_printed(name: str, shown: str) -> None:
    assert printable(name) == shown


@pytest.mark.parametrize(("name", "text"), [("größe", True), ("\ue000\uffe6😀", True), ("caf\udce9", False)])
def test_a_name_whose_bytes_are_not_utf_8_is_not_text(name: str, text: bool) -> None:
    assert is_text(name) is text
