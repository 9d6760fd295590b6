"""A hostile plugin: every fault as a tool, resource, prompt, completion and middleware."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import locale
import logging
import logging.config
import os
import resource
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from mcp.types import CallToolResult, TextContent

from mcp_host import Completion, Prompt, Resource, Tool, hookimpl

plugin = sys.modules[__name__]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def raising(error: BaseException) -> Callable[[], Any]:
    def fault() -> Any:
        raise error

    return fault


def deep() -> int:
    return 1 + deep()


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


async def leak_task() -> None:
    leaked.append(asyncio.create_task(asyncio.Event().wait(), name="leaked"))


leaked: list[asyncio.Task[Any]] = []


async def exit_task() -> None:
    async def leave() -> None:
        sys.exit(3)

    leaked.append(asyncio.create_task(leave()))
    await asyncio.sleep(0)


async def exit_callback() -> None:
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(0)


async def ignore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def leak_thread() -> None:
    threading.Thread(target=threading.Event().wait, name="leaked").start()


def close_descriptors() -> None:
    for number in (0, 1, 2):
        os.close(number)


def close_stdout() -> None:
    sys.stdout.close()


def close_stderr() -> None:
    sys.stderr.close()


def no_stdout() -> None:
    sys.stdout = None


def print_raw() -> None:
    os.write(1, b"raw\n")
    library = ctypes.CDLL(None)
    library.puts(b"from C")
    library.fflush(None)


async def stop_loop() -> None:
    asyncio.get_running_loop().stop()


async def cancel_all() -> None:
    current = asyncio.current_task()
    for task in asyncio.all_tasks():
        if task is not current:
            task.cancel()


async def cancel_all_later() -> None:
    def cancel() -> None:
        for task in asyncio.all_tasks():
            task.cancel()

    asyncio.get_running_loop().call_soon(cancel)
    await asyncio.sleep(0)


async def task_factory() -> None:
    asyncio.get_running_loop().set_task_factory(None)


def block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


def refuse(*_: object) -> Any:
    raise ValueError("a filter")


def silence_handlers() -> None:
    for handler in logging.getLogger().handlers:
        handler.addFilter(refuse)
        handler.setLevel(100)


def clear_handlers() -> None:
    logging.getLogger().handlers.clear()


def raising_handler() -> None:
    handler = logging.NullHandler()
    handler.handle = refuse  # type: ignore[method-assign, assignment]
    logging.getLogger().addHandler(handler)


def lower_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def crash_of_the_log() -> None:
    raise ValueError("in the log all the same")


FAULTS: dict[str, Callable[[], Any]] = {
    "system_exit": raising(SystemExit(3)),
    "keyboard_interrupt": raising(KeyboardInterrupt()),
    "generator_exit": raising(GeneratorExit()),
    "cancelled": raising(asyncio.CancelledError()),
    "stop_iteration": raising(StopIteration()),
    "group": raising(BaseExceptionGroup("several", [SystemExit(1), ValueError("x")])),
    "unprintable": raising(UnprintableError()),
    "recursion": deep,
    "cyclic": cyclic,
    "unserialisable": lambda: {"a": object(), "b": {1, 2}},
    "surrogates": lambda: "\ud800",
    "surrogates_inside": lambda: {"a": ["\ud800"]},
    "not_a_number": lambda: {"a": float("nan")},
    "own_result": lambda: CallToolResult(content=[], structured_content={"a": object()}),
    "unchecked_result": lambda: CallToolResult.model_construct(content=[3]),
    "surrogate_result": lambda: CallToolResult(content=[TextContent.model_construct(type="text", text="\ud800")]),
    "chdir": lambda: os.chdir("/"),
    "close_stdout": close_stdout,
    "close_stderr": close_stderr,
    "no_stdout": no_stdout,
    "close_descriptors": close_descriptors,
    "print_raw": print_raw,
    "leak_thread": leak_thread,
    "leak_task": leak_task,
    "exit_task": exit_task,
    "exit_callback": exit_callback,
    "ignore_signals": ignore_signals,
    "stop_loop": stop_loop,
    "cancel_all": cancel_all,
    "cancel_all_later": cancel_all_later,
    "task_factory": task_factory,
    "interval_timer": lambda: signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001),
    "block_signals": block_signals,
    "logging_disabled": lambda: logging.disable(logging.CRITICAL),
    "logging_level": lambda: logging.getLogger().setLevel(100),
    "logging_configured": lambda: logging.config.dictConfig({"version": 1}),
    "logging_replaced": lambda: logging.basicConfig(force=True, level=100),
    "logging_cleared": clear_handlers,
    "logging_factory": lambda: logging.setLogRecordFactory(refuse),
    "logging_filter": silence_handlers,
    "logging_handler": raising_handler,
    "umask": lambda: os.umask(0o777),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C"),
    "limits": lower_limit,
    "socket_timeout": lambda: socket.setdefaulttimeout(0.001),
    "warnings": lambda: warnings.simplefilter("error"),
    "environ": lambda: os.environ.update(HOSTILE="1"),
    "path": lambda: sys.path.insert(0, "/hostile"),
    "log": crash_of_the_log,
}


def variants() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every fault on the loop, and also in a thread if it works there."""
    for name, fault in FAULTS.items():
        if not inspect.iscoroutinefunction(fault):
            yield f"{name}-sync", partial(fault)
        yield f"{name}-async", on_the_loop(fault)


def on_the_loop(fault: Callable[[], Any]) -> Callable[[], Any]:
    async def run() -> Any:
        result = fault()
        return await result if inspect.iscoroutine(result) else result

    return run


ALL = dict(variants())


async def cause(name: str) -> Any:
    result = ALL[name]()
    return await result if inspect.iscoroutine(result) else result


def segfault() -> None:
    ctypes.string_at(0)


RUINS: dict[str, Callable[[], Any]] = {
    "segfault": segfault,
    "exit": lambda: os._exit(3),
    "close_all": lambda: os.closerange(3, 4096),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}
"""What ends the process, and with it every plugin that is in the same one."""


def fork() -> str:
    if os.fork() == 0:
        threading.Event().wait(60)
        os._exit(0)
    return "forked"


@hookimpl
def mcp_tools() -> Iterator[Tool]:
    yield Tool(fork)
    for name, fn in (ALL | RUINS).items():
        yield Tool(fn, name=name, structured_output=False)


@hookimpl
def mcp_resources() -> Iterator[Resource]:
    for name, fn in ALL.items():
        yield Resource(f"fault://{name}", fn, name=name)


@hookimpl
def mcp_prompts() -> Iterator[Prompt]:
    for name, fn in ALL.items():
        yield Prompt(fn, name=name)

    def completed(fault: str) -> str:
        return fault

    yield Prompt(completed)


@hookimpl
def mcp_completions() -> list[Completion]:
    async def complete(value: str) -> Any:
        return await cause(value)

    return [Completion("completed", "fault", complete)]


@hookimpl
def mcp_middleware() -> list[Any]:
    async def fault(call: Any, call_next: Any) -> Any:
        if call.name == "where":
            await cause(call.arguments["fault"])
        return await call_next(call)

    return [fault]
