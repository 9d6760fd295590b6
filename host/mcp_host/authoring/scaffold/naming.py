"""The name of a new plugin: its entry point, its TOML key, and a part of all its other names."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata

from mcp_host.errors import HostError

PREFIX = "mcp-plugin-"
"""The start of the distribution's name, which is not part of the plugin's name."""

LONGEST = 40
"""The most characters of a name, so that no line of the templates gets longer than their project allows."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = {
    "mcp-host": "that is the name of the host itself",
    "mcp-plugin": "the names of distributions start with it",
}


def plugin_name(given: str) -> str:
    """Return the normalized name of a plugin: `Weather_Report` becomes `weather-report` (PEP 503).

    It must start with a letter, unlike on PyPI, so that it can also be the scheme of a URI (RFC 3986, 3.1).

    Raises:
        HostError: It is not a valid name, or it is reserved. A similar valid name is suggested if there is one.
    """
    name = _without_prefix(_normalized(given))
    if _fits(name):
        return name
    if name in _RESERVED:
        why, suggestion = _RESERVED[name], None
    else:
        why = f"a name is at most {LONGEST} letters (a to z), digits and single hyphens, and starts with a letter"
        suggestion = _similar(given)
    raise HostError(
        f"a plugin cannot be called {given!r}{f' (did you mean {suggestion!r}?)' if suggestion else ''}: {why}",
        where="command line: NAME",
        hint=f"mcp-host new {suggestion or 'NAME'}",
    )


def remarks(given: str, name: str) -> list[str]:
    """Return notes about the differences between the given text, the name and the package."""
    remarks = []
    if given != _normalized(given):
        remarks.append(f"{given} becomes {name}: names of distributions are lowercase, with hyphens (PEP 503).")
    word = name.replace("-", "_")
    if keyword.iskeyword(word) or keyword.issoftkeyword(word):
        remarks.append(f"{word} is a keyword of Python: the package is called mcp_plugin_{word}, so nothing clashes.")
    elif word in sys.stdlib_module_names:
        remarks.append(f"{word} is a module of Python: the package is called mcp_plugin_{word}, so nothing clashes.")
    return remarks


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _without_prefix(name: str) -> str:
    return re.sub(f"^({PREFIX})+", "", name)


def _fits(name: str) -> bool:
    return len(name) <= LONGEST and _NAME.fullmatch(name) is not None and name not in _RESERVED


def _similar(given: str) -> str | None:
    letters = unicodedata.normalize("NFKD", given).encode("ascii", "ignore").decode().lower()
    words = _without_prefix(re.sub(r"[^a-z0-9]+", "-", letters).strip("-"))
    name = words.lstrip("0123456789-")[:LONGEST].rstrip("-")
    return name if _fits(name) and _without_prefix(name) == name else None
