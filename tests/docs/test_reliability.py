"""Every promise of the page on reliability names a test that exists."""

from __future__ import annotations

import ast
import re

from docs.pages import DOCS, ROOT


def test_every_test_that_the_page_names_exists() -> None:
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    rows = [line for line in page.splitlines() if line.startswith("|") and "`tests/" in line]
    assert len(named) >= len(rows) > 15
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{file}::{name}"
