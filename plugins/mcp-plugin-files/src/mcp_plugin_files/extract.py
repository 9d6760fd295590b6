"""Writes the text of a PDF or Office document on standard input to standard output. Runs as a program of its own.

`documents` starts it. Its memory and time are limited, so a hostile document cannot take those of the host.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import IO, Any


def pdf(stream: IO[bytes]) -> Iterator[str]:
    from pypdf import PdfReader

    for number, page in enumerate(PdfReader(stream).pages, 1):
        text = page.extract_text().strip()
        yield f"[page {number}]\n{text}\n" if text else ""


def docx(stream: IO[bytes]) -> Iterator[str]:
    from docx import Document
    from docx.table import Table

    for block in Document(stream).iter_inner_content():
        if isinstance(block, Table):
            yield from _rows([cell.text for cell in row.cells] for row in block.rows)
        elif block.text:
            style = (block.style.name if block.style is not None else "") or ""
            level = style.removeprefix("Heading ")
            yield f"{'#' * int(level)} {block.text}\n" if level != style and level.isdigit() else f"{block.text}\n"


def xlsx(stream: IO[bytes]) -> Iterator[str]:
    from openpyxl import load_workbook

    book = load_workbook(stream, read_only=True, data_only=True)
    for sheet in book.worksheets:
        yield f"[sheet {sheet.title}]\n"
        rows = (["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(values_only=True))
        yield from _rows(rows)


def pptx(stream: IO[bytes]) -> Iterator[str]:
    from pptx import Presentation

    for number, slide in enumerate(Presentation(stream).slides, 1):
        yield f"[slide {number}]\n"
        for shape in slide.shapes:
            if shape.has_text_frame and shape.text_frame.text:
                yield f"{shape.text_frame.text}\n"
            elif shape.has_table:
                yield from _rows([cell.text for cell in row.cells] for row in shape.table.rows)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            yield f"[notes] {slide.notes_slide.notes_text_frame.text}\n"


def _rows(rows: Any) -> Iterator[str]:
    """Yield the rows of a table as lines, with the cells separated by tabs. Empty cells at the end are left out."""
    for cells in rows:
        line = "\t".join(" ".join(cell.split()) for cell in cells).rstrip("\t")
        if line:
            yield f"{line}\n"


def main() -> None:
    kind, memory, seconds, most = sys.argv[1], *map(int, sys.argv[2:])
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    readers = {"pdf": pdf, "docx": docx, "xlsx": xlsx, "pptx": pptx}
    left = most
    with open(0, "rb", closefd=False) as stream, open(1, "w", encoding="utf-8", errors="replace", newline="") as out:
        stream.seek(0)
        for text in readers[kind](stream):
            out.write(text[:left])
            left -= len(text)
            if left <= 0:
                break


if __name__ == "__main__":
    main()
