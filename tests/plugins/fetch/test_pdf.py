"""The text of a PDF."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from io import BytesIO

import pypdf
import pytest
from mcp import Client
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from mcp_plugin_fetch_worker.pdf import read_pdf
from support.webservers import Reply, web_server

Served = Callable[..., AbstractAsyncContextManager[Client]]
Fetched = Callable[..., Awaitable[tuple[str, str]]]
Refused = Callable[..., Awaitable[str]]


def pdf(*pages: str, password: str = "", title: str = "") -> bytes:
    writer = pypdf.PdfWriter()
    font = DictionaryObject({NameObject(f"/{key}"): NameObject(f"/{value}") for key, value in FONT.items()})
    for text in pages:
        page = writer.add_blank_page(200, 200)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode() if text else b"")
        page[NameObject("/Contents")] = content
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


FONT = {"Type": "Font", "Subtype": "Type1", "BaseFont": "Helvetica"}
HEADERS = {"Content-Type": "application/pdf"}


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [HEADERS, {"Content-Type": "application/octet-stream"}, {}])
async def test_the_text_of_a_pdf_is_returned_with_its_title(
    served: Served, fetched: Fetched, headers: dict[str, str]
) -> None:
    reply = Reply(body=pdf("First page", "Second page", title="A report"), headers=headers)
    async with web_server({"/a.pdf": reply}) as server, served() as client:
        above, body = await fetched(client, f"{server.url}/a.pdf")
    assert body == "First page\n\nSecond page"
    assert above == (f"URL: {server.url}/a.pdf\nTitle: A report\nType: application/pdf, the text of 2 pages\n\n")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (pdf("", ""), "PDF of 2 pages"),
        (pdf("secret", password="hunter2"), "it needs a password"),
        (b"%PDF-1.7\nnothing", "it is broken"),
        (b"", "it is broken"),
        (pdf("x")[:300], "it is broken"),
    ],
)
async def test_a_pdf_without_text_is_an_error_with_the_reason(
    served: Served, refused: Refused, body: bytes, expected: str
) -> None:
    async with web_server({"/": Reply(body=body, headers=HEADERS)}) as server, served() as client:
        assert expected in await refused(client, server.url)


def test_reading_stops_at_the_limits_for_time_and_size() -> None:
    document = pdf(*(f"Page {number}" for number in range(9)))
    facts, text = read_pdf(document, seconds=-1, most=1000)
    assert (facts["pages"], facts["read"], text) == (9, 0, "")
    facts, text = read_pdf(document, seconds=60, most=20)
    assert (facts["pages"], facts["read"]) == (9, 3)
    assert text == "Page 0\n\nPage 1\n\nPage 2"
