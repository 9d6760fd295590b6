"""The text of PDF and Office documents is read in a process with limits."""

from __future__ import annotations

import datetime
import io
import os
import zipfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from docx import Document
from mcp import Client
from mcp.types import BlobResourceContents, CallToolResult, EmbeddedResource, TextContent
from openpyxl import Workbook
from pptx import Presentation
from pypdf import PdfReader, PdfWriter

from mcp_plugin_files import documents

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


def pdf(*texts: str) -> bytes:
    """A PDF with a page for each text."""
    pages = range(len(texts))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(texts)}/Kids[{' '.join(f'{4 + 2 * page} 0 R' for page in pages)}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for page, text in enumerate(texts):
        stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET" if text else ""
        objects.append(f"<</Type/Page/Parent 2 0 R/Resources<</Font<</F1 3 0 R>>>>/Contents {5 + 2 * page} 0 R>>")
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
    data, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj{each}endobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    start = data.rindex(b"xref")
    return data + f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF".encode()


def docx() -> bytes:
    document = Document()
    document.add_heading("Plan", level=1)
    document.add_paragraph("Größe zählt.")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "a", "b\nc"
    document.add_paragraph("End")
    return saved(document.save)


def xlsx() -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Sales"
    sheet.append(["day", "count", None])
    sheet.append([datetime.date(2024, 1, 2), 5, None])
    sheet.append([])
    sheet.append(["=1+1", True, "x"])
    book.create_sheet("Empty")
    return saved(book.save)


def pptx() -> bytes:
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[0])
    assert slide.shapes.title is not None
    slide.shapes.title.text = "Hello"
    assert slide.notes_slide.notes_text_frame is not None
    slide.notes_slide.notes_text_frame.text = "Speak slowly"
    return saved(show.save)


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def encrypted() -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("secret"))))
    writer.encrypt("password", algorithm="RC4-128")
    return saved(writer.write)


@pytest.mark.parametrize(
    ("name", "data", "text", "about"),
    [
        ("a.pdf", pdf("Page one", "", "Page three"), "[page 1]\nPage one\n[page 3]\nPage three\n", "application/pdf"),
        ("a.docx", docx(), "# Plan\nGröße zählt.\na\tb c\nEnd\n", "wordprocessingml.document"),
        ("a.xlsx", xlsx(), "[sheet Sales]\nday\tcount\n2024-01-02 00:00:00\t5\n\tTrue\tx\n[sheet Empty]\n", "sheet"),
        ("A.PPTX", pptx(), "[slide 1]\nHello\n[notes] Speak slowly\n", "presentationml.presentation"),
    ],
)
async def test_the_text_of_a_document_is_read(
    served: Served, folder: Path, name: str, data: bytes, text: str, about: str
) -> None:
    (folder / name).write_bytes(data)
    async with served() as client:
        first, given = (await client.call_tool("read_file", {"path": name})).content
        assert isinstance(first, TextContent)
        assert isinstance(given, TextContent)
        assert given.text == text
        assert f"{about}, {len(data)} bytes, hash " in first.text
        _, given = (await client.call_tool("read_file", {"path": name, "start_line": 2, "end_line": 2})).content
        assert isinstance(given, TextContent)
        assert given.text == text.splitlines(keepends=True)[1]


async def test_a_large_document_is_read_up_to_its_own_limit(served: Served, folder: Path, refused: Refused) -> None:
    (folder / "a.pdf").write_bytes(pdf("Page one") + b"%" * 5000)
    async with served(max_bytes=1024) as client:
        about, given = (await client.call_tool("read_file", {"path": "a.pdf"})).content
        assert isinstance(about, TextContent)
        assert isinstance(given, TextContent)
        assert given.text == "[page 1]\nPage one\n"
        assert "larger than max_bytes (1024), so it has no hash" in about.text
    async with served(max_bytes=1024, max_document_bytes=2048) as client:
        text = refused(await client.call_tool("read_file", {"path": "a.pdf"}))
    assert text == "files://docs/a.pdf has no text to return: it is larger than max_document_bytes (2048)."


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.pdf", b"%PDF-1.7 broken", "its text cannot be read"),
        ("a.pdf", pdf(""), "no text in it"),
        ("a.pdf", encrypted(), "its text is encrypted"),
        ("a.docx", b"PK\x03\x04 broken", "its text cannot be read"),
    ],
)
async def test_a_document_without_readable_text_is_returned_as_bytes(
    served: Served, folder: Path, name: str, data: bytes, reason: str
) -> None:
    (folder / name).write_bytes(data)
    async with served() as client:
        about, given = (await client.call_tool("read_file", {"path": name})).content
    assert isinstance(about, TextContent)
    assert about.text.endswith(reason)
    assert isinstance(given, EmbeddedResource)
    assert isinstance(given.resource, BlobResourceContents)


async def test_without_the_libraries_the_answer_names_the_extra(
    served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.pdf").write_bytes(pdf("Page one"))
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    async with served() as client:
        about, given = (await client.call_tool("read_file", {"path": "a.pdf"})).content
    assert isinstance(about, TextContent)
    assert about.text.endswith("to read its text, install mcp-plugin-files[documents]")
    assert isinstance(given, EmbeddedResource)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for the memory of a process")
async def test_a_document_that_unpacks_to_much_is_refused(served: Served, folder: Path) -> None:
    bomb = io.BytesIO(docx())
    with zipfile.ZipFile(bomb) as source, zipfile.ZipFile(folder / "a.docx", "w", zipfile.ZIP_DEFLATED) as made:
        for name in source.namelist():
            with made.open(name, "w") as part:
                part.write(source.read(name))
                for _ in range(700 if name == "word/document.xml" else 0):
                    part.write(b" " * 2**20)
    assert (folder / "a.docx").stat().st_size < 2**20
    async with served() as client:
        about, _ = (await client.call_tool("read_file", {"path": "a.docx"})).content
    assert isinstance(about, TextContent)
    assert about.text.endswith("its text takes more than 512 MiB or 20 seconds to read")


async def test_a_document_that_takes_long_is_given_up(
    served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (folder / "a.pdf").write_bytes(pdf("Page one"))
    (tmp_path / "slow.py").write_text("import signal; signal.pause()")
    monkeypatch.setattr(documents, "_PROGRAM", tmp_path / "slow.py")
    monkeypatch.setattr(documents, "SECONDS", 1)
    with anyio.fail_after(60):
        async with served() as client:
            about, _ = (await client.call_tool("read_file", {"path": "a.pdf"})).content
    assert isinstance(about, TextContent)
    assert about.text.endswith("its text takes more than 1 seconds to read")
