"""A program that converts one page or PDF from standard input, with limited memory and time.

What it reads is not trusted. A page of a few MiB can expand to gigabytes (nested quotes repeat their mark on every
line), and the parsers are native code. It therefore runs in a process whose crash does not affect the plugin. The
limits of this process need POSIX; the plugin's own timeout works everywhere.

Input and output are a line of JSON, and then the text or the bytes.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any


def limit(memory: int, seconds: int) -> None:
    """Limit this process: bytes of address space, seconds of processor time, and no core file."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # a lower limit was set from outside
            resource.setrlimit(kind, (most, most))


def answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what is known of the body, and its text in UTF-8, or `too_long` if that has more than `most` bytes."""
    if request["kind"] == "pdf":
        from mcp_plugin_fetch_worker.pdf import read_pdf

        facts, text = read_pdf(data, request["seconds"] / 2, request["most"])
    else:
        from mcp_plugin_fetch_worker.pages import convert

        facts, text = convert(data.decode("utf-8", "replace"), request["base_url"])
    output = text.encode("utf-8", "replace")
    return (facts, output) if len(output) <= request["most"] else (facts | {"too_long": True}, b"")


def main() -> None:
    """Read one request and write its answer."""
    request = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    limit(request["memory"], request["seconds"])
    facts, output = answer(request, data)
    sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n" + output)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
