"""What a new plugin may be called: one name that is an entry point, a TOML key, and a part of all its other names."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata

from mcp_host.errors import HostError

PREFIX = "mcp-plugin-"
"""What the distribution's name starts with, and the plugin's name leaves out."""

LONGEST = 40
"""Characters of a name: a line of the templates that holds it stays below the line length of their project."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = {
    "mcp-host": "the host itself is called that",
    "mcp-plugin": "that is what the names of distributions start with",
}


def plugin_name(given: str) -> str:
    """Return the name of a plugin, from how somebody wrote it: `Weather_Report` is `weather-report` (PEP 503).

    Stricter than PyPI by one rule: it starts with a letter, so that it can also be the scheme of a URI (RFC 3986, 3.1).

    Raises:
        HostError: It is no name, or one that cannot be had; a similar one is suggested where there is one.
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
    """Return what somebody who wrote `given` may wonder about the name that became of it."""
    remarks = []
    if given != _normalized(given):
        remarks.append(f"{given} is written {name}: names of distributions are lowercase, with hyphens (PEP 503).")
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
