"""A kept report as PDF and its charts as PNG."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pypdf
import pytest
from mcp import Client, MCPError
from mcp.types import BlobResourceContents
from PIL import Image

from plugins.report.results import report_of

Served = Callable[..., AbstractAsyncContextManager[Client]]

pytestmark = pytest.mark.anyio


async def blob(client: Client, uri: str) -> tuple[str | None, bytes]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, BlobResourceContents)
    return content.mime_type, base64.b64decode(content.blob)


async def test_a_report_is_drawn_as_pdf_and_png(served: Served) -> None:
    wish = {"source": "orders", "title": "Spring $1 to $2", "crosstab": ["shop", "day"]}
    async with served() as client:
        report = report_of(await client.call_tool("generate_report", wish))
        pdf = await blob(client, f"report://reports/{report.id}/pdf")
        png = await blob(client, f"report://reports/{report.id}/png")
    assert (pdf[0], png[0]) == ("application/pdf", "image/png")
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf[1])).pages)
    for expected in ("Spring $1 to $2", "Made from all 30 rows of sql/orders", "23.6897", "shop by day", "rows by day"):
        assert expected in text
    with Image.open(io.BytesIO(png[1])) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1000


async def test_hostile_names_are_drawn_as_text(served: Served) -> None:
    async with served() as client:
        report = report_of(await client.call_tool("generate_report", {"source": "sql/<script>alert(1)</script>"}))
        _, pdf = await blob(client, f"report://reports/{report.id}/pdf")
    assert b"/URI" not in pdf
    assert b"/JavaScript" not in pdf


async def test_without_matplotlib_the_error_names_the_extra(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as client:
        report = report_of(await client.call_tool("generate_report", {"source": "orders"}))
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(MCPError, match=r"pip install \"mcp-plugin-report\[charts\]\""):
            await client.read_resource(f"report://reports/{report.id}/pdf")
