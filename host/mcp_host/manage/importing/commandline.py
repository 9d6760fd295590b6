"""Reads the forms of a command: a whole line, `cmd /c`, `env A=b`, `docker run -e A=b`, and `npx mcp-remote URL`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_RUNNERS: Final = (
    ("npx",), ("bunx",), ("pnpx",), ("npm", "exec"), ("pnpm", "dlx"), ("yarn", "dlx"), ("bun", "x"),
)  # fmt: skip
_HOST_RUNNERS: Final = frozenset({"uv", "uvx", "pipx", "python", "python3", "sh", "bash", "zsh", "env"})
_CONTAINERS: Final = frozenset({"docker", "podman", "nerdctl"})
_CONTAINER_SWITCHES: Final = frozenset(
    {
        "-i",
        "-t",
        "-it",
        "-ti",
        "-d",
        "--interactive",
        "--tty",
        "--rm",
        "--init",
        "--detach",
        "--privileged",
        "--read-only",
    }
)


@dataclass
class Line:
    """A command with its variables: those of the entry, and those that the command itself sets or passes on."""

    words: list[str] = field(repr=False)
    env: dict[str, str] = field(repr=False)
    forwarded: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Remote:
    """What `mcp-remote` is to connect to."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)


def program(word: str) -> str:
    """Return the name of a program without its folder and without the ending that it has on Windows."""
    return re.sub(r"\.(?:exe|cmd|bat)$", "", re.split(r"[/\\]", word)[-1].lower())


def unwrapped(words: Sequence[str], env: dict[str, str]) -> Line:
    """Return the command that is really run, as words, with its variables."""
    line = Line(_split(list(words)), dict(env))
    while True:
        before = list(line.words)
        _without_cmd(line)
        _without_env(line)
        if line.words == before:
            break
    _container_variables(line)
    return line


def _split(words: list[str]) -> list[str]:
    """Split a first word that holds a whole line, and leave the path of a program with a space alone."""
    line = words[0].strip()
    if not re.search(r"\s", line) or Path(line).exists():
        return [line, *words[1:]]
    try:
        # A backslash is a part of a path on Windows.
        parts = shlex.split(line) if "\\" not in line else [part.strip("\"'") for part in line.split()]
    except ValueError:
        return [line, *words[1:]]
    is_path = bool(re.search(r"[/\\]", parts[0])) and not line.startswith(('"', "'")) if parts else True
    if is_path and not Path(parts[0]).exists():
        return [line, *words[1:]]
    return [*parts, *words[1:]]


def _without_cmd(line: Line) -> None:
    if program(line.words[0]) != "cmd":
        return
    at = next((n for n, word in enumerate(line.words) if word.lower() in ("/c", "/k")), None)
    if at is not None and line.words[at + 1 :] and all(word.startswith("/") for word in line.words[1:at]):
        line.words = _split(line.words[at + 1 :])


def _without_env(line: Line) -> None:
    words = line.words[1:] if program(line.words[0]) == "env" else line.words
    found = []
    while words and (match := _ASSIGNMENT.fullmatch(words[0])):
        found.append((match[1], match[2]))
        words = words[1:]
    if words and not words[0].startswith("-") and (found or words is not line.words):
        # What the command itself sets wins over the entry's variable.
        line.env |= dict(found)
        line.words = list(words)


def _container_variables(line: Line) -> None:
    """Move the values of `-e NAME=VALUE` into the variables, from where `-e NAME` takes them."""
    if program(line.words[0]) not in _CONTAINERS or "run" not in line.words:
        return
    words = line.words
    at = words.index("run") + 1
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        prefix = next((start for start in ("--env=", "-e=") if word.startswith(start)), "")
        if not prefix and re.match(r"-e[A-Za-z_]", word):
            prefix = "-e"
        if prefix or word in ("-e", "--env"):
            at += 0 if prefix else 1
            if at < len(words):
                words[at] = prefix + _passed_on(words[at].removeprefix(prefix), line)
        elif "=" not in word and word not in _CONTAINER_SWITCHES:
            at += 1
        at += 1


def _passed_on(given: str, line: Line) -> str:
    match = _ASSIGNMENT.fullmatch(given)
    name = match[1] if match else given
    if match:
        line.env[name] = match[2]
    elif name not in line.env:
        line.forwarded.append(name)
    return name


def starts_host(words: Sequence[str]) -> bool:
    """Return whether a command starts mcp-host, by itself or through `uvx`, `python -m` or a shell."""
    first = program(words[0])
    if first == "mcp-host":
        return True
    if any(tuple(words[n : n + 2]) == ("-m", "mcp_host") for n in range(len(words))):
        return True
    if first not in _HOST_RUNNERS and not first.startswith("python"):
        return False
    return any(re.split(r"[@=<>~!\[]", program(part))[0] == "mcp-host" for word in words[1:] for part in word.split())


def remote_of(line: Line) -> Remote | None:
    """Return what `npx mcp-remote` connects to, or None if it must stay as it is.

    It stays without headers, because it logs in by itself then, and with options that the host does not have.
    """
    rest = list(_arguments_of(line.words))
    if not rest:
        return None
    url, headers = "", {}
    words = iter(rest)
    for word in words:
        if word == "--header":
            name, colon, value = next(words, "").partition(":")
            if not colon:
                return None
            headers[name.strip()] = _own_variables(value.strip(), line.env)
        elif word == "--transport":
            if next(words, "") == "sse-only":
                return None
        elif word.startswith(("http://", "https://")) and not url:
            url = word
        elif word not in ("--allow-http", "--debug", "--silent") and not (url and word.isdigit()):
            return None
    return Remote(url, headers) if url and headers and not url.partition("?")[0].rstrip("/").endswith("/sse") else None


def _arguments_of(words: Sequence[str]) -> Iterator[str]:
    """Yield the arguments of `mcp-remote`, if a runner of npm packages runs it."""
    for runner in _RUNNERS:
        if tuple(map(program, words[:1])) + tuple(words[1 : len(runner)]) == runner:
            rest = [*words[len(runner) :]]
            while rest and rest[0] in ("-y", "--yes", "-q", "--quiet", "--"):
                rest.pop(0)
            if rest and re.fullmatch(r"mcp-remote(@.+)?", rest[0]):
                yield from rest[1:]


def _own_variables(text: str, env: dict[str, str]) -> str:
    """Replace the variables that mcp-remote itself would replace with the entry's own."""
    return re.sub(r"\$\{(\w+)\}", lambda match: env.get(match[1], match[0]), text)
