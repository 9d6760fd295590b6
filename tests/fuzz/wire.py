"""`mcp-host run` as a process that gets raw bytes, and the checks of everything that it sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import Queue
from typing import Any, Never

from fuzz.payloads import INITIALIZE, META, dump
from support.processes import Child, environment_of

LONGEST = 240.0
"""Seconds after which a process that still runs is killed, so that no test waits for ever."""


def strict(data: bytes) -> Any:
    """Return the value of the JSON, read by a strict parser (RFC 8259)."""

    def refuse(constant: str) -> Never:
        raise AssertionError(f"{constant} is not JSON: {data[:500]!r}")

    value = json.loads(data.decode("utf-8"), parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def check_message(data: bytes, secrets: Iterable[str]) -> dict[str, Any]:
    """Return the JSON-RPC 2.0 message. It must not show the host's internals."""
    message = strict(data)
    assert isinstance(message, dict), data[:500]
    assert message["jsonrpc"] == "2.0", data[:500]
    kinds = {"method", "result", "error"} & message.keys()
    assert len(kinds) == 1, data[:500]
    assert "method" in message or "id" in message, data[:500]
    check_text(data, secrets)
    return message


def check_text(data: bytes, secrets: Iterable[str]) -> None:
    text = data.decode("utf-8", "replace")
    for secret in ("Traceback", "pydantic", *secrets):
        assert secret not in text, f"{secret!r} is in {text[:2000]!r}"


@dataclass(frozen=True)
class Usage:
    """What a process uses: `rss` in bytes, and numbers of descriptors, threads and objects."""

    rss: int
    fds: int
    threads: int
    objects: dict[str, int]

    @property
    def counts(self) -> dict[str, int]:
        return {"fds": self.fds, "threads": self.threads, **self.objects}


class HostProcess(Child[bytes]):
    """`mcp-host run` with arguments, in a folder with its mcp-host.toml."""

    def __init__(self, folder: Path, site: Path, *args: str) -> None:
        self.secrets = (str(folder), str(site), sys.prefix, "site-packages")
        errors = folder / "stderr.txt"
        with errors.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "mcp_host", "run", *args],
                cwd=folder,
                env=environment_of(site, folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        super().__init__(process, errors, LONGEST)

    def usage(self, objects: dict[str, int]) -> Usage:
        proc = Path(f"/proc/{self.process.pid}")
        pages = int((proc / "statm").read_text().split()[1])
        fds, threads = len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir()))
        return Usage(pages * os.sysconf("SC_PAGE_SIZE"), fds, threads, objects)


class StdioHost(HostProcess):
    """A client at the host's stdin and stdout, in the era `auto` (2026-07-28) or `legacy` (the handshake)."""

    def __init__(self, folder: Path, site: Path, era: str) -> None:
        super().__init__(folder, site)
        self.meta = META if era == "auto" else {}
        self.era = era
        self._numbers = count()
        # Lines are read all the time: if a client writes without reading, both sides block.
        self._lines: Queue[bytes] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        if era == "legacy":
            self.ask("initialize", INITIALIZE)
            self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        else:
            self.ask("server/discover", {})

    def send(self, *lines: bytes) -> None:
        self.send_raw(b"".join(line + b"\n" for line in lines))

    def send_raw(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
        """Return the result of a request, and the messages that came before it."""
        own = f"probe {next(self._numbers)}"
        self.send(dump({"jsonrpc": "2.0", "id": own, "method": method, "params": {"_meta": self.meta, **params}}))
        before: list[dict[str, Any]] = []
        while True:
            line = self._lines.get(timeout=LONGEST)
            assert line, f"the host ended; stderr:\n{self.err[-3000:]}"
            message = check_message(line, self.secrets)
            if message.get("id") == own:
                return message["result"], before
            before.append(message)

    def _read(self) -> None:
        for line in self.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def probe(self) -> list[dict[str, Any]]:
        """Send a request with a known result, and return the messages before it."""
        result, before = self.ask("tools/call", {"name": "add", "arguments": {"a": 2, "b": 40}})
        assert result["structuredContent"] == {"result": 42}
        return before

    def census(self) -> Usage:
        result, _ = self.ask("tools/call", {"name": "census", "arguments": {}})
        return self.usage(result["structuredContent"])


THREADS = 2
"""How many worker threads for long writes may have been started."""


def settles(census: Callable[[], Usage], before: Usage) -> None:
    """Wait until the host uses no more than before. Fail after a hundred counts."""
    allowed = {**before.counts, "threads": before.threads + THREADS}
    grown, after = allowed, before
    for _ in range(100):
        after = census()
        grown = {key: value for key, value in after.counts.items() if value > allowed[key]}
        if not grown:
            break
    assert grown == {}, f"more than {before}"
    # Arenas and caches may grow. A leak of the sent data would be larger.
    assert after.rss - before.rss < 64 * 1024 * 1024


__all__ = ["HostProcess", "StdioHost", "Usage", "check_message", "check_text", "settles", "strict"]
