"""Finds the parts of a foreign text that are secrets: by the key, by what is written before them, and by their form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from mcp_host.config.references import MASK, looks_secret

Span = tuple[int, int]

_SECRET_HEADERS: Final = ("authorization", "cookie", "session")
_SCHEME: Final = re.compile(r"(?:Bearer|Basic|Token|Key|ApiKey|Api-Key|Digest|Bot|OAuth)\s+(\S.*)", re.IGNORECASE)
_ANY_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z-]*[ \t]+(\S+)")
_PASSWORD: Final = re.compile(r"://[^\s/:@]*:([^\s/]+)@|://([^\s/:@]{16,})@")
"""The password in a URL, or a long user name, which is a token then."""

_PAIR: Final = re.compile(
    r"""([A-Za-z][\w.-]*)["']?(?:\s*[=:]\s*|\s+(?=[^\s-]))["']?(?:(?:Bearer|Basic|Token|ApiKey)\s+)?["']?([^\s"'&;,]+)""",
    re.IGNORECASE,
)
"""A name and its value: `--api-key=x`, `--token x`, `?key=x`, `Password=x;`, `X-Api-Key: x`, `"token": "x"`."""

_BEARER: Final = re.compile(r"\b(?:Bearer|Basic)\s+([\w.~+/=-]{6,})", re.IGNORECASE)
_KNOWN: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk|pat|ghp|gho|ghu|ghs|ghr|glpat|github_pat|xox[a-z]|xapp|hf|npm|pypi|ntn|secret|lin_api|figd|shp(?:at|ca|pa|ss)"
    r"|whsec|dop_v1|tvly|fc|bb_live|apify_api|r8|gsk|pplx|xai|nvapi|dapi|key|token|api|access|auth)[-_][\w-]{12,}"
    r"|AKIA[A-Z0-9]{12,}|ASIA[A-Z0-9]{12,}|AIza[\w-]{20,}|ya29\.[\w-]{10,}|SG\.[\w.-]{16,}"
    r"|eyJ[\w-]{6,}\.[\w.-]{6,}|AGE-SECRET-KEY-\w+"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r")",
    re.IGNORECASE,
)
"""The forms of tokens that services give out."""

_PRIVATE_KEY: Final = re.compile(r"-----BEGIN[^-]*-----.*", re.DOTALL)
_RUN: Final = re.compile(r"[A-Za-z0-9_+=-]{20,}")
_HASHED: Final = re.compile(r"(?:sha(?:1|256|512)[:-]|@)$")
_PATH: Final = re.compile(r"(?:[/~.]|[A-Za-z]:[\\/])\S*")
_PATH_KEY: Final = re.compile(r"(?:file|path|dir|directory|folder)$|^google_application_credentials$", re.IGNORECASE)
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null", "bearer", "basic", "token"})
"""Values that are no secrets, whatever their key is."""


def is_secret_key(key: str) -> bool:
    """Return whether the name of a variable, a header, an option or a parameter says that its value is a secret."""
    return looks_secret(key) or any(word in key.lower() for word in _SECRET_HEADERS)


def secret_spans(text: str, key: str = "", *, guess: bool = True) -> list[Span]:
    """Return the parts of a text that are secrets, in their order. They do not overlap.

    `key` is the name of what has the text as its value. For a secret key, the whole text is a secret, without a word
    such as `Bearer` before it, or only the password if the text is a URL. With `guess`, a long text that looks
    generated is a secret, too.
    """
    if not text.strip():
        return []
    inner = _inner_spans(text, guess=guess)
    if not is_secret_key(key) or _is_harmless(key, text):
        return inner
    scheme = _SCHEME.fullmatch(text) or ("authorization" in key.lower() and _ANY_SCHEME.fullmatch(text)) or None
    if scheme is not None:
        return [scheme.span(1)]
    passwords = [_group(match) for match in _PASSWORD.finditer(text)]
    return passwords if len(passwords) == 1 and len(inner) == 1 else [(0, len(text))]


def masked(text: str, key: str = "") -> str:
    """Return a text with the mask in the place of each secret. What only looks generated stays, as in a path."""
    for start, end in reversed(secret_spans(text, key, guess=False)):
        text = text[:start] + MASK + text[end:]
    return text


def option_keys(words: Sequence[object]) -> Iterator[str]:
    """Yield the key of each word of a command: the option before it that it is the value of, or an empty text."""
    before = ""
    for word in words:
        text = word if isinstance(word, str) else ""
        # `--token VALUE`: the option is the key of the next word.
        is_option = before.startswith("-") and "=" not in before and not re.fullmatch("--.*|-.?", text)
        yield before.lstrip("-") if is_option else ""
        before = text


def _inner_spans(text: str, *, guess: bool) -> list[Span]:
    spans = [_group(match) for match in _PASSWORD.finditer(text)]
    position = 0
    while match := _PAIR.search(text, position):
        secret = is_secret_key(match[1]) and not _is_harmless(match[1], match[2])
        if secret:
            spans.append(match.span(2))
        # The value may itself be the name of the next pair.
        position = match.end(2) if secret else match.end(1)
    for pattern, group in ((_BEARER, 1), (_KNOWN, 0), (_PRIVATE_KEY, 0)):
        spans += [match.span(group) for match in pattern.finditer(text)]
    spans += [
        match.span()
        for match in _RUN.finditer(text)
        if guess and is_random(match[0]) and not _HASHED.search(text[: match.start()])
    ]
    return _joined(spans)


def is_random(text: str) -> bool:
    """Return whether a text of letters and digits looks generated and not written: they are mixed without a pattern."""
    if not (re.search("[0-9]", text) and re.search("[A-Za-z]", text)):
        return False
    kinds = ["0" if c.isdigit() else "A" if c.isupper() else "a" if c.islower() else "-" for c in text]
    changes = sum(
        1
        for one, other in pairwise(kinds)
        # `Name` is a word, so an upper-case letter before a lower-case one does not count.
        if one != other and "-" not in (one, other) and (one, other) != ("A", "a")
    )
    return changes >= 4


def _is_harmless(key: str, text: str) -> bool:
    """Return whether the value of a secret key is a switch, a number of tokens, or the path of a file."""
    if text.lower() in _WORDS or (text.isdigit() and (len(text) == 1 or key.lower().endswith("tokens"))):
        return True
    return bool(_PATH_KEY.search(key) and _PATH.fullmatch(text)) and not _KNOWN.search(text)


def _group(match: re.Match[str]) -> Span:
    """Return the span of the first group that matched."""
    return match.span(match.lastindex or 0)


def _joined(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(set(spans)):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
