"""Changes the file itself: one process at a time, as a whole or not at all, and only if the result loads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp_host.config import parse_config
from mcp_host.errors import HostError, InvalidConfigError, Problem
from mcp_host.system.files import locked, replace_file

Change = Callable[[str], str]


@dataclass(frozen=True)
class Edit:
    """A file before and after a change."""

    path: Path
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


def edit_file(path: Path, change: Change, *, write: bool = True) -> Edit:
    """Change a file, or with `write=False` only find out what would change.

    The file is replaced as a whole: the new one is written to the disk and then renamed. A lock makes parallel changes
    wait for each other. A symbolic link stays a link, and the file keeps its permissions.

    Raises:
        HostError: The file does not load, would not load after the change, or cannot be written. It is not changed.
    """
    with _replacing(path) if write else _reading(path) as (target, put):
        before = _read(target, path)
        _loads(before, path, "a file that does not load is not changed")
        try:
            after = change(before)
        except HostError as error:
            raise HostError(error.what, where=error.where or str(path), hint=error.hint, code=error.code) from error
        if after != before:
            _loads(after, path, "nothing was changed: the file would not load any more")
            put(after)
    return Edit(path, before, after)


def write_new(path: Path, text: str, *, force: bool = False) -> bool:
    """Write a file as a whole or not at all. Return False if it exists and `force` is not given."""
    if path.exists() and not force:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as (target, put):
        if target.exists() and not force:
            return False
        put(text)
    return True


def _loads(text: str, path: Path, refusal: str) -> None:
    try:
        parse_config(text, source=path, environ={})
    except InvalidConfigError as error:
        refused = Problem(refusal, where=str(path), hint="correct the file, then run this again")
        raise InvalidConfigError([*error.problems, refused]) from error


def _read(target: Path, path: Path) -> str:
    try:
        return target.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise HostError("the file is not UTF-8 text", where=str(path), hint="save it as UTF-8") from None
    except OSError as error:
        raise _cannot("read", path, error) from error


def _cannot(what: str, path: Path, error: OSError) -> HostError:
    return HostError(f"the file cannot be {what}: {error.strerror or error}", where=str(path))


@contextmanager
def _reading(path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    yield path, lambda text: None


@contextmanager
def _replacing(path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """Yield the real path and a function that replaces the file. No other process may change it during the block."""
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "it is read-only")
        with locked(target):
            yield target, lambda text: replace_file(target, text.encode("utf-8"))
    except OSError as error:
        raise _cannot("written", path, error) from error
