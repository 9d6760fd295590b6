"""Changes `mcp-host.toml`: one statement at a time, every other byte as it was, and the file whole at every moment.

A change is a function from the text to the new text. What it touches is edited as a statement of its own (tomlkit,
where a value has parts), the rest is copied; then both texts are read, and a change that did more or less than asked
is refused.
"""

from __future__ import annotations

import copy
import difflib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import tomlkit

from mcp_host.config import parse_config
from mcp_host.config.origins import dotted, statements
from mcp_host.config.references import is_reference, looks_secret
from mcp_host.discovery import InstalledPlugin
from mcp_host.errors import ConfigError, HostError, InvalidConfigError

Change = Callable[[str], str]


def new_config(*, name: str, enabled: Sequence[str], installed: Iterable[InstalledPlugin], http: bool) -> str:
    """Return the text of a new file: the given plugins enabled, the other installed ones as comments."""
    document = tomlkit.document()
    document.add(tomlkit.comment("What this server serves. All keys: mcp-host schema"))
    host = tomlkit.table()
    host.add("name", name or "mcp-host")
    document.add("host", host)
    transport = tomlkit.table()
    transport.add("kind", "http" if http else "stdio")
    document.add("transport", transport)
    plugins = tomlkit.table(is_super_table=True)
    for plugin in enabled:
        plugins.add(plugin, tomlkit.table())
    if enabled:
        document.add("plugins", plugins)
    text = tomlkit.dumps(document)
    for other in installed:
        if other.name not in enabled:
            key = tomlkit.key(other.name).as_string()
            text += f"\n# [plugins.{key}]    # {other.label}; remove the first # to enable it\n"
    return text


# --- Changes of the text


def enable_plugin(text: str, name: str) -> str:
    """Return the text with `[plugins.NAME]` in it and not switched off. A new table goes behind the other plugins'."""
    file = _File(text)
    if name not in file.plugins:
        file.add_plugin(name)
    elif file.plugins[name].get("enabled") is False:
        file.switch_on(name)
    return file.checked(("plugins", name, "enabled"), lambda new: new["plugins"][name].get("enabled", True) is True)


def disable_plugin(text: str, name: str) -> str:
    """Return the text with `enabled = false` in the plugin's table, which stays as it is otherwise."""
    file = _File(text)
    if file.plugins[name].get("enabled") is not False:
        file.switch_off(name)
    return file.checked(("plugins", name, "enabled"), lambda new: new["plugins"][name].get("enabled") is False)


def remove_plugin(text: str, name: str) -> tuple[str, str]:
    """Return the text without the plugin's tables and keys, and what was taken out, comments included."""
    file = _File(text)
    removed = file.remove_plugin(name)
    return file.checked(("plugins", name), lambda new: name not in new.get("plugins", {})), removed


def set_requires(text: str, requires: Sequence[str]) -> str:
    """Return the text with `[host] requires` saying this; entries that stay keep their place and comments.

    One that takes another's place gets it, other new ones go to the end.
    """
    file = _File(text)
    wanted = sorted(requires)
    if wanted != sorted(file.data.get("host", {}).get("requires", [])):
        file.set_requires(list(requires))
    return file.checked(("host", "requires"), lambda new: sorted(new.get("host", {}).get("requires", [])) == wanted)


def masked(text: str) -> str:
    """Return a text of TOML statements with `"***"` for each value whose key says that it is a secret."""
    return "".join(
        f'{part.text[: part.value_at]} "***"\n' if part.kind is _Kind.VALUE and _is_secret(part) else part.text
        for part in _parts(text)
    )


def diff(before: str, after: str, file: str) -> str:
    """Return a unified diff of two texts, secrets masked, "" when they say the same."""
    old, new = (masked(text.removeprefix("\ufeff")).replace("\r\n", "\n").splitlines() for text in (before, after))
    return "\n".join(difflib.unified_diff(old, new, file, file, lineterm=""))


class _Kind(Enum):
    BLANK = auto()
    COMMENT = auto()
    HEADER = auto()
    VALUE = auto()


@dataclass(frozen=True)
class _Part:
    """One statement with its newline; `path` is the table a header opens, or the whole path of a key."""

    text: str
    kind: _Kind
    table: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    value_at: int = 0

    @property
    def indent(self) -> str:
        return self.text[: len(self.text) - len(self.text.lstrip())]

    @property
    def key(self) -> tuple[str, ...]:
        """The path of a value below its table, as its line writes it."""
        return self.path[len(self.table) :]


_WORD: Final = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_WORDS: Final = rf"{_WORD}(?:[ \t]*\.[ \t]*{_WORD})*"
_HEADER: Final = re.compile(rf"[ \t]*\[\[?[ \t]*({_WORDS})[ \t]*\]")
_KEY: Final = re.compile(rf"[ \t]*({_WORDS})[ \t]*=")


def _parts(text: str) -> list[_Part]:
    """Cut a valid text into its statements."""
    parts: list[_Part] = []
    table: tuple[str, ...] = ()
    for _, statement in statements(text):
        bare = statement.strip()
        if not bare or bare.startswith("#"):
            parts.append(_Part(statement, _Kind.COMMENT if bare else _Kind.BLANK, table))
        elif match := _HEADER.match(statement):
            table = _path(match[1])
            parts.append(_Part(statement, _Kind.HEADER, table, table))
        elif match := _KEY.match(statement):
            parts.append(_Part(statement, _Kind.VALUE, table, (*table, *_path(match[1])), match.end()))
        else:
            raise _by_hand("a statement of the file is not understood")
    return parts


def _path(words: str) -> tuple[str, ...]:
    table: Any = tomllib.loads(f"{words} = 0")
    path: list[str] = []
    while table != 0:
        ((key, table),) = table.items()
        path.append(key)
    return tuple(path)


def _is_secret(part: _Part) -> bool:
    value: Any = tomllib.loads(part.text)
    for key in part.key:
        value = value[key]

    def holds(keys: Iterable[str], value: object) -> bool:
        if isinstance(value, Mapping) and not is_reference(value):
            return any(holds((*keys, key), inner) for key, inner in value.items())
        if isinstance(value, list):
            return any(holds(keys, inner) for inner in value)
        return isinstance(value, str) and any(map(looks_secret, keys))

    return "settings" in part.path and holds(part.path[part.path.index("settings") + 1 :], value)


def _by_hand(why: str) -> HostError:
    return HostError(f"this file cannot be changed without disturbing the rest of it: {why}", mend="change it by hand")


class _File:
    """The statements of a text, being changed."""

    def __init__(self, text: str) -> None:
        self._bom = "\ufeff" if text.startswith("\ufeff") else ""
        body = text.removeprefix("\ufeff")
        self.data: dict[str, Any] = tomllib.loads(body)
        self.parts = _parts(body)
        self._end = "\r\n" if "\r\n" in body else "\n"
        self._ends_in_newline = body.endswith("\n") or not body
        if not self._ends_in_newline:
            last = self.parts[-1]
            self.parts[-1] = replace(last, text=last.text + self._end)

    @property
    def plugins(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data.get("plugins", {})
        return found

    def checked(self, changed: tuple[str, ...], holds: Callable[[Any], bool]) -> str:
        """Return the text as it is now, if `changed` is all that differs from before and `holds` of it.

        Raises:
            HostError: It is not, because the file is written in a way that this does not know.
        """
        body = "".join(part.text for part in self.parts)
        if not self._ends_in_newline:
            body = body.removesuffix("\n").removesuffix("\r")
        try:
            new = tomllib.loads(body)
        except tomllib.TOMLDecodeError as error:
            raise _by_hand(str(error)) from error
        # As texts, because a setting may be nan, and because the order of the plugins has a meaning.
        old_rest, new_rest = (repr(sorted(_without(data, changed).items())) for data in (self.data, new))
        if old_rest != new_rest or not holds(new):
            raise _by_hand(f"{dotted(changed[:2])} is written in an unusual way")
        return self._bom + body

    # What the changes are made of

    def _insert(self, index: int, *lines: str) -> None:
        self.parts[index:index] = _parts("".join(line + self._end for line in lines))

    def _find(self, *path: str, kind: _Kind = _Kind.VALUE) -> int | None:
        return next((n for n, part in enumerate(self.parts) if part.kind is kind and part.path == path), None)

    def _edit(self, index: int, change: Callable[[Any], None], *below: str) -> None:
        """Change the value of one statement, or what is at `below` in it, with tomlkit."""
        part = self.parts[index]
        # Without its indentation, which tomlkit would put before each new key.
        document = tomlkit.parse(part.text.removeprefix(part.indent))
        change(_nested(document, (*part.key, *below)))
        text = tomlkit.dumps(document)
        for spaced, single in (("{  ", "{ "), ("  }", " }")):
            # tomlkit leaves the space of what it takes out.
            text = text.replace(spaced, single) if spaced not in part.text else text
        self.parts[index] = replace(part, text=part.indent + text)

    def _comments_before(self, index: int) -> int:
        """Return where the comment that stands directly above a header begins, or the header itself.

        A comment at the top of the file is the file's.
        """
        start = index
        while start > 0 and self.parts[start - 1].kind is _Kind.COMMENT:
            start -= 1
        return start if start > 0 else index

    def _next_header(self, index: int) -> int:
        after = range(index + 1, len(self.parts))
        return next((n for n in after if self.parts[n].kind is _Kind.HEADER), len(self.parts))

    def _section_end(self, index: int) -> int:
        """Return where a table can be added behind the section that `index` is in."""
        end = self._next_header(index)
        end = self._comments_before(end) if end < len(self.parts) else end
        while end > 0 and self.parts[end - 1].kind is _Kind.BLANK:
            end -= 1
        return end

    # The changes

    def add_plugin(self, name: str) -> None:
        inline = self._find("plugins")
        if inline is not None:
            self._edit(inline, lambda plugins: plugins.update({name: tomlkit.inline_table()}))
            return
        header = f"[{dotted(('plugins', name))}]"
        if (comment := self._commented_out(name)) is not None:
            self.parts[comment : comment + 1] = _parts(header + self._end)
            return
        mine = [n for n, part in enumerate(self.parts) if part.path[:1] == ("plugins",)]
        at = self._section_end(mine[-1] if mine else len(self.parts))
        close = (_Kind.VALUE, _Kind.HEADER)
        above = max((n for n in mine if self.parts[n].kind is _Kind.HEADER), default=0) - 1
        compact = above >= 0 and self.parts[above].kind in close and self.parts[at - 1].kind in close
        self._insert(at, *([""] if at > 0 and not compact else []), header)

    def _commented_out(self, name: str) -> int | None:
        """Return where `# [plugins.NAME]` stands, as `init` writes it, when no key would fall into that table."""
        for index, part in enumerate(self.parts):
            if part.kind is _Kind.COMMENT and re.match(r"#[ \t]*\[plugins\.", part.text):
                with suppress(tomllib.TOMLDecodeError):
                    said = tomllib.loads(part.text.removeprefix("#").strip())
                    rest = (after.kind for after in self.parts[index + 1 :])
                    following = next((kind for kind in rest if kind in (_Kind.HEADER, _Kind.VALUE)), None)
                    if said == {"plugins": {name: {}}} and following is not _Kind.VALUE:
                        return index
        return None

    def switch_on(self, name: str) -> None:
        index = self._find("plugins", name, "enabled")
        if index is None:
            inline = self._find("plugins", name)
            below = () if inline is not None else (name,)
            inline = inline if inline is not None else self._find("plugins")
            if inline is None:
                raise _by_hand(f"the place of plugins.{name} is not found")
            self._edit(inline, lambda plugin: plugin.pop("enabled"), *below)
            return
        part = self.parts[index]
        kept = self.parts[:index] + self.parts[index + 1 :]
        named = any(other.path[:2] == ("plugins", name) for other in kept)
        if part.text.strip() != f"{dotted(part.key)} = false" or not named:
            # A line with a comment is somebody's, and stays.
            text = part.text[: part.value_at] + part.text[part.value_at :].replace("false", "true", 1)
            self.parts[index] = replace(part, text=text)
            return
        self.parts = kept
        around = [other.kind for other in kept[index - 1 : index + 1]]
        following = next((other for other in kept[index:] if other.kind in (_Kind.HEADER, _Kind.VALUE)), part)
        is_below = following.kind is _Kind.HEADER and following.path[:2] == ("plugins", name)
        if around == [_Kind.HEADER, _Kind.BLANK] and is_below:
            # The header that switch_off put above the plugin's other tables.
            del kept[index - 1 : index + 1]

    def switch_off(self, name: str) -> None:
        path = ("plugins", name, "enabled")
        if (index := self._find(*path)) is not None:
            part = self.parts[index]
            text = part.text[: part.value_at] + part.text[part.value_at :].replace("true", "false", 1)
            self.parts[index] = replace(part, text=text)
        elif (index := self._find(*path[:1])) is not None:
            self._edit(index, lambda plugin: plugin.update({"enabled": False}), name)
        elif (index := self._find(*path[:2])) is not None:
            self._edit(index, lambda plugin: plugin.update({"enabled": False}))
        elif (index := self._find(*path[:2], kind=_Kind.HEADER)) is not None:
            following = self.parts[index + 1 : index + 2]
            indent = following[0].indent if following and following[0].kind is _Kind.VALUE else ""
            self._insert_into(index, f"{indent}enabled = false")
        else:
            mine = [n for n, part in enumerate(self.parts) if part.path[:2] == path[:2]]
            if not mine:
                raise _by_hand(f"the place of {dotted(path[:2])} is not found")
            first = self.parts[mine[0]]
            if first.kind is _Kind.VALUE:
                # stats.prefix = "x", below [plugins] or at the top of the file
                key = dotted(path[len(first.table) :])
                self._insert_into(mine[0], f"{first.indent}{key} = false")
            else:
                # [plugins.stats.settings] alone
                header = f"[{dotted(path[:2])}]"
                self._insert(self._comments_before(mine[0]), header, "enabled = false", "")

    def _insert_into(self, index: int, line: str) -> None:
        """Put a line of the same table behind a statement of it."""
        table = self.parts[index].table
        (new,) = _parts(line + self._end)
        self.parts.insert(index + 1, replace(new, table=table, path=(*table, *new.path)))

    def remove_plugin(self, name: str) -> str:
        path = ("plugins", name)
        if (index := self._find("plugins")) is not None:
            inline = tomlkit.inline_table()
            inline.update(self.plugins[name])
            self._edit(index, lambda plugins: plugins.pop(name))
            return f"{dotted(path)} = {inline.as_string()}{self._end}"
        removed = ""
        while mine := [
            n
            for n, part in enumerate(self.parts)
            if part.path[:2] == path and (part.kind is _Kind.HEADER or part.table[:2] != path)
        ]:
            start, end = mine[-1], mine[-1] + 1
            if self.parts[start].kind is _Kind.HEADER:
                start, end = self._comments_before(start), self._content_end(start)
            removed = "".join(part.text for part in self.parts[start:end]) + removed
            if self.parts[mine[-1]].kind is _Kind.HEADER:
                while start == 0 and end < len(self.parts) and self.parts[end].kind is _Kind.BLANK:
                    end += 1
                while start > 0 and self.parts[start - 1].kind is _Kind.BLANK:
                    start -= 1
            del self.parts[start:end]
        return removed

    def _content_end(self, index: int) -> int:
        """Return the end of a section without the comments that are about something else."""
        header = self._next_header(index)
        own = header if header == len(self.parts) else self._comments_before(header)
        end = max([n for n in range(index, own) if self.parts[n].kind in (_Kind.VALUE, _Kind.HEADER)]) + 1
        while end < own and self.parts[end].kind is _Kind.COMMENT:
            end += 1
        return end

    def set_requires(self, requires: list[str]) -> None:
        line = f"requires = {tomlkit.item(requires).as_string()}"
        if (index := self._find("host", "requires")) is not None:
            bare = self.parts[index].text.rstrip("\r\n").rstrip().endswith("]")
            if not requires and bare and "\n" not in self.parts[index].text.rstrip("\r\n"):
                del self.parts[index]
            else:
                self._edit(index, lambda array: _become(array, requires))
        elif (index := self._find("host")) is not None:
            self._edit(index, lambda host: _set_requires(host, requires))
        elif (index := self._find("host", kind=_Kind.HEADER)) is not None:
            end = self._next_header(index)
            last = max(n for n in range(index, end) if self.parts[n].kind in (_Kind.VALUE, _Kind.HEADER))
            indent = self.parts[last].indent if last > index else ""
            self._insert_into(last, indent + line)
        elif own := [n for n, part in enumerate(self.parts) if part.path[:1] == ("host",)]:
            self._insert_into(own[-1], f"host.{line}")
        else:
            at = self._section_end(len(self.parts))
            self._insert(at, *([""] if at > 0 else []), "[host]", line)


def _without(data: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return a copy without what is at `path`, nor a table that has nothing but what `path` asks for."""
    copied = copy.deepcopy(dict(data))
    table: Any = copied
    for key in path[:-1]:
        table = table.get(key, {})
    table.pop(path[-1], None)
    for end in range(len(path) - 1, 0, -1):
        table = copied
        for key in path[: end - 1]:
            table = table.get(key, {})
        if table.get(path[end - 1]) == {}:
            del table[path[end - 1]]
    return copied


def _nested(value: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        value = value[key]
    return value


def _become(array: Any, wanted: list[str]) -> None:
    """Make an array of texts say what is wanted; what stays is not touched."""
    gone = [old for old in array if old not in wanted]
    come = [new for new in wanted if new not in array]
    both = min(len(gone), len(come))
    for old, new in zip(gone[:both], come[:both], strict=True):
        array[list(array).index(old)] = new
    for old in gone[both:]:
        array.remove(old)
    for new in come[both:]:
        array.append(new)


def _set_requires(host: Any, requires: list[str]) -> None:
    if not requires:
        host.pop("requires")
    elif "requires" in host:
        _become(host["requires"], requires)
    else:
        host["requires"] = requires


# --- Changes of the file


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

    The file is replaced whole, by a rename after the new one is on the disk. Two of these at once wait for one
    another. A symbolic link stays one, and the file keeps its permissions.

    Raises:
        HostError: The file does not load, or would not after the change, or cannot be written. It is as it was.
    """
    with _replacing(path) if write else _reading(path) as (target, put):
        before = _read(target, path)
        _loads(before, path, "nothing is changed in a file that does not load")
        try:
            after = change(before)
        except HostError as error:
            raise HostError(error.what, where=error.where or str(path), mend=error.mend) from error
        if after != before:
            _loads(after, path, "nothing is changed: the file would not load any more")
            put(after)
    return Edit(path, before, after)


def write_new(path: Path, text: str, *, force: bool = False) -> bool:
    """Write a file whole or not at all; return False when it is there already and `force` is not given."""
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
        refused = ConfigError(refusal, where=str(path), mend="mend what is said above, then run this again")
        raise InvalidConfigError([*error.problems, refused]) from error


def _read(target: Path, path: Path) -> str:
    try:
        return target.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise HostError("the file is not UTF-8 text", where=str(path), mend="save it as UTF-8") from None
    except OSError as error:
        raise _cannot("read", path, error) from error


def _cannot(what: str, path: Path, error: OSError) -> HostError:
    return HostError(f"the file cannot be {what}: {error.strerror or error}", where=str(path))


@contextmanager
def _reading(path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    yield path, lambda text: None


@contextmanager
def _replacing(path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """Yield the file behind `path` and what replaces it, while no other process changes it in this way."""
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "it is read-only")
        with _Replacement(target) as replacement:
            yield target, replacement.commit
    except OSError as error:
        raise _cannot("written", path, error) from error


class _Replacement:
    """The file next to another that takes its place. Who has it open and locked may change the other.

    Its name is always the same, so that what a killed process leaves is used and removed by the next one.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.edit")
        self._file = -1

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        while True:
            self._file = os.open(self._path, flags, 0o666)
            _lock(self._file)
            # Whoever held the lock before may have given the file its new name, or removed it.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file), os.stat(self._path)):
                    return self
            os.close(self._file)

    def commit(self, text: str) -> None:
        with suppress(FileNotFoundError):
            before = self._target.stat()
            with suppress(PermissionError, AttributeError):
                os.chown(self._path, before.st_uid, before.st_gid)
            os.chmod(self._path, before.st_mode & 0o7777)
        os.ftruncate(self._file, 0)
        with os.fdopen(os.dup(self._file), "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if sys.platform == "win32":
            os.close(self._file)
            self._file = -1
        os.replace(self._path, self._target)
        _sync_folder(self._target.parent)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Only one's own: after the rename the name may be another process's file already.
        with suppress(FileNotFoundError, OSError):
            if self._file == -1 or os.path.samestat(os.fstat(self._file), os.stat(self._path)):
                if sys.platform == "win32" and self._file != -1:
                    os.close(self._file)
                    self._file = -1
                os.unlink(self._path)
        if self._file != -1:
            os.close(self._file)


def _lock(file: int) -> None:
    """Wait until no other process has the file locked; its end, however sudden, unlocks it."""
    if sys.platform != "win32":
        import fcntl

        # Some network file systems know no locks.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


def _sync_folder(folder: Path) -> None:
    """Have the rename itself on the disk."""
    if sys.platform != "win32":
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
