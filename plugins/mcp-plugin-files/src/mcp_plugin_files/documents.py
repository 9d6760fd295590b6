"""Reads the text of PDF and Office documents, in a child process with limits of memory, time and text."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import anyio
from anyio.abc import ByteReceiveStream

from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.paths import Parts
from mcp_plugin_files.processes import running
from mcp_plugin_files.roots import Root
from mcp_plugin_files.served import Files

DocumentKind = Literal["pdf", "docx", "xlsx", "pptx"]

MEMORY: Final = 512 * 2**20
"""The most memory of the child process in bytes, where the system can limit it (not on Windows)."""

SECONDS: Final = 20
"""The most time of the child process."""

CHARACTERS: Final = 4_000_000
"""The most characters of a document's text."""

_LIBRARIES: Final[Mapping[DocumentKind, str]] = {"pdf": "pypdf", "docx": "docx", "xlsx": "openpyxl", "pptx": "pptx"}
_SUFFIXES: Final[Mapping[str, DocumentKind]] = {
    ".docx": "docx",
    ".docm": "docx",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".pptx": "pptx",
    ".pptm": "pptx",
}
_PROGRAM: Final = Path(__file__).with_name("extract.py")


def document_kind(name: str, head: bytes) -> DocumentKind | None:
    """Return the kind of a document whose text can be read, from its first bytes and its name."""
    if head.startswith(b"%PDF-"):
        return "pdf"
    return _SUFFIXES.get(os.path.splitext(name)[1].lower()) if head.startswith(b"PK\x03\x04") else None


async def document_text(files: Files, root: Root, parts: Parts, kind: DocumentKind) -> str:
    """Return the text of a document, at most its first `CHARACTERS`.

    Raises:
        FileRefusedError: The document is too large or not valid, or a library is missing.
    """
    if find_spec(_LIBRARIES[kind]) is None:
        raise FileRefusedError("to read its text, install mcp-plugin-files[documents]")
    most = files.settings.max_document_bytes

    def opened() -> int:
        root.require_served(parts)
        descriptor = root.descriptor(parts)
        if os.fstat(descriptor).st_size > most:
            os.close(descriptor)
            raise FileRefusedError(f"it is larger than max_document_bytes ({most})")
        return descriptor

    descriptor = await files.run(opened)
    try:
        async with files.documents:
            return await _extracted(descriptor, kind)
    finally:
        os.close(descriptor)


async def _extracted(descriptor: int, kind: DocumentKind) -> str:
    limits = [str(MEMORY), str(SECONDS), str(CHARACTERS)]
    # The child has no path of the document, only the open file.
    command = [sys.executable, "-P", os.fspath(_PROGRAM), kind, *limits]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.defpath}
    if "SYSTEMROOT" in os.environ:  # Python does not start without it on Windows.
        environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    text, errors = bytearray(), bytearray()
    with anyio.move_on_after(SECONDS) as scope:
        async with running(command, environment, stdin=descriptor) as process, anyio.create_task_group() as tasks:
            assert process.stdout is not None
            assert process.stderr is not None
            tasks.start_soon(_collect, process.stdout, text, 4 * CHARACTERS)
            tasks.start_soon(_collect, process.stderr, errors, 65_536)
            code = await process.wait()
    if scope.cancelled_caught:
        raise FileRefusedError(f"its text takes more than {SECONDS} seconds to read")
    if code != 0:
        reason = "is encrypted" if b"not been decrypted" in errors else "cannot be read"
        if b"MemoryError" in errors or code < 0:
            reason = f"takes more than {MEMORY // 2**20} MiB or {SECONDS} seconds to read"
        raise FileRefusedError(f"its text {reason}")
    return text.decode("utf-8", "replace")


async def _collect(stream: ByteReceiveStream, into: bytearray, most: int) -> None:
    """Read a stream to its end and keep the first `most` bytes."""
    async for block in stream:
        into.extend(block[: most - len(into)])
