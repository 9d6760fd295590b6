"""The two ways to search open files: ripgrep, or RE2 in this process. Both accept nearly the same patterns."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import anyio
import anyio.to_thread
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_host.encodings import UTF_8, Encoding, encoding_of
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.processes import running
from mcp_plugin_files.reading import line_end, read_up_to

_DESCRIPTORS: Final = Path("/proc/self/fd")
_LONGEST_LINE: Final = 65_536
"""The longest line of ripgrep's output in bytes. It has only a path, two numbers and a short note."""

_NUMBERS: Final = re.compile(rb"(\d+):(?:(\d+):)?")
"""A line and a column, which ripgrep leaves out for an empty match at the end of a line."""

_SEVERAL_LINES: Final = re.compile(r"\n|(?:^|[^\\])(?:\\\\)*\\n|\(\?\w*s")
_TEXT_EDGES: Final = re.compile(r"\\\\|\\[Az]")
_LOOK_AROUND: Final = re.compile(r"\(\?<?[=!]")
_BACK_REFERENCE: Final = re.compile(r"(?:^|[^\\])(?:\\\\)*\\[1-9]|\(\?P=")


@dataclass(frozen=True)
class Query:
    """The pattern of a search and its options."""

    pattern: str
    literal: bool = False
    ignore_case: bool = False

    @property
    def several_lines(self) -> bool:
        """Whether the pattern is matched across lines, because it has a line break or `(?s)`."""
        return "\n" in self.pattern if self.literal else _SEVERAL_LINES.search(self.pattern) is not None


@dataclass(frozen=True)
class Searched:
    """An open file to search, and the encoding that a user expects of text that is not UTF-8."""

    descriptor: int
    other: Encoding | None = None


@dataclass(frozen=True)
class Hit:
    """A found line, or lines up to `last`.

    `file` is the file's position in the list of searched files. `column` is the number of bytes before the match in the
    first line, in UTF-8.
    """

    file: int
    line: int
    last: int
    column: int


class Engine(Protocol):
    """Searches open files. It does not open paths, so it cannot leave a root."""

    async def check(self, query: Query) -> None:
        """Raise a `FileRefusedError` if the pattern is not valid."""
        ...

    async def search(self, query: Query, files: Sequence[Searched], most: int) -> list[Hit]:
        """Return the first `most` matches in each file, in order."""
        ...


def engine_for(program: str | None, largest: int, threads: anyio.CapacityLimiter, query: Query | None = None) -> Engine:
    """Return ripgrep, if it is installed and the system gives open files a path, else RE2.

    A pattern for several lines is always for RE2: ripgrep does not report where such a match ends.
    """
    if program is not None and _DESCRIPTORS.is_dir() and not (query and query.several_lines):
        return Ripgrep(program)
    return RE2(largest, threads)


def text_of(file: Searched, most: int) -> str:
    """Return the text of an open file, at most its first `most` bytes. A file that cannot be read has no text."""
    try:
        os.lseek(file.descriptor, 0, os.SEEK_SET)
        data = read_up_to(file.descriptor, most)
    except OSError:
        return ""
    return (encoding_of(data, other=file.other) or UTF_8).decode(data)


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines of a text without their ends, one at a time, because a list of them could be large."""
    end, begin = line_end(text), 0
    while begin < len(text):
        until = text.find(end, begin)
        until = len(text) if until < 0 else until
        yield text[begin:until].removesuffix("\r")
        begin = until + 1


@dataclass(frozen=True)
class Ripgrep:
    """Runs `rg`. It inherits the open files and reads them from `/proc/self/fd`."""

    program: str

    async def check(self, query: Query) -> None:
        await self._run(query, [], 1)

    async def search(self, query: Query, files: Sequence[Searched], most: int) -> list[Hit]:
        hits = await self._run(query, [file.descriptor for file in files], most)
        return sorted(hits, key=lambda hit: (hit.file, hit.line))

    async def _run(self, query: Query, descriptors: Sequence[int], most: int) -> list[Hit]:
        # rg reads no configuration file and only the given paths. It searches binary files to their end. With the limit
        # of one column, it prints no line of a file, however long: only where the match is.
        command = [self.program, "--no-config", "--text", "--no-mmap", "--crlf", "--max-count", str(most)]
        command += ["--no-heading", "--with-filename", "--null", "--line-number", "--column", "--max-columns", "1"]
        command += ["--color", "never"]
        command += ["--fixed-strings"] if query.literal else []
        command += ["--ignore-case"] if query.ignore_case else []
        command += ["--regexp", query.pattern, "--"]
        command += [str(_DESCRIPTORS / str(descriptor)) for descriptor in descriptors] or [os.devnull]
        places = {str(_DESCRIPTORS / str(descriptor)).encode(): at for at, descriptor in enumerate(descriptors)}
        found: list[Hit] = []
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        async with running(command, environment, keep=descriptors) as process:
            assert process.stdout is not None
            errors = bytearray()

            async def read_errors() -> None:
                assert process.stderr is not None
                async for block in process.stderr:
                    errors.extend(block[: 4096 - len(errors)])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read_errors)
                lines = BufferedByteReceiveStream(process.stdout)
                try:
                    while True:
                        path, _, rest = (await lines.receive_until(b"\n", _LONGEST_LINE)).partition(b"\0")
                        match = _NUMBERS.match(rest)
                        assert match is not None, rest
                        line, column = int(match[1]), int(match[2] or 1)
                        found.append(Hit(places[path], line, line, column - 1))
                except (anyio.EndOfStream, anyio.IncompleteRead):
                    pass
            code = await process.wait()
        if code not in (0, 1) and not descriptors:
            lines_of_error = errors.decode("utf-8", "replace").strip().splitlines()
            reasons = [line.removeprefix("error: ") for line in lines_of_error if line.startswith("error: ")]
            raise invalid(query, [*reasons, *reversed(lines_of_error), f"ripgrep ended with code {code}"][0])
        if code < 0:
            raise RuntimeError(f"ripgrep was ended by signal {-code}")
        return found


@dataclass(frozen=True)
class RE2:
    """Searches in this process. The time grows only with the text, for every pattern."""

    largest: int
    threads: anyio.CapacityLimiter

    async def check(self, query: Query) -> None:
        _compiled(query)

    async def search(self, query: Query, files: Sequence[Searched], most: int) -> list[Hit]:
        expression = _compiled(query)
        stop = threading.Event()

        def work() -> list[Hit]:
            hits: list[Hit] = []
            for place, file in enumerate(owned):
                for line, last, column in islice(
                    _found(expression, text_of(file, self.largest), query.several_lines, stop), most
                ):
                    hits.append(Hit(place, line, last, column))
            return hits

        # The thread has its own descriptors, because it may still read after the caller has closed the others.
        owned = [Searched(os.dup(file.descriptor), file.other) for file in files]

        def work_and_close() -> list[Hit]:
            try:
                return work()
            finally:
                for file in owned:
                    os.close(file.descriptor)

        try:
            return await anyio.to_thread.run_sync(work_and_close, abandon_on_cancel=True, limiter=self.threads)
        finally:
            stop.set()


def _found(expression: Any, text: str, several: bool, stop: threading.Event) -> Iterator[tuple[int, int, int]]:
    """Yield the first and the last line of each match, and the bytes before it in its first line.

    Unless `several` is true, a match is within a line, and only the first one in each line is found.
    """
    text = text.replace("\r\n", "\n")
    data = (text.replace("\r", "\n") if line_end(text) == "\r" else text).encode()
    number, counted, place = 1, 0, 0
    while place <= len(data) and not stop.is_set() and (match := expression.search(data, place)) is not None:
        begin, end = match.span()
        if begin == len(data) and (begin == 0 or data.endswith(b"\n")):
            return  # There is no line after the last line end.
        number += data.count(b"\n", counted, begin)
        counted = begin
        # A line end at the end of a match belongs to its last line.
        last = number + data.count(b"\n", begin, max(begin, end - 1))
        yield number, last, begin - data.rfind(b"\n", 0, begin) - 1
        next_line = data.find(b"\n", begin) + 1 or len(data) + 1
        place = end if several and end > begin else next_line


def _compiled(query: Query) -> Any:
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    options.literal = query.literal
    options.case_sensitive = not query.ignore_case
    # The whole text is searched at once. For matches within lines, nothing matches a line end.
    # ^ and $ are the beginning and the end of a line.
    options.never_nl = not query.several_lines
    pattern = query.pattern
    if not query.literal:
        pattern = f"(?m){pattern if query.several_lines else _TEXT_EDGES.sub(_line_edge, pattern)}"
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise invalid(query, reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None


def _line_edge(found: re.Match[str]) -> str:
    return {"\\A": "^", "\\z": "$"}.get(found[0], found[0])


def invalid(query: Query, reason: str) -> FileRefusedError:
    """Return the refusal of a pattern. What users often expect of other engines is explained."""
    if not query.literal and _LOOK_AROUND.search(query.pattern):
        reason = "look-ahead and look-behind are not supported"
    elif not query.literal and _BACK_REFERENCE.search(query.pattern):
        reason = "references to groups, such as \\1, are not supported"
    return FileRefusedError(f"The pattern is not valid: {reason.strip().rstrip('.')}.")
