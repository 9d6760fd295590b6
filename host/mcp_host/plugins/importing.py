"""Imports the object of an entry point."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from mcp_host.errors import ErrorCode, HostError, did_you_mean, wrapped
from mcp_host.plugins.discovery import in_its_own_environment
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.records import Stage

logger = logging.getLogger(__name__)


def import_value(plugin: LoadedPlugin, value: str, *, slow: float, base_dir: Path) -> object:
    """Return the object of an entry point's value. Record the time, and warn if it is more than `slow` seconds.

    Instead of a module, the value may name a file relative to `base_dir`: "server.py:mcp".

    Raises:
        HostError: The module cannot be imported, or the attribute does not exist.
    """
    # An entry point may end with extras: "package.module:attribute [extra]".
    path, _, attributes = value.partition("[")[0].partition(":")
    module_name = path.strip()
    started = time.perf_counter()
    try:
        found: object = (
            _import_file(base_dir / Path(module_name).expanduser())
            if module_name.endswith(".py")
            else importlib.import_module(module_name)
        )
    except BaseException as error:
        logger.debug("importing %s failed", value, exc_info=True)
        raise _import_error(plugin, module_name, error) from error
    finally:
        elapsed = time.perf_counter() - started
        plugin.record = replace(plugin.record, import_ms=round(elapsed * 1000, 1))
    for attribute in filter(None, attributes.strip().split(".")):
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            raise HostError(
                f"{value} does not exist: {describe(found)} has no attribute {attribute!r}"
                f"{did_you_mean(attribute, dir(found))}",
                where=plugin.where,
                hint=f"correct the entry point of {plugin.record.source}"
                if plugin.section.object is None
                else f'{plugin.table} object = "{module_name}:..."',
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


def _import_file(file: Path) -> ModuleType:
    """Import a file as a module of its own name. Modules beside it can be imported while it is.

    Raises:
        FileNotFoundError: It does not exist.
    """
    file = file.resolve()
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    # Two files may have the same name.
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
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
    return module


def _import_error(plugin: LoadedPlugin, module_name: str, error: BaseException) -> HostError:
    distribution = plugin.record.distribution
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    off = f"{plugin.table} enabled = false"
    if _misses_older_sdk(error) and distribution:
        hint = in_its_own_environment(plugin.name, distribution)
    elif _misses_older_sdk(error):
        run = f'"{module_name}"' if module_name.endswith(".py") else f'"-m", "{module_name}"'
        hint = (
            f'{plugin.table} command = ["python", {run}] and requirements = ["mcp<2"]   (not object, for a server '
            "that was written for mcp 1: a process with its own libraries)"
        )
    elif missing and (f"{module_name}.".startswith(f"{missing}.") or missing.startswith(f"{module_name}.")):
        package = missing.partition(".")[0].replace("_", "-")
        hint = f"pip install {f'--force-reinstall {distribution}' if distribution else package}"
    elif missing:
        hint = f"pip install {missing.partition('.')[0]}"
    else:
        hint = f"pip install --upgrade {distribution}, or {off}" if distribution else off
    what = f"importing {module_name} failed"
    return wrapped(error, what, where=plugin.where, hint=hint, code=ErrorCode.IMPORT_FAILED)


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
