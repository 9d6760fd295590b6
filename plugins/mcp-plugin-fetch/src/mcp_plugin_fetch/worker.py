"""A script that converts HTML from standard input to Markdown on standard output, with limited memory and time.

The HTML is not trusted. A page of a few MiB can expand to gigabytes (nested quotes repeat their mark on every line),
and the parser is native code. It therefore runs in a process whose crash does not affect the plugin. The limits of
this process need POSIX; the plugin's own timeout works everywhere.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any, Final

HEAD: Final = 65_536
"""How many characters are searched for a title."""

LONGEST_TITLE: Final = 300


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


def convert(html: str, base_url: str, most: int) -> dict[str, Any]:
    """Return the Markdown (None if it has more than `most` characters), the title, and whether parts were left out."""
    import html_to_markdown as library

    def run(text: str, *, all_of_it: bool = False, metadata: bool = False) -> library.ConversionResult:
        options = library.ConversionOptions(
            base_url=base_url,
            bullets="-",
            compact_tables=True,
            extract_metadata=metadata,
            inline_data_media="alt_text_only",
            preprocessing=library.PreprocessingOptions(enabled=not all_of_it, remove_forms=False),
        )
        return library.convert(text, options)

    result = run(html)
    if not (result.content or "").strip():
        # The library removed everything as navigation.
        result = run(html, all_of_it=True)
    text = (result.content or "").strip()
    # A separate run, because metadata would also be written above the text.
    title = run(html[:HEAD], metadata=True).metadata.document.title or ""
    return {
        "markdown": text if len(text) <= most else None,
        "title": title[:LONGEST_TITLE],
        "incomplete": any("limit" in str(warning.kind).lower() for warning in result.warnings),
    }


def main() -> None:
    """Read one request and write its answer, both JSON."""
    request = json.load(sys.stdin.buffer)
    limit(request["memory"], request["seconds"])
    json.dump(convert(request["html"], request["base_url"], request["most"]), sys.stdout)


if __name__ == "__main__":
    main()
