"""Imports the object of an entry point."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from packaging.utils import canonicalize_name

from mcp_host.config.values import split_object
from mcp_host.errors import ErrorCode, HostError, did_you_mean, wrapped
from mcp_host.plugins.discovery import GROUP, in_its_own_environment
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.records import Stage
from mcp_host.plugins.requirements import installed_now, unmet


def import_value(plugin: LoadedPlugin, value: str, *, slow: float, base_dir: Path) -> object:
    """Return the object of an entry point's value. Record the time, and warn if it is more than `slow` seconds.

    Instead of a module, the value may name a file relative to `base_dir`: "server.py:mcp".

    Raises:
        HostError: The module cannot be imported, or the attribute does not exist.
    """
    module_name, attributes = split_object(value)
    started = time.perf_counter()
    before = set(sys.modules)
    found: object
    try:
        if module_name.endswith(".py"):
            plugin.module, found = _import_file(base_dir / Path(module_name).expanduser())
        else:
            plugin.module, found = module_name, importlib.import_module(module_name)
    except BaseException as error:
        raise _import_error(plugin, module_name, error) from error
    finally:
        elapsed = time.perf_counter() - started
        plugin.record = replace(plugin.record, import_ms=round(elapsed * 1000, 1))
    plugin.imported = frozenset(set(sys.modules) - before)
    for attribute in filter(None, attributes.split(".")):
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            raise HostError(
                f"{value} does not exist: {describe(found)} has no attribute {attribute!r}"
                f"{did_you_mean(attribute, dir(found))}",
                where=plugin.where,
                hint=_other_attribute(plugin, module_name),
                code=ErrorCode.IMPORT_FAILED,
            ) from error
    plugin.reach(Stage.IMPORTED)
    if elapsed > slow:
        plugin.warn(
            f"importing {module_name} took {elapsed * 1000:.0f} ms "
            f"(more than {slow * 1000:.0f} ms); "
            "it delays every start",
            hint="import heavy libraries inside the functions that use them",
        )
    return found


def _import_file(file: Path) -> tuple[str, ModuleType]:
    """Import a file as a module, and return its name and the module. While it runs, it can import what is beside it.

    Raises:
        FileNotFoundError: It does not exist.
    """
    file = file.resolve()
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    # Two files may have the same name.
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return name, sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(file.parent))
    return name, module


def _import_error(plugin: LoadedPlugin, module_name: str, error: BaseException) -> HostError:
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if _misses_older_sdk(error):
        hint = _as_process(plugin, module_name)
    elif missing:
        hint = _without(plugin, module_name, missing)
    else:
        hint = _repair(plugin)
    what = f"importing {module_name} failed"
    return wrapped(error, what, where=plugin.where_of(error), hint=hint, code=ErrorCode.IMPORT_FAILED)


def _as_process(plugin: LoadedPlugin, module_name: str) -> str:
    if plugin.record.distribution:
        return in_its_own_environment(plugin.name, plugin.record.distribution)
    why = "(a process with its own libraries, for a server that was written for mcp 1)"
    if plugin.by_file:
        return f"mcp-host add {module_name}   {why}"
    run = f'"{module_name}"' if module_name.endswith(".py") else f'"-m", "{module_name}"'
    return f'{plugin.table} command = ["python", {run}] and requirements = ["mcp<2"]   {why}, not object'


def _without(plugin: LoadedPlugin, module_name: str, missing: str) -> str:
    """Return the hint for a missing module. The name of a module is never taken for that of a distribution."""
    own = f"{module_name}.".startswith(f"{missing}.") or missing.startswith(f"{module_name}.")
    if own and plugin.record.distribution:
        return f"pip install --force-reinstall {plugin.record.distribution}"
    if own:
        return f"{plugin.table} object = ...   (the name of a module that is installed here)"
    installed = installed_now(GROUP)
    found = installed.get(canonicalize_name(plugin.record.distribution or ""))
    lacking = unmet(found, installed) if found is not None else []
    if found is not None and lacking:
        return f"pip install {shlex.join(lacking)}   ({found.name} requires it)"
    return f"install the distribution that contains the module {missing.partition('.')[0]}"


def _repair(plugin: LoadedPlugin) -> str:
    off = "" if plugin.by_file else f"{plugin.table} enabled = false"
    found = installed_now(GROUP).get(canonicalize_name(plugin.record.distribution or ""))
    # The code of a project that is installed in place is corrected by its author.
    return off if found is None or found.editable else f"pip install --upgrade {found.name}, or {off}"


def _other_attribute(plugin: LoadedPlugin, module_name: str) -> str:
    if plugin.by_file:
        return f"{module_name}:NAME"
    if plugin.section.object is None:
        return f"correct the entry point of {plugin.record.source}"
    return f'{plugin.table} object = "{module_name}:..."'


def _misses_older_sdk(error: BaseException) -> bool:
    """Return whether an import failed because something of an older SDK is not there.

    FastMCP, for example, has another name and place since mcp 2. A library between the module and the SDK, such as the
    standalone fastmcp before its version 4, fails in the same way.
    """
    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0] == "mcp"
    if not isinstance(error, AttributeError):
        return False
    # `mcp.McpError`, or `@server.list_tools()` of a low-level server.
    module = error.obj.__name__ if inspect.ismodule(error.obj) else type(error.obj).__module__
    return module.partition(".")[0] == "mcp"


def is_server(value: object) -> bool:
    """Return whether a value is a server of the SDK, or of the standalone fastmcp, by the names of its classes."""
    return any(
        kind.__module__.partition(".")[0] in ("mcp", "fastmcp") and kind.__name__ in ("MCPServer", "FastMCP", "Server")
        for kind in type(value).__mro__
    )


def describe(value: object) -> str:
    if inspect.ismodule(value):
        return f"module {value.__name__}"
    return f"{type(value).__module__}.{type(value).__qualname__}"
