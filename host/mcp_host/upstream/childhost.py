"""A host of its own for one plugin: its file, its command, and the limits that the system puts on its process."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp.types import TextResourceContents
from packaging.utils import canonicalize_name

from mcp_host._version import __version__
from mcp_host.config import Limits, PluginSection
from mcp_host.config.references import is_reference
from mcp_host.errors import HostError
from mcp_host.plugins.builtin import PLUGINS_URI
from mcp_host.plugins.discovery import GROUP, InstalledPlugin
from mcp_host.plugins.metadata import HOST_DISTRIBUTION
from mcp_host.plugins.requirements import Installed, installed_now, local_path, parse_wanted, project_name
from mcp_host.system.files import atomic_write

_LONGEST = 365 * 86_400
"""Seconds of a deadline that is not the child's: its host has it."""


def child_command(
    name: str,
    section: PluginSection,
    *,
    python: str,
    folder: Path,
    data_dir: Path,
    base_dir: Path,
    environ: Mapping[str, str],
    log_level: str,
    limits: Limits | None = None,
    debug: bool = False,
) -> tuple[list[str], dict[str, str]]:
    """Write `child.toml` into `folder`, and return the command that serves this plugin alone, and its variables.

    The file has what makes the plugin: its object and its settings, with the secrets as references. All that is a
    matter of the host's catalog and calls (prefix, filters, deadlines) stays with the host. `limits` are the plugin's
    own and the host's together; default: the table's. The variables are the ones of `environ` that the settings name.

    Raises:
        OSError: The file cannot be written.
    """
    limits = section.limits if limits is None else limits
    table: dict[str, Any] = {"limits": _own_limits(limits)}
    if section.object is not None:
        table["object"] = section.object
    if section.settings:
        table["settings"] = section.settings
    host = {
        "name": name,
        "base_dir": str(base_dir.absolute()),
        "data_dir": str(data_dir.absolute()),
        "on_error": "fail",
        "log_level": log_level,
        "debug": debug,
        "call_timeout": "none",
        "start_timeout": _LONGEST,
    }
    file = folder.absolute() / "child.toml"
    atomic_write(file, tomlkit.dumps({"host": host, "plugins": {name: table}}).encode(), mode=0o600)
    variables = {each: environ[each] for each in _variables(section.settings) if each in environ}
    if paths := _import_paths(section, base_dir, environ):
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    # -P: a file beside the TOML must not replace a module of Python or of mcp-host.
    return [python, "-P", "-m", "mcp_host", "run", "--transport", "stdio", "--config", str(file)], variables


def child_requirements(section: PluginSection, installed: InstalledPlugin | None, *, base_dir: Path) -> list[str]:
    """Return the requirements of the child's environment: the table's, this mcp-host, and the plugin's distribution.

    The last two are as they are installed here: from the same folder or URL, or in the same version. A distribution
    that the table itself requires is not added. `installed` is the plugin as it is installed here, if it is.
    """
    here = installed_now(GROUP)
    stated = set(_names(section.requirements, base_dir))
    wanted = [HOST_DISTRIBUTION, *([installed.distribution] if installed and installed.distribution else ())]
    added = [_as_installed(here.get(key), each) for each in wanted if (key := canonicalize_name(each)) not in stated]
    return [*section.requirements, *added]


def check_command(argv: Sequence[str]) -> list[str]:
    """Return the command that runs the checks of the plugin that this one of `child_command` serves."""
    first = argv.index("run")
    return [*argv[:first], "check", "--json", *argv[argv.index("--config") :]]


def problems_of(report: str) -> str | None:
    """Return one line about the checks that failed, from what `check_command` printed, or None if all is well."""
    found = re.search(r"^\{$", report, re.MULTILINE)
    if found is None:
        return f"its process printed no report: {report.strip().rpartition(chr(10))[2][:200]}"
    data = json.JSONDecoder().raw_decode(report, found.start())[0]
    failed = [f"{check['name']}: {check['problem']}" for check in data["checks"] if check["problem"] is not None]
    return "; ".join(failed) or None


async def unreachable_parts(session: ClientSession) -> tuple[str, ...]:
    """Ask the host of a session for what its plugin contributes that does not reach another process."""
    try:
        page = await session.read_resource(PLUGINS_URI)
    except MCPError:
        return ()  # an older host, or another server in its place
    (contents,) = page.contents
    assert isinstance(contents, TextResourceContents)
    contributed = [record["contributed"] for record in json.loads(contents.text)["plugins"]]
    return tuple(
        f"its {kind} do not work from a process of its own: {', '.join(names)}"
        for kind in ("routes", "observers")
        if (names := [name for each in contributed for name in each[kind]])
    )


def limited(argv: Sequence[str], limits: Limits) -> list[str]:
    """Return the command that runs this one within `limits.memory` and `limits.cpu_time`.

    On Linux, the process is also killed when the thread that starts it ends, even by SIGKILL. So start it from the
    event loop of the main thread. On Windows, there are no such limits.
    """
    memory, cpu = limits.memory or 0, math.ceil(limits.cpu_time or 0)
    if sys.platform == "win32" or (sys.platform != "linux" and not memory and not cpu):
        return list(argv)
    launcher = str(Path(__file__).with_name("launcher.py"))
    return [sys.executable, "-I", "-S", launcher, str(os.getpid()), str(memory), str(cpu), *argv]


def _own_limits(limits: Limits) -> dict[str, Any]:
    """Return the limits of the child. What its host enforces for it must not be enforced a second time, or sooner."""
    return {
        "calls": limits.calls,
        "queue": limits.queue,
        "threads": limits.threads,
        "argument_size": limits.argument_size,
        "argument_depth": limits.argument_depth,
        "result_size": limits.result_size,
        "failures": 0,
        "answer_timeout": _LONGEST,
    }


def _variables(value: Any) -> Iterator[str]:
    """Yield the names of the variables that settings refer to, at any depth."""
    if is_reference(value):
        if "env" in value:
            yield value["env"]
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _variables(inner)


def _import_paths(section: PluginSection, base_dir: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the folders from which the child imports beside its environment, as this process does."""
    paths = []
    if section.object is not None and not section.object.rpartition(":")[0].endswith(".py"):
        paths.append(str(base_dir.absolute()))
    if section.python is None and not section.requirements:
        paths += [os.path.abspath(each) for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    return paths


def _names(requirements: Sequence[str], base_dir: Path) -> Iterator[str]:
    """Yield the normalized names of the distributions that are required, as far as they are known."""
    for text in requirements:
        try:
            wanted = parse_wanted(text, base=base_dir)
        except HostError:
            continue  # who makes the environment reports it
        folder = local_path(wanted.url)
        name = wanted.name or (project_name(folder) if folder is not None else None)
        if name is not None:
            yield canonicalize_name(name)


def _as_installed(found: Installed | None, name: str) -> str:
    if found is None:
        return f"{name}=={__version__}" if canonicalize_name(name) == HOST_DISTRIBUTION else name
    place = local_path(found.url)
    if place is not None and place.exists():
        return f"-e {place}" if found.editable else str(place)
    # The file that it was installed from may be gone.
    return f"{found.name} @ {found.url}" if found.url and place is None else f"{found.name}=={found.version}"
