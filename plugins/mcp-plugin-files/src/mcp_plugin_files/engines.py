"""The two ways to search open files: ripgrep, or RE2 without ripgrep. Both accept the same patterns."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_host.encodings import UTF_8, encoding_of
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.reading import read_up_to

LINE_CHARACTERS: Final = 300
"""The most characters of a found line in a result."""

_LONGEST_MESSAGE: Final = 2**30
_DESCRIPTORS: Final = Path("/proc/self/fd")


@dataclass(frozen=True)
class Query:
    """The pattern of a search and its options."""

    pattern: str
    literal: bool = False
    ignore_case: bool = False


@dataclass(frozen=True)
class Hit:
    """A found line. `file` is the file's position in the list of searched files."""

    file: int
    line: int
    text: str


class Engine(Protocol):
    """Searches open files. It does not open paths, so it cannot leave a root."""

    async def check(self, query: Query) -> None:
        """Raise a `FileRefusedError` if the pattern is not valid."""
        ...

    async def search(self, query: Query, descriptors: Sequence[int], most: int) -> list[Hit]:
        """Return the first `most` matching lines of each file, in order."""
        ...


def engine_for(program: str | None, largest: int, threads: anyio.CapacityLimiter) -> Engine:
    """Return ripgrep, if it is installed and the system gives open files a path, else RE2."""
    if program is not None and _DESCRIPTORS.is_dir():
        return Ripgrep(program)
    return RE2(largest, threads)


@dataclass(frozen=True)
class Ripgrep:
    """Runs `rg`. It inherits the open files and reads them from `/proc/self/fd`."""

    program: str

    async def check(self, query: Query) -> None:
        await self._run(query, [], 1)

    async def search(self, query: Query, descriptors: Sequence[int], most: int) -> list[Hit]:
        places = {str(_DESCRIPTORS / str(descriptor)): place for place, descriptor in enumerate(descriptors)}
        hits = [
            hit
            for message in await self._run(query, descriptors, most)
            if (hit := _hit_of(message, places)) is not None
        ]
        return sorted(hits, key=lambda hit: (hit.file, hit.line))

    async def _run(self, query: Query, descriptors: Sequence[int], most: int) -> list[dict[str, Any]]:
        options = ["--fixed-strings"] if query.literal else []
        options += ["--ignore-case"] if query.ignore_case else []
        # rg reads no configuration file and only the given paths. It searches binary files to their end.
        command = [self.program, "--no-config", "--json", "--text", "--no-mmap", "--crlf", "--max-count", str(most)]
        command += [*options, "--regexp", query.pattern, "--"]
        command += [str(_DESCRIPTORS / str(descriptor)) for descriptor in descriptors] or [os.devnull]
        found: list[dict[str, Any]] = []
        async with _running(command, descriptors) as process:
            assert process.stdout is not None
            assert process.stderr is not None
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
                        message = json.loads(await lines.receive_until(b"\n", _LONGEST_MESSAGE))
                        if message["type"] == "match":
                            found.append(message["data"])
                except (anyio.EndOfStream, anyio.IncompleteRead):
                    pass
            code = await process.wait()
        if code not in (0, 1) and not descriptors:
            lines_of_error = errors.decode("utf-8", "replace").strip().splitlines()
            reason = lines_of_error[-1].removeprefix("error: ") if lines_of_error else f"ripgrep ended with code {code}"
            raise FileRefusedError(f"The pattern is not valid: {reason}.")
        if code < 0:
            raise RuntimeError(f"ripgrep was ended by signal {-code}")
        return found


@asynccontextmanager
async def _running(command: Sequence[str], descriptors: Sequence[int]) -> AsyncIterator[Process]:
    """Run a process that always ends with the block."""
    process = await anyio.open_process(
        command,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        pass_fds=tuple(descriptors),
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


def _hit_of(message: dict[str, Any], places: dict[str, int]) -> Hit | None:
    place = places.get(message["path"].get("text", ""))
    if place is None:
        return None
    line = _bytes_of(message["lines"])
    start = message["submatches"][0]["start"] if message["submatches"] else 0
    before = len(line[:start].decode("utf-8", "replace"))
    return Hit(place, message["line_number"], around(line.decode("utf-8", "replace"), before))


def _bytes_of(data: dict[str, str]) -> bytes:
    return b64decode(data["bytes"]) if "bytes" in data else data["text"].encode()


@dataclass(frozen=True)
class RE2:
    """Searches in this process. The time grows only with the text, for every pattern."""

    largest: int
    threads: anyio.CapacityLimiter

    async def check(self, query: Query) -> None:
        _compiled(query)

    async def search(self, query: Query, descriptors: Sequence[int], most: int) -> list[Hit]:
        expression = _compiled(query)
        stop = threading.Event()

        def work() -> list[Hit]:
            hits: list[Hit] = []
            for place, descriptor in enumerate(owned):
                found = 0
                for number, line in enumerate(_lines(descriptor, self.largest), 1):
                    if stop.is_set() or found == most:
                        break
                    if (match := expression.search(line)) is not None:
                        found += 1
                        hits.append(Hit(place, number, around(line, match.start())))
            return hits

        # The thread has its own descriptors, because it may still read after the caller has closed the others.
        owned = [os.dup(descriptor) for descriptor in descriptors]

        def work_and_close() -> list[Hit]:
            try:
                return work()
            finally:
                for descriptor in owned:
                    os.close(descriptor)

        try:
            return await anyio.to_thread.run_sync(work_and_close, abandon_on_cancel=True, limiter=self.threads)
        finally:
            stop.set()


def _compiled(query: Query) -> Any:
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    options.literal = query.literal
    options.case_sensitive = not query.ignore_case
    try:
        return re2.compile(query.pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise FileRefusedError(
            f"The pattern is not valid: {reason.decode('utf-8', 'replace') if isinstance(reason, bytes) else reason}."
        ) from None


def _lines(descriptor: int, most: int) -> list[str]:
    try:
        data = read_up_to(descriptor, most)
    except OSError:
        return []
    text = (encoding_of(data) or UTF_8).decode(data)
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def around(line: str, start: int) -> str:
    """Return the line without its line end, cut to `LINE_CHARACTERS` around the match that begins at `start`."""
    line = line.rstrip("\r\n")
    if len(line) <= LINE_CHARACTERS:
        return line
    begin = max(0, min(start - LINE_CHARACTERS // 4, len(line) - LINE_CHARACTERS))
    end = begin + LINE_CHARACTERS
    return ("..." if begin else "") + line[begin:end] + ("..." if end < len(line) else "")
