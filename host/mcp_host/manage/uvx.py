"""The `uvx` command that starts mcp-host with a configuration's plugins, for an environment that will be deleted."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from mcp_host.errors import HostError
from mcp_host.manage.clientenv import has_password, is_within
from mcp_host.plugins.metadata import HOST_DISTRIBUTION

if TYPE_CHECKING:
    from mcp_host.config import HostConfig
    from mcp_host.plugins.requirements import Installed

_SOURCES: Final = (
    *("UV_CONFIG_FILE", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX", "UV_INDEX_STRATEGY"),
    *("UV_INDEX_URL", "UV_NATIVE_TLS", "UV_NO_INDEX", "UV_OFFLINE", "UV_PRERELEASE", "UV_SYSTEM_CERTS", "UV_CACHE_DIR"),
    *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"),
    *("all_proxy", "http_proxy", "https_proxy", "no_proxy"),
)
"""The variables that decide where uv finds distributions, and how it gets them."""


def uvx_words(config: HostConfig, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that start the same mcp-host with the same versions of the enabled plugins, up to its name.

    Raises:
        HostError: There is no uvx that will stay.
    """
    from mcp_host.plugins.discovery import GROUP
    from mcp_host.plugins.requirements import installed_now

    installed = installed_now(GROUP)
    host, plugins = installed.get(HOST_DISTRIBUTION), [installed[key] for key in sorted(_keys(config, installed))]
    program = _program(environ)
    if program is None or host is None:
        more = "".join(f" --with {each.key}" for each in plugins)
        raise HostError(
            "mcp-host runs in a temporary environment, and an entry that starts it would soon stop working",
            where=sys.prefix,
            hint=f"uv tool install mcp-host{more}, then its mcp-host install",
        )
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words = [*program, "--python", python, "--from", _pinned(host)]
    for each in plugins:
        words += ["--with-editable", _folder(each)] if each.editable else ["--with", _pinned(each)]
    return (*words, "mcp-host")


def uv_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tell uv where to find distributions.

    Raises:
        HostError: One of them has a password, which is written only if it is given with -v.
    """
    found = {name: environ[name] for name in _SOURCES if environ.get(name)}
    for name, value in found.items():
        if has_password(value):
            raise HostError(
                f"uvx needs the variable {name}, and its value has a password",
                where=f"environment: {name}",
                hint=f"-v {name} writes it into the entry; or uv tool install mcp-host, then its mcp-host install",
            )
        if os.path.exists(value):
            found[name] = os.path.abspath(value)
    return found


def _keys(config: HostConfig, installed: Mapping[str, Installed]) -> Iterator[str]:
    """Yield the normalized names of the distributions that the enabled plugins come from, or that uvx was given."""
    from mcp_host.plugins.discovery import discover, installed_from
    from mcp_host.plugins.requirements import name_in

    plugins = discover()
    found = set()
    for name, section in config.plugins.items():
        if not section.enabled or section.source not in ("entry point", "object"):
            continue
        if section.object is None:
            found |= {plugin.distribution for plugin in plugins if plugin.name == name}
        elif (one := installed_from(section.object, name=name)) is not None:
            found.add(one.distribution)
    # What nothing else needs was asked for by its name: a Python file may import it.
    needed = {name_in(text) for each in installed.values() for text in each.requires}
    asked_for = {key for key in installed if key not in needed}
    keys = {canonicalize_name(name) for name in found} | asked_for
    yield from (key for key in keys - {HOST_DISTRIBUTION} if key in installed)


def _pinned(each: Installed) -> str:
    return f"{each.key} @ {each.url}" if each.url else f"{each.key}=={each.version}"


def _folder(each: Installed) -> str:
    from mcp_host.plugins.requirements import local_path

    return str(local_path(each.url) or each.url)


def _program(environ: Mapping[str, str]) -> Sequence[str] | None:
    """Return the words for uvx with an absolute path, outside of the environment that will be deleted."""
    # uv sets its own path in UV for its child processes.
    beside = str(Path(environ["UV"]).parent) if environ.get("UV") else None
    for name, rest in (("uvx", ()), ("uv", ("tool", "run"))):
        for path in filter(None, (beside, environ.get("PATH"))):
            for folder in path.split(os.pathsep):
                found = shutil.which(name, path=folder) if os.path.isabs(folder) else None
                if found and not is_within(found, sys.prefix):
                    return (found, *rest)
    return None
