"""Watches what importing a plugin does, in a fresh interpreter, and applies the rules about it."""

from __future__ import annotations

import functools
import gc
import importlib
import locale
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mcp_host.authoring.plugincheck import rules
from mcp_host.authoring.plugincheck.observations import Event, Imported
from mcp_host.authoring.plugincheck.report import Verdicts
from mcp_host.authoring.plugincheck.rules import Rule, Severity
from mcp_host.errors import Problem, text_of

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_THREAD = "mcp_host.thread"
_DEEPEST = 300
"""The most frames of a stack that are recorded."""

EffectKind = Literal["opens", "starts", "changes"]
Describe = Callable[[tuple[Any, ...]], str | None]
_FOLDER = Path("/proc/self/fd")
_HARMLESS = ("/dev/urandom", "/dev/random", "/dev/null")
"""Files that libraries open once and keep open until the process ends."""

Descriptors = frozenset[tuple[int, str]]

LONGEST_QUOTE = 80
"""The most characters of printed text that a finding repeats."""

_RULES: Mapping[str, Rule] = {
    "opens": rules.IMPORT_OPENS,
    "starts": rules.IMPORT_STARTS,
    "changes": rules.IMPORT_CHANGES,
}
_HINTS: Mapping[str, str] = {
    "opens": "open it in the lifespan, and close it there",
    "starts": "start it in the lifespan, and end it there",
    "changes": "do not change it: take values from settings, and log with plugin.log",
}


def watch_import(module: str) -> Imported:
    """Import a module and return the side effects. This process must not have imported it before.

    The root logger has a handler during the import, as in a running host. So `logging.basicConfig`, which the
    constructor of `MCPServer` calls, changes nothing.
    """
    placeholder = logging.NullHandler()
    logging.getLogger().addHandler(placeholder)
    before, environment, descriptors = _process(), dict(os.environ), open_descriptors()
    recorder = _Recorder()
    sys.addaudithook(recorder)
    seen = Imported()
    with _captured(seen.printed), _threads_audited():
        started = time.perf_counter()
        recorder.active = True
        try:
            importlib.import_module(module)
        except BaseException as error:
            seen.error = text_of(error)
        finally:
            recorder.active = False
            seen.milliseconds = round((time.perf_counter() - started) * 1000, 1)
    after = _process()
    seen.changed = [what for what, value in after.items() if before.get(what) != value]
    variables = {name for name in {*environment, *os.environ} if environment.get(name) != os.environ.get(name)}
    seen.events = list(recorder.events(module, variables))
    seen.left_open = opened_since(descriptors)
    logging.getLogger().removeHandler(placeholder)
    return seen


@contextmanager
def _captured(texts: dict[str, str]) -> Iterator[None]:
    """Capture everything that is written to descriptors 1 and 2 during the block, into `texts` by stream."""
    streams = {"stdout": (1, sys.stdout), "stderr": (2, sys.stderr)}
    with ExitStack() as stack:
        files = {name: stack.enter_context(tempfile.TemporaryFile()) for name in streams}
        saved = {name: os.dup(number) for name, (number, _) in streams.items()}
        for name, (number, _) in streams.items():
            os.dup2(files[name].fileno(), number)
        try:
            yield
        finally:
            for name, (number, stream) in streams.items():
                stream.flush()
                os.dup2(saved[name], number)
                os.close(saved[name])
                files[name].seek(0)
                if text := files[name].read().decode(errors="replace"):
                    texts[name] = text


@contextmanager
def _threads_audited() -> Iterator[None]:
    """Raise an audit event for each thread that starts, because not every supported Python does so by itself."""
    start = threading.Thread.start

    @functools.wraps(start)
    def audited(thread: threading.Thread) -> None:
        sys.audit(_THREAD)
        start(thread)

    setattr(threading.Thread, "start", audited)  # noqa: B010 - type checkers refuse to assign to a method
    try:
        yield
    finally:
        setattr(threading.Thread, "start", start)  # noqa: B010


def _process() -> Mapping[str, object]:
    """Return the state of the whole process, by the names that findings use."""
    root = logging.getLogger()
    numbers = signal.valid_signals()
    return {
        "the working directory": os.getcwd(),
        "the handlers of the root logger": list(root.handlers),
        "the level of the root logger": root.level,
        "logging.disable": root.manager.disable,
        "sys.path": list(sys.path),
        "sys.stdin": sys.stdin,
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "sys.excepthook": sys.excepthook,
        "the locale": locale.setlocale(locale.LC_ALL),
        "the default timeout of sockets": socket.getdefaulttimeout(),
        **{f"the handler of {_signal_name(number)}": signal.getsignal(number) for number in numbers},
    }


def _signal_name(number: int) -> str:
    return number.name if isinstance(number, signal.Signals) else f"signal {number}"


# Audit events of the import (PEP 578), and whose code raised them


def _opened(args: tuple[Any, ...]) -> str | None:
    path, mode, flags = args
    if not isinstance(path, str | bytes | os.PathLike):  # a descriptor that is already open
        return None
    name = os.fsdecode(path)
    writes = bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool((flags or 0) & _WRITING)
    return f"opens {name!r} for writing" if writes and name != os.devnull else None


def _first(verb: str) -> Describe:
    return lambda args: f"{verb} {os.fsdecode(args[0])!r}"


def _address(verb: str) -> Describe:
    return lambda args: f"{verb} {args[1]!r}"


def _always(what: str) -> Describe:
    return lambda _: what


def _database(args: tuple[Any, ...]) -> str | None:
    name = os.fsdecode(args[0]) if isinstance(args[0], str | bytes | os.PathLike) else str(args[0])
    return None if name == ":memory:" else f"opens the database {name!r}"


_EVENTS: Mapping[str, tuple[EffectKind, Describe]] = {
    "open": ("opens", _opened),
    "sqlite3.connect": ("opens", _database),
    "os.mkdir": ("opens", _first("makes the folder")),
    "os.remove": ("opens", _first("removes")),
    "os.rmdir": ("opens", _first("removes")),
    "os.rename": ("opens", _first("renames")),
    "os.truncate": ("opens", _first("truncates")),
    "socket.connect": ("opens", _address("connects to")),
    "socket.bind": ("opens", _address("binds")),
    "socket.getaddrinfo": ("opens", _first("looks up the address of")),
    "socket.gethostbyname": ("opens", _first("looks up the address of")),
    _THREAD: ("starts", _always("starts a thread")),
    "_thread.start_new_thread": ("starts", _always("starts a thread")),
    "_thread.start_joinable_thread": ("starts", _always("starts a thread")),
    "subprocess.Popen": ("starts", _first("starts the process")),
    "os.posix_spawn": ("starts", _first("starts the process")),
    "os.system": ("starts", _first("runs the command")),
    "os.fork": ("starts", _always("forks the process")),
    "os.forkpty": ("starts", _always("forks the process")),
    "os.exec": ("starts", _first("replaces the process by")),
    "os.putenv": ("changes", lambda args: f"sets the environment variable {os.fsdecode(args[0])}"),
    "os.unsetenv": ("changes", lambda args: f"removes the environment variable {os.fsdecode(args[0])}"),
}


@dataclass(frozen=True)
class _Frame:
    module: str
    line: int
    importing: bool


class _Recorder:
    """An audit hook that records the events in `_EVENTS` with their stacks. Audit hooks cannot be removed."""

    def __init__(self) -> None:
        self.active = False
        self._found: list[tuple[EffectKind, str, list[_Frame]]] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.active or event not in _EVENTS:
            return
        kind, describe = _EVENTS[event]
        try:
            what = describe(args)
        except Exception:  # an exception from an audit hook would stop the operation
            what = event
        if what is not None:
            self._found.append((kind, what, list(_stack())))

    def events(self, module: str, variables: set[str]) -> Iterator[Event]:
        """Yield what the plugin or an imported package did, once for each place.

        `variables` are the environment variables that have changed.
        """
        owner = _owner(module)
        places = set()
        for kind, what, frames in self._found:
            # The text ends with the variable's name. A variable with its old value again is not reported.
            if kind == "changes" and what.rpartition(" ")[2] not in variables:
                continue
            source = _source(frames, owner)
            if source is None:
                continue
            frame, dependency = source
            place = f"{frame.module}, line {frame.line}"
            # Starting one process raises several events.
            if (kind, place) not in places:
                places.add((kind, place))
                yield Event(kind=kind, what=what, place=place, dependency=dependency)


def _stack() -> Iterator[_Frame]:
    frame = sys._getframe(2)
    for _ in range(_DEEPEST):
        code = frame.f_code
        yield _Frame(frame.f_globals.get("__name__") or "", frame.f_lineno, code.co_filename.startswith("<frozen imp"))
        if frame.f_back is None:
            return
        frame = frame.f_back


def _owner(module: str) -> str:
    """Return the plugin's package: the topmost one above its module that is not a namespace package."""
    parts = module.split(".")
    for length in range(1, len(parts)):
        package = ".".join(parts[:length])
        if getattr(sys.modules.get(package), "__file__", None) is not None:
            return package
    return module


def _source(frames: list[_Frame], owner: str) -> tuple[_Frame, str | None] | None:
    """Return the frame that caused an event, and the imported package if another package than the plugin caused it.

    The frames are read from the innermost one. The plugin causes what its code calls. But a package that the plugin
    imports causes what happens during its own import. What the standard library does during its import has no source.
    """
    outer: _Frame | None = None
    for frame in frames:
        if frame.importing:
            return None if outer is None else (outer, outer.module.partition(".")[0])
        if f"{frame.module}.".startswith(f"{owner}."):
            return frame, None
        if frame.module.partition(".")[0] not in sys.stdlib_module_names and not _is_this(frame.module):
            outer = frame
    return None if outer is None else (outer, None)


def _is_this(module: str) -> bool:
    return f"{module}.".startswith("mcp_host.authoring.plugincheck.")


# Open descriptors, on systems that list them


def open_descriptors() -> Descriptors | None:
    """Return the numbers and targets of the open descriptors after a garbage collection, or None if unknown."""
    if not _FOLDER.is_dir():
        return None
    gc.collect()
    found = set()
    for number in os.listdir(_FOLDER):
        try:
            target = os.readlink(_FOLDER / number)
        except OSError:  # the descriptor that `listdir` itself had open
            continue
        if target not in _HARMLESS:
            found.add((int(number), target))
    return frozenset(found)


def opened_since(before: Descriptors | None) -> list[str] | None:
    """Return the targets of the descriptors that were opened since `before` and are still open, or None if unknown."""
    after = open_descriptors()
    if before is None or after is None:
        return None
    return [target for _, target in sorted(after - before)]


# The rules


def judge_import(seen: Imported, plugin: str, budget: float, verdicts: Verdicts) -> None:
    """Apply the rules about the import, which may take `budget` seconds."""
    verdicts.checked(*_RULES.values())
    for event in seen.events:
        severity = Severity.WARNING if event.dependency else None
        verdicts.broken(_RULES[event.kind], _problem(event), severity)
    where = f"plugin {plugin}"
    for what in seen.left_open or ():
        verdicts.broken(rules.IMPORT_OPENS, Problem(f"importing it leaves {what} open", where, _HINTS["opens"]))
    if seen.left_open is None:
        verdicts.skipped("open descriptors are not checked: this system does not list them", rules.IMPORT_OPENS)
    for what in seen.changed:
        verdicts.broken(rules.IMPORT_CHANGES, Problem(f"importing it changes {what}", where, _HINTS["changes"]))
    verdicts.extend(rules.IMPORT_SILENT, _printed(seen, where))
    verdicts.extend(rules.IMPORT_TIME, _slow(seen, where, budget))


def _problem(event: Event) -> Problem:
    if event.dependency:
        return Problem(
            f"{event.dependency}, which is imported with it, {event.what}",
            event.place,
            f"import {event.dependency} inside the functions that use it",
        )
    return Problem(f"importing it {event.what}", event.place, _HINTS[event.kind])


def _printed(seen: Imported, where: str) -> Iterator[Problem]:
    for stream, text in seen.printed.items():
        line = (text.strip().splitlines() or [""])[0][:LONGEST_QUOTE]
        yield Problem(
            f"importing it prints {line!r} to {stream}", where, "log with plugin.log, in a hook or the lifespan"
        )


def _slow(seen: Imported, where: str, budget: float) -> Iterator[Problem]:
    if seen.milliseconds > budget * 1000:
        yield Problem(
            f"importing it takes {seen.milliseconds:.0f} ms, more than {budget * 1000:.0f} ms; it delays every start",
            where,
            "import heavy libraries inside the functions that use them (python -X importtime shows which)",
        )
