"""The hooks of one plugin: finds the ones that it implements, reports mistakes in them, and calls them."""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pluggy

from mcp_host import hookspecs
from mcp_host.api import PROJECT
from mcp_host.errors import ErrorCode, HostError, did_you_mean, wrapped
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.system.logs import log_with_stack
from mcp_host.system.streams import stdout_to_stderr

logger = logging.getLogger(__name__)

_TRACEBACK = "MCP_LOG_LEVEL=debug mcp-host check   (shows the traceback)"

SHOWN_AFTER = 1.0
"""Seconds after which the log says which plugin is being loaded, started or stopped."""

HOOKS: frozenset[str] = frozenset(name for name in vars(hookspecs) if name.startswith("mcp_"))


def hooks_of(manager: pluggy.PluginManager, found: object, where: str) -> frozenset[str]:
    """Return the hooks that an object implements. Refuse mistakes that pluggy would ignore.

    Raises:
        HostError: A hook is unknown, is not marked, is not a function, or is implemented twice or as a wrapper, or the
            object is a class instead of an instance.
    """
    implemented: set[str] = set()
    for name in dir(found):
        options = manager.parse_hookimpl_opts(found, name)
        if options is None:
            _refuse_unmarked(found, name, where)
            continue
        hook = options.get("specname") or name
        if hook not in HOOKS:
            if options.get("optionalhook"):
                continue
            raise _unknown_hook(hook, where)
        if options.get("wrapper") or options.get("hookwrapper"):
            raise HostError(
                f"{name} is a hook wrapper, but there is nothing to wrap: each plugin's hooks are called separately",
                where=where,
                hint="write @hookimpl without wrapper=True, and return a list",
            )
        if hook in implemented:
            raise HostError(f"{hook} is implemented twice", where=where, hint="return everything from one function")
        if inspect.isclass(found) and inspect.isfunction(inspect.getattr_static(found, name)):
            raise HostError(
                f"{found.__name__} is a class, and its hook {name} needs an instance",
                where=where,
                hint=f"write plugin = {found.__name__}() below it, and name the instance in the entry point",
            )
        implemented.add(hook)
    return frozenset(implemented)


def _refuse_unmarked(found: object, name: str, where: str) -> None:
    if not name.startswith("mcp_"):
        return
    value = inspect.getattr_static(found, name, None)
    if not callable(value) or inspect.isclass(value):
        return
    home = getattr(value, "__module__", None)
    if name not in HOOKS:
        # A function that a module only imports may have any name.
        if inspect.isroutine(value) and not (inspect.ismodule(found) and home != found.__name__):
            raise _unknown_hook(name, where)
    elif home != hookspecs.__name__:
        marked = getattr(value, f"{PROJECT}_impl", None) is not None
        plain = inspect.isroutine(value) and not marked
        kind = "not marked as a hook implementation" if plain else f"{article(value)}, not a function"
        raise HostError(
            f"{name} is {kind}",
            where=where,
            hint="write @hookimpl above it (from mcp_host import hookimpl)",
        )


def _unknown_hook(name: str, where: str) -> HostError:
    return HostError(
        f"{name} is not a hook{did_you_mean(name, HOOKS)}", where=where, hint=f"hooks: {', '.join(sorted(HOOKS))}"
    )


def article(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


# Calling the hooks, with the plugin's exceptions and output contained


@contextmanager
def contained(plugin: LoadedPlugin, doing: str) -> Iterator[None]:
    """Contain the output and the exceptions of the block: any attribute of a plugin's object may print or raise.

    Raises:
        HostError: The block raised an exception.
    """
    try:
        with stdout_to_stderr():
            yield
    except HostError:
        raise
    except BaseException as error:
        raise wrapped(error, f"{doing} failed", where=plugin.where_of(error), hint=_TRACEBACK) from error


@contextmanager
def named_if_stuck(plugin: LoadedPlugin, seconds: float, meanwhile: str) -> Iterator[None]:
    """Log that the plugin is loading once it takes long, and its stack if it takes longer than `seconds`.

    Nothing can stop an import that hangs. `meanwhile` is what is served until then.
    """
    thread = threading.get_ident()
    done = threading.Event()

    def log() -> None:
        if done.wait(min(SHOWN_AFTER, seconds)):
            return
        logger.info("loading plugin %s ...", plugin.name)
        if done.wait(seconds - SHOWN_AFTER):
            return
        log_with_stack(
            logger,
            logging.ERROR,
            sys._current_frames().get(thread),
            "plugin %s is not loaded after %g s; %s | hint: %s enabled = false | it is here:",
            plugin.name,
            seconds,
            meanwhile,
            plugin.table,
        )

    threading.Thread(target=log, name=f"loading plugin {plugin.name}", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def call_hook(plugin: LoadedPlugin, manager: pluggy.PluginManager, hook: str, *, pass_plugin: bool = True) -> Any:
    """Call a hook of the manager's only plugin. Return None if the plugin does not implement it."""
    arguments = {"plugin": plugin.context} if pass_plugin else {}
    try:
        results: list[Any] = getattr(manager.hook, hook)(**arguments)
    except BaseException as error:
        raise _hook_error(plugin, hook, error) from error
    result = results[0] if results else None
    if inspect.isawaitable(result):
        _close(result)
        raise HostError(
            f"{hook} is async; hooks are plain functions",
            where=plugin.where,
            hint=f"write def {hook}(...), and await in the lifespan instead",
        )
    return result


def items_of(
    plugin: LoadedPlugin,
    manager: pluggy.PluginManager,
    hook: str,
    kinds: tuple[type, ...],
    accept: Callable[[Any], bool] = lambda _: False,
) -> tuple[Any, ...]:
    """Call a hook that returns an iterable, and check each item."""
    wanted = f"{' or '.join(kind.__name__ for kind in kinds)} objects" if kinds else "functions"
    returned = call_hook(plugin, manager, hook)
    if returned is None:
        return ()
    if not isinstance(returned, Iterable) or isinstance(returned, str | bytes | Mapping):
        raise HostError(
            f"{hook} returned {article(returned)}, not an iterable of {wanted}",
            where=plugin.where,
            hint="return a list",
        )
    try:
        items = tuple(returned)
    except BaseException as error:
        raise _hook_error(plugin, hook, error) from error
    for index, item in enumerate(items):
        if not isinstance(item, kinds) and not accept(item):
            for unwanted in items[index:]:
                _close(unwanted)
            what = f"{article(item)} that is not a plain one" if callable(item) and not kinds else article(item)
            raise HostError(f"{hook} returned {what} as item {index}; expected {wanted}", where=plugin.where)
    return items


def is_plain_function(value: object) -> bool:
    """Whether the value can be called and does its work before it returns: it is not async and not a generator."""
    return callable(value) and not any(
        is_lazy(called)
        for called in (value, type(value).__call__)
        for is_lazy in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    )


def _hook_error(plugin: LoadedPlugin, hook: str, error: BaseException) -> HostError:
    return wrapped(error, f"{hook} failed", where=plugin.where_of(error), hint=_TRACEBACK, code=ErrorCode.HOOK_FAILED)


def _close(value: object) -> None:
    """Close a coroutine that is never awaited, so that Python does not warn about it."""
    if inspect.iscoroutine(value):
        value.close()
