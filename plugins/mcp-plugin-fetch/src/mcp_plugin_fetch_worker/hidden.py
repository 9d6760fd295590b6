"""Removes the elements of a page that a browser does not show, and the copies that are made for the eye or the ear."""

from __future__ import annotations

import re
from typing import Final, Literal

from selectolax.lexbor import LexborHTMLParser, LexborNode

_ALWAYS: Final = (
    '[hidden]:not([hidden="until-found" i])',
    "dialog:not([open])",
    "[popover]",
    "template",
    "object[width='0']",
    "iframe[width='0'], iframe[width='1'], iframe[height='0'], iframe[height='1']",
)

# Far enough to be outside of any window, and not a column or a slide that is moved.
_FAR: Final = r"-(?:999|[1-9]000|[5-9]\d{3}|\d{5,})(?:\.\d*)?(?:px|pt)?(?=;|$|!)|-\d{3,}(?:\.\d*)?(?:em|rem|vw|vh|%)"
_HIDING: Final = re.compile(
    r"(?:^|;)(?:"
    r"display:none|visibility:(?:hidden|collapse)|content-visibility:hidden"
    r"|opacity:(?:0?\.0+|0\.?)%?(?=;|$|!)"
    r"|font-size:(?:0?\.0\d*|0)(?:px|pt|em|rem|%)?(?=;|$|!)|font-size:[01](?:\.\d+)?(?:px|pt)"
    r"|color:transparent|color:rgba\([^)]*,0(?:\.0*)?%?\)"
    rf"|(?:text-indent|left|top|right|bottom|margin-left|margin-top):(?:{_FAR})"
    r"|clip:rect\(0(?:px)?[, ]0(?:px)?[, ]0(?:px)?[, ]0(?:px)?\)|clip:rect\(1px[, ]1px[, ]1px[, ]1px\)"
    r"|clip-path:inset\((?:50|100)%|clip-path:circle\(0|transform:scale[xy]?\(0(?:\.0*)?[,)]"
    r")"
)
_NO_ROOM: Final = re.compile(r"(?:^|;)(?:max-)?(?:width|height):[01](?:px|em|rem|%)?(?=;|$|!)")
_CUT: Final = re.compile(r"(?:^|;)overflow(?:-[xy])?:(?:hidden|clip)")
_COLOUR: Final = re.compile(r"(?:^|;)color:([^;!]+)")
_GROUND: Final = re.compile(r"(?:^|;)background(?:-color)?:([^;!]+)")
_WHITE: Final = frozenset({"#fff", "#ffffff", "white", "rgb(255,255,255)"})
_ESCAPE: Final = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(.))", re.IGNORECASE)


def remove_hidden(page: LexborHTMLParser) -> None:
    """Remove elements with `hidden`, or whose `style` hides them, and the repeated text of an `aria-hidden` copy."""
    for selector in _ALWAYS:
        for node in page.css(selector):
            _remove(node)
    for node in page.css("[style]"):
        if hides(node.attributes.get("style") or ""):
            _remove(node)
    for node in page.css('[aria-hidden="true" i]'):
        if _is_copy(node):
            _remove(node)


def hides(style: str) -> bool:
    """Return whether a `style` attribute makes an element invisible by itself."""
    if "\\" in style:
        style = _ESCAPE.sub(_unescaped, style)
    style = re.sub(r"/\*.*?\*/", "", style.lower())
    style = re.sub(r"\s*([:;,()!])\s*", r"\1", style.strip())
    if _HIDING.search(style):
        return True
    if _CUT.search(style) and _NO_ROOM.search(style):
        return True
    colour, ground = _COLOUR.search(style), _GROUND.search(style)
    return colour is not None and ground is not None and _plain(colour[1]) == _plain(ground[1])


def _remove(node: LexborNode) -> None:
    # A whole page may be hidden until its style sheet or a script shows it.
    if node.tag not in ("html", "body", "head"):
        node.remove()


def _is_copy(node: LexborNode) -> bool:
    """Return whether the element beside it says the same: one of them is for the eye, the other for the ear."""
    text = _letters(node)
    if not text:
        return node.css_first("img, svg, picture") is None
    return any(each is not None and _letters(each) == text for each in (_beside(node, "prev"), _beside(node, "next")))


def _letters(node: LexborNode) -> str:
    return "".join((node.text_content if node.is_text_node else node.text() or "").split())  # type: ignore[union-attr]


def _beside(node: LexborNode, side: Literal["prev", "next"]) -> LexborNode | None:
    """Return the nearest neighbour that is not white space."""
    beside: LexborNode | None = getattr(node, side)
    while beside is not None and beside.is_empty_text_node:
        beside = getattr(beside, side)
    return beside


def _plain(colour: str) -> str:
    return "white" if colour in _WHITE else colour


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1], 16) if found[1] else 0
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else (found[2] or "")
