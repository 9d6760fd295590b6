"""The roots: named folders, which of their files are served, and how a file in them is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

from mcp_plugin_files.errors import FileMissingError, FileRefusedError, refusal
from mcp_plugin_files.folders import BY_DESCRIPTOR, EntryKind, Folder, NotAFileError
from mcp_plugin_files.own import Own, OwnPaths
from mcp_plugin_files.paths import Parts, is_text, parts_of, shortened, uri_of
from mcp_plugin_files.settings import RootFolder, Settings

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_KINDS: Mapping[EntryKind, str] = {
    "link": "is a symbolic link, and links are not followed: name the file itself",
    "device": "is a device, not a file",
    "fifo": "is a FIFO, not a file",
    "socket": "is a socket, not a file",
}

DRAFT = ".mcp-files-"
"""The prefix of files that are being written. They are never served."""

_MOST_NAMES: Final = 2000
"""How many entries of a folder are compared with the name of a missing one."""


@dataclass(frozen=True, eq=False)
class Root:
    """One served folder."""

    name: str
    path: Path
    rules: RootFolder
    ignored: GitIgnoreSpec
    own: Own
    by_descriptor: bool = BY_DESCRIPTOR

    def serves(self, parts: Parts, *, folder: bool = False) -> bool:
        """Return whether a path may be seen. Only its names decide, not the disk."""
        if any(part.startswith(DRAFT) for part in parts) or self.own.hides(parts):
            return False
        if not self.rules.hidden and any(part.startswith(".") for part in parts):
            return False
        return not parts or not self.ignored.match_file("/".join(parts) + ("/" if folder else ""))

    def require_served(self, parts: Parts, *, folder: bool = False) -> None:
        """Refuse a path that is hidden or ignored, also if it does not exist.

        Raises:
            FileRefusedError: The path is hidden or ignored. The text names the setting.
        """
        if not self.rules.hidden and any(part.startswith(".") for part in parts):
            raise FileRefusedError(
                f"{uri_of(self.name, parts)} is hidden: names that begin with a dot are served only with "
                f"roots.{self.name}.hidden = true."
            )
        if self.own.hides(parts):
            raise self._is_own(parts)
        if not self.serves(parts, folder=folder):
            raise FileRefusedError(f"{uri_of(self.name, parts)} is not served: roots.{self.name}.ignore leaves it out.")

    @contextmanager
    def open(self, parts: Parts = (), *, make: bool = False) -> Iterator[Folder]:
        """Open the folder at a path, step by step from the root. With `make`, missing folders are created.

        Raises:
            FileRefusedError: The folder does not exist, or a step is a link or not a folder.
        """
        with ExitStack() as stack:
            with self.explained():
                folder = stack.enter_context(Folder.at(os.fspath(self.path), by_descriptor=self.by_descriptor))
            for depth, name in enumerate(parts, 1):
                with self.explained(parts[:depth], None if make else folder):
                    if make:
                        try:
                            inner = folder.folder(name)
                        except FileNotFoundError:
                            with suppress(FileExistsError):
                                folder.make_folder(name)
                            inner = folder.folder(name)
                    else:
                        inner = folder.folder(name)
                    folder = stack.enter_context(inner)
            yield folder

    @contextmanager
    def opened(self, parts: Parts) -> Iterator[int]:
        """Open the regular file at a path for reading.

        Raises:
            FileRefusedError: The file does not exist, is hidden, ignored or not a regular file, or a step is a link.
        """
        self.require_served(parts)
        descriptor = self.descriptor(parts)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def descriptor(self, parts: Parts, flags: int = os.O_RDONLY) -> int:
        """Return the open file of a path that is served. The caller must close it."""
        if not parts:
            raise FileRefusedError(f"{uri_of(self.name, parts)} is a folder, not a file.")
        with self.open(parts[:-1]) as folder:
            return self.open_in(folder, parts, flags)

    def open_in(self, folder: Folder, parts: Parts, flags: int = os.O_RDONLY, *, hint: bool = True) -> int:
        """Open the regular file of a path in its open folder, and return its descriptor.

        With `hint`, the error for a missing file has the name of a similar one.

        Raises:
            FileRefusedError: It is a file of the host itself, under whatever name.
        """
        with self.explained(parts, folder if hint else None):
            descriptor = folder.open(parts[-1], flags)
        if self.own.is_own(os.fstat(descriptor)):
            os.close(descriptor)
            raise self._is_own(parts)
        return descriptor

    def _is_own(self, parts: Parts) -> FileRefusedError:
        return FileRefusedError(
            f"{uri_of(self.name, parts)} is not served: it belongs to the server itself "
            "(configuration, secrets, data, code)."
        )

    @contextmanager
    def explained(self, parts: Parts = (), folder: Folder | None = None) -> Iterator[None]:
        """Turn the system's errors about a path into errors for the caller.

        If the path is missing in the open `folder`, the error has the name of a similar entry.
        """
        shown = uri_of(self.name, parts)
        try:
            yield
        except NotAFileError as error:
            raise FileRefusedError(f"{shown} {_KINDS[error.kind]}.") from None
        except OSError as error:
            if not parts and isinstance(error, FileNotFoundError | NotADirectoryError):
                raise FileMissingError(
                    f"The folder of the root {self.name!r} is missing: see roots.{self.name}.path in the settings."
                ) from None
            if folder is not None and isinstance(error, FileNotFoundError):
                raise FileMissingError(f"{shown} does not exist.{self._hint(parts, folder)}") from None
            raise refusal(error, shown) from None

    def _hint(self, parts: Parts, folder: Folder) -> str:
        """Return a question about a served entry of the folder whose name is similar to the missing one."""
        *above, wanted = parts
        try:
            names = [
                entry.name
                for entry in islice(folder.entries(), _MOST_NAMES)
                if is_text(entry.name) and self.serves((*above, entry.name), folder=entry.kind == "folder")
            ]
        except OSError:  # The folder may not be listed, so there is no hint.
            return ""
        similar = similar_name(wanted, names)
        if similar is None:
            return ""
        path = "/".join((*above, similar))
        if normalize("NFC", similar) == normalize("NFC", wanted):
            return f" Did you mean {path!r}? It looks the same but has other code points: {path!a}."
        return f" Did you mean {path!r}?"

    def below(self, path: str) -> Parts | None:
        """Return an absolute path as a path in this root, or None if it is not inside."""
        for base in (os.path.abspath(self.path), os.path.realpath(self.path)):
            if PurePath(path).is_relative_to(base):
                return parts_of("/".join(PurePath(path).relative_to(base).parts))
        return None


def similar_name(wanted: str, names: Sequence[str]) -> str | None:
    """Return the name that differs least: only in its Unicode form, only in case, or in a few letters."""
    forms: list[Callable[[str], str]] = [
        lambda name: normalize("NFC", name),
        lambda name: normalize("NFKC", name).casefold(),
    ]
    for form in forms:
        if same := [name for name in names if form(name) == form(wanted)]:
            return same[0]
    return next(iter(get_close_matches(wanted, names, n=1, cutoff=0.7)), None)


class Roots:
    """All roots, by name."""

    def __init__(self, settings: Settings, base_dir: Path, own_paths: OwnPaths = lambda: ()) -> None:
        from pathspec import GitIgnoreSpec

        self._roots = {}
        for name, folder in settings.folders.items():
            path = base_dir / Path(folder.path).expanduser()
            ignored = GitIgnoreSpec.from_lines(folder.ignore)
            self._roots[name] = Root(name, path, folder, ignored, Own(path, own_paths))

    def __iter__(self) -> Iterator[Root]:
        return iter(self._roots.values())

    @property
    def names(self) -> list[str]:
        return list(self._roots)

    def get(self, name: str | None) -> Root:
        """Return the root with this name, or the only root if there is no name.

        Raises:
            FileMissingError: There is no such root.
            FileRefusedError: There is no name, but more than one root.
        """
        if not self._roots:
            raise FileMissingError("No folder is served: the settings have no roots.")
        if name is None:
            if len(self._roots) > 1:
                raise FileRefusedError(f"Give the name of a root. Roots: {', '.join(self._roots)}.")
            return next(iter(self._roots.values()))
        if name not in self._roots:
            close = get_close_matches(name, self._roots, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise FileMissingError(f"There is no root {name[:80]!r}.{hint} Roots: {', '.join(self._roots)}.")
        return self._roots[name]

    def locate(self, name: str | None, path: str) -> tuple[Root, Parts]:
        """Return the root and the path in it of a path in this root, or of an absolute path inside any root.

        Raises:
            FileRefusedError: There is no such root, the path is not valid, or it is absolute and not inside a root.
        """
        if not os.path.isabs(path):
            return self.get(name), parts_of(path)
        roots = list(self) if name is None else [self.get(name)]
        inside = [(root, parts) for root in roots if (parts := root.below(path)) is not None]
        if not inside:
            raise FileRefusedError(
                f"The path {shortened(path)} is absolute and not inside a root: write a path inside the root, such as "
                "'notes/today.md'."
            )
        return min(inside, key=lambda each: len(each[1]))
