"""Small steps in a tree of HTML that several modules need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

DEEPEST: Final = 1000

# The elements that pages nest, and close. An element whose end tag may be left out would count wrongly.
_NESTING: Final = re.compile(
    r"<(/?)(?:div|span|section|article|main|aside|nav|header|footer|blockquote|ul|ol|dl|table|center|details|fieldset"
    r"|figure|font|em|strong|b|i|u|small|big|code|sup|sub|mrow|[a-z]+-[a-z-]+)(?=[\s>/])",
    re.IGNORECASE,
)


def element(html: str) -> LexborNode:
    """Return the first element of a piece of HTML that goes into a body."""
    node = LexborHTMLParser(f"<body>{html}").body
    first = node.first_child if node is not None else None
    assert first is not None
    return first


def ancestors(node: LexborNode) -> Iterator[LexborNode]:
    """Return the elements around a node, from the inside."""
    above = node.parent
    while above is not None and above.is_element_node:
        yield above
        above = above.parent


def inside(node: LexborNode, *names: str) -> bool:
    """Return whether an element around a node has one of these tags, or, for ".name", one of these classes."""
    tags = {name for name in names if not name.startswith(".")}
    classes = {name[1:] for name in names if name.startswith(".")}
    return any(
        above.tag in tags or (classes and classes & set((above.attributes.get("class") or "").split()))
        for above in ancestors(node)
    )


def shallow(html: str) -> tuple[str, bool]:
    """Return HTML without what is nested deeper than `DEEPEST`, and whether something was left out.

    The parser's time grows with the square of the depth. Browsers limit it, too.
    """
    if html.count("<") < DEEPEST:
        return html, False
    depth, start, cutting = 0, 0, False
    parts: list[str] = []
    for tag in _NESTING.finditer(html):
        if tag[1]:
            depth = max(0, depth - 1)
            if cutting and depth <= DEEPEST:
                start, cutting = tag.start(), False
        else:
            depth += 1
            if not cutting and depth > DEEPEST:
                parts.append(html[start : tag.start()])
                cutting = True
    return "".join(parts) + ("" if cutting else html[start:]), bool(parts)
