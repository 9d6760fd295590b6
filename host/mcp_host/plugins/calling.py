"""Calls one hook of one plugin, and checks what it returned; whatever the plugin raises or prints stays here."""

from __future__ import annotations

import inspect
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pluggy

from mcp_host.errors import ErrorCode, HostError, Problem, text_of
from mcp_host.plugins.hooks import article
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.system.streams import stdout_to_stderr

logger = logging.getLogger(__name__)

_FRAMES = 5
"""Innermost frames of a stack that are shown."""

_TRACEBACK = "MCP_LOG_LEVEL=debug mcp-host check   (shows the traceback)"


@contextmanager
def contained(plugin: LoadedPlugin, doing: str) -> Iterator[None]:
    """Keep stdout and every exception of the block: any attribute of a plugin's object may print or raise.

    Raises:
        HostError: In place of whatever was raised.
    """
    try:
        with stdout_to_stderr():
            yield
    except HostError:
        raise
    except BaseException as error:
        logger.debug("%s plugin %s failed", doing, plugin.name, exc_info=error)
        what = f"{doing} failed: {text_of(error)}"
        raise HostError(what, where=plugin.where, hint=_TRACEBACK, code=ErrorCode.HOOK_FAILED) from error


@contextmanager
def named_if_stuck(plugin: LoadedPlugin, seconds: float) -> Iterator[None]:
    """Say in the log where the plugin is when the block has not ended by then: nothing can stop a hanging import."""
    thread = threading.get_ident()

    def tell() -> None:
        frame = sys._current_frames().get(thread)
        stack = "".join(traceback.format_stack(frame)[-_FRAMES:]).rstrip()
        what = f"not loaded after {seconds:g} s, and nothing is served before; it is here:\n{stack}"
        logger.error("%s", Problem(what, hint=f"{plugin.table} enabled = false").text(f"plugin {plugin.name}"))

    timer = threading.Timer(seconds, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def call_hook(plugin: LoadedPlugin, manager: pluggy.PluginManager, hook: str, *, pass_plugin: bool = True) -> Any:
    """Call one hook of the one plugin of this manager; None when it does not implement it."""
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
            hint=f"write def {hook}(...), and do what needs awaiting in the lifespan",
        )
    return result


def items_of(
    plugin: LoadedPlugin,
    manager: pluggy.PluginManager,
    hook: str,
    kind: type | None,
    accept: Callable[[Any], bool] = lambda _: False,
) -> tuple[Any, ...]:
    """Call a hook that returns an iterable and check every item of it."""
    wanted = f"{kind.__name__} objects" if kind else "functions"
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
        if not (kind is not None and isinstance(item, kind)) and not accept(item):
            for unwanted in items[index:]:
                _close(unwanted)
            raise HostError(f"{hook} returned {article(item)} as item {index}; {wanted} are wanted", where=plugin.where)
    return items


def _hook_error(plugin: LoadedPlugin, hook: str, error: BaseException) -> HostError:
    logger.debug("%s of plugin %s failed", hook, plugin.name, exc_info=error)
    return HostError(
        f"{hook} failed: {text_of(error)}",
        where=plugin.where,
        hint=_TRACEBACK,
        code=ErrorCode.HOOK_FAILED,
    )


def _close(value: object) -> None:
    """Close a coroutine nobody will await, so that Python does not warn about it later."""
    if inspect.iscoroutine(value):
        value.close()
