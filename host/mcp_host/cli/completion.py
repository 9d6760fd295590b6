"""Completion with Tab: offers the names of plugins, tools, prompts and resources, without loading a plugin."""

from __future__ import annotations

import io
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final

import typer

from mcp_host.system.texts import printable

VARIABLE: Final = "_MCP_HOST_COMPLETE"
"""The environment variable that the shell's completion script sets, for example to `complete_bash`."""

_PLAIN = re.compile(r"[\w.:/{}~,+%@=-]+", re.ASCII)
"""The words that can be offered: the shell needs no quotes for them."""

_LONGEST_HELP = 60

Offer = tuple[str, str]
"""A word, and a text about it, which some shells show."""


# Completers, one for each kind of argument


def plugins(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer each plugin that is installed or has a table."""
    return _offer(ctx, incomplete, lambda: {**_installed(), **_tables(ctx)})


def enabled_plugins(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the plugins that mcp-host.toml enables."""
    return _offer(ctx, incomplete, lambda: {name: "" for name, enabled in _tables(ctx).items() if enabled})


def other_plugins(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the plugins that can be enabled."""

    def names() -> dict[str, Any]:
        tables = _tables(ctx)
        off = {name: "disabled" for name, enabled in tables.items() if not enabled}
        return {**{name: label for name, label in _installed().items() if name not in tables}, **off}

    return _offer(ctx, incomplete, names)


def tools(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the tools that were served when the plugins were last loaded."""
    return _offer(ctx, incomplete, lambda: _served(ctx, "tools"))


def prompts(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the prompts that were served then."""
    return _offer(ctx, incomplete, lambda: _served(ctx, "prompts"))


def resources(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the fixed URIs that were served then."""
    return _offer(ctx, incomplete, lambda: _served(ctx, "resources"))


def everything(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer everything that was served then."""
    return _offer(ctx, incomplete, lambda: _served(ctx, "tools", "prompts", "resources", "templates"))


def plugin_commands(ctx: typer.Context) -> dict[str, dict[str, str]]:
    """Return the commands that each plugin had then: their names, and the first line of their help."""
    try:
        remembered = _served(ctx, "commands")
    except Exception:
        return {}
    found: dict[str, dict[str, str]] = {}
    for words, about in remembered.items():
        plugin, _, name = words.partition(" ")
        if _PLAIN.fullmatch(plugin) and _PLAIN.fullmatch(name):
            found.setdefault(plugin, {})[name] = _help(about)
    return found


def _offer(ctx: typer.Context, incomplete: str, names: Callable[[], dict[str, Any]]) -> list[Offer]:
    """Return the names that start with `incomplete` and are not on the line yet, or none after an error."""
    try:
        found = names()
    except Exception:  # Tab shows no errors: the command itself reports what is wrong
        return []
    given = [word for value in ctx.params.values() if isinstance(value, list | tuple) for word in value]
    return [
        (name, _help(about))
        for name, about in found.items()
        if name.startswith(incomplete) and name not in given and _PLAIN.fullmatch(name)
    ]


def _help(about: object) -> str:
    # It is a plugin's text, and one shell passes it to `eval`.
    text = " ".join(re.sub(r"[^\w .,-]+", " ", about if isinstance(about, str) else "").split())
    return text if len(text) <= _LONGEST_HELP else text[: _LONGEST_HELP - 3].rstrip() + "..."


def _config_path(ctx: typer.Context) -> Path | None:
    from mcp_host.config import find_config

    return find_config(ctx.params.get("config"), os.environ, Path.cwd())


def _tables(ctx: typer.Context) -> dict[str, bool]:
    """Return the plugins that have a table, and whether it enables them. The rest of the file may be wrong."""
    path = _config_path(ctx)
    tables = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("plugins", {}) if path is not None else {}
    return {name: table.get("enabled", True) is True for name, table in tables.items() if isinstance(table, dict)}


def _installed() -> dict[str, str]:
    from mcp_host.plugins.discovery import discover

    return {plugin.name: plugin.label for plugin in discover()}


def _served(ctx: typer.Context, *kinds: str) -> dict[str, str]:
    from mcp_host.cli.remembering import recall
    from mcp_host.plugins.discovery import discover

    path = _config_path(ctx)
    if path is None or ctx.params.get("url"):
        return {}
    names = recall(path, discover())
    return {name: about for kind in kinds for name, about in names.get(kind, {}).items()}


# Shells


def answer(app: Callable[[], object]) -> int:
    """Answer the completion script of a shell, which has set `VARIABLE`. Nothing else is printed, even on an error."""
    printed = io.StringIO()
    prefix = _join_words(os.environ)
    code: object = 1
    try:
        with redirect_stdout(printed), redirect_stderr(io.StringIO()):
            app()
    except SystemExit as end:
        code = end.code or 0
    except Exception:
        return 1
    for line in filter(None, printed.getvalue().splitlines()):
        typer.echo(printable(line.removeprefix(prefix)))
    return code if isinstance(code, int) else 1


def _join_words(environ: MutableMapping[str, str]) -> str:
    """Join the words that bash splits at `:` and `=`, and return the part of the typed word that bash keeps itself.

    For bash, `stats://data` is three words, and it completes only the last one (COMP_WORDBREAKS).
    """
    if environ.get(VARIABLE) != "complete_bash" or not environ.get("COMP_CWORD", "").isdecimal():
        return ""
    words = environ.get("COMP_WORDS", "").split("\n")
    last = int(environ["COMP_CWORD"])
    joined = list(_joined(words[: last + 1]))
    environ["COMP_WORDS"], environ["COMP_CWORD"] = "\n".join(joined), str(len(joined) - 1)
    match = re.match(r".*[:=]", joined[-1])
    return match[0] if match else ""


def _joined(words: Iterable[str]) -> Iterator[str]:
    word, glued = None, True
    for part in words:
        breaks = bool(re.fullmatch("[:=]+", part))
        if word is not None and not (glued or breaks):
            yield word
            word = None
        word, glued = (word or "") + part, breaks
    if word is not None:
        yield word
