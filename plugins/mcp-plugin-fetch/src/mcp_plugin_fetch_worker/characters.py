"""Removes the characters of a text that a reader does not see, and a model would read."""

from __future__ import annotations

import re
from typing import Final

_FLAGS: Final = "|".join(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
)
_CONTROLS: Final = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
_ZERO_WIDTH: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
)
_OTHERS: Final = (
    "\u3164\ufdd0-\ufdef\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
_PLANE_14: Final = "\U000e0000-\U000e0fff"
_JOINED: Final = "[^\x00-\u02ff\u2000-\u206f\ufeff\U000e0000-\U000e0fff]"
"""What stands beside a joiner that has a meaning: a letter of a script that joins, or a part of an emoji."""

_KEPT: Final = (
    f"{_FLAGS}|(?<={_JOINED})[\u200c\u200d](?={_JOINED})"
    # A variation selector after an ideograph (UTS 37), and one after an emoji or a sign.
    "|(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
    "|(?<=[\u0023\u002a\u0030-\u0039\u00a9\u00ae\u2000-\u3300\U0001f000-\U0001faff])[\ufe0e\ufe0f]"
)
_UNSEEN: Final = re.compile(
    f"({_KEPT})|[{_CONTROLS}{_ZERO_WIDTH}{_OTHERS}\u200c\u200d\ufe0e\ufe0f{_PLANE_14}]+?", re.UNICODE
)
_MAY_HAVE: Final = re.compile(f"[{_CONTROLS}\u00ad\u034f\u061c\u115f-\uffff\U0001bca0-\U000e0fff]")


def visible(text: str) -> str:
    """Return a text without zero-width, tag and control characters, and without those that change its direction.

    Joiners stay between letters that they join (Persian, Hindi) and in emoji, variation selectors stay after what they
    vary, and the three flags that are written with tag characters stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: found[1] or "", text) if _MAY_HAVE.search(text) else text
