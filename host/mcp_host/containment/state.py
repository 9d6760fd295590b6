"""The state of the process that plugins share, beside streams and signals: each change is restored or named."""

from __future__ import annotations

import locale
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

_LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


class ProcessState:
    """The state when it was made. It is compared after each piece of a plugin's work, so this takes microseconds."""

    def __init__(self) -> None:
        self._folder = _folder()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._locale = locale.setlocale(locale.LC_ALL)
        self._timeout = socket.getdefaulttimeout()
        self._limits = {name: resource.getrlimit(number) for name, number in _LIMITS.items()}
        self._errors = [entry for entry in warnings.filters if entry[0] == "error"]
        # Without decoding each variable, which would take longer than all the rest.
        self._variables = getattr(os.environ, "_data", os.environ)
        self._before = dict(self._variables)
        self._path = list(sys.path)

    def restored(self) -> Iterator[tuple[str, str]]:
        """Restore what was changed and what nobody can want to be changed. Yield what it was, with a hint."""
        if self._folder is not None and _folder() != self._folder:
            with suppress(OSError):  # The folder was removed meanwhile.
                os.chdir(self._folder)
            yield "the working directory", "use absolute paths, or cwd= when you start a process"
        if os.umask(self._umask) != self._umask:
            yield "the umask", "set the mode of each file that you make"
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)
            yield "the locale", "use a library that formats for a given locale, such as babel"
        if socket.getdefaulttimeout() != self._timeout:
            socket.setdefaulttimeout(self._timeout)
            yield "the default timeout of sockets", "set the timeout of your own sockets"
        errors = [entry for entry in warnings.filters if entry[0] == "error" and entry not in self._errors]
        if errors:
            for entry in errors:
                warnings.filters.remove(entry)  # type: ignore[attr-defined]
            yield "the filters of warnings (errors)", "use warnings.catch_warnings around your own code"
        for name, number in _LIMITS.items():
            before, now = self._limits[name], resource.getrlimit(number)
            if now == before:
                continue
            try:
                resource.setrlimit(number, before)
            except (OSError, ValueError):  # a lower maximum stays
                self._limits[name] = now[1], now[1]
                with suppress(OSError, ValueError):
                    resource.setrlimit(number, self._limits[name])
            yield f"the limit {name}", "limit a process of its own"

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield what was changed and is left so, because the plugin may need it, with a hint."""
        if self._variables != self._before:
            now, before = dict(self._variables), self._before
            names = sorted(_text(name) for name in now.keys() | before.keys() if now.get(name) != before.get(name))
            self._before = now
            yield f"the environment ({', '.join(names)})", "give env= to the processes that you start"
        if sys.path != self._path:
            added = sorted(set(sys.path) - set(self._path))
            self._path = list(sys.path)
            yield f"sys.path ({', '.join(added) or 'its order'})", "install what you import, or import it by its file"


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else os.fsdecode(name)
