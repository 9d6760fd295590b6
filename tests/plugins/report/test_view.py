"""The MCP App in a real Chromium, in a sandboxed frame and with the policy that the specification requires."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from mcp import Client
from mcp.types import CallToolResult
from playwright.sync_api import Browser, expect

from plugins.report.results import read, report_of
from support.appviews import CHROMIUM, RENDERS_APPS, Show, chromium, colours, open_view, showing

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")

Served = Callable[..., AbstractAsyncContextManager[Client]]

BAR = (59, 111, 182)
"""The colour of a chart's bars in the light theme."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    with showing(browser) as show:
        yield show


@pytest.fixture
def made(served: Served) -> Callable[..., tuple[CallToolResult, str, str]]:
    """Makes a report, and returns the tool's result, the view and the HTML document."""

    def make(source: str, **wish: Any) -> tuple[CallToolResult, str, str]:
        async def run() -> tuple[CallToolResult, str, str]:
            async with served(client_options={"extensions": [RENDERS_APPS]}) as client:
                tools = {tool.name: tool for tool in (await client.list_tools()).tools}
                uri = (tools["generate_report"].meta or {})["ui"]["resourceUri"]
                result = await client.call_tool("generate_report", {"source": source, **wish})
                return result, await read(client, uri), await read(client, report_of(result).html_uri)

        # Playwright has its own loop in this thread.
        with start_blocking_portal() as portal:
            return portal.call(run)

    return make


def wire(result: CallToolResult) -> Any:
    return json.loads(result.model_dump_json(by_alias=True, exclude_none=True))


def test_the_view_shows_the_result_of_the_tool(
    show: Show, made: Callable[..., tuple[CallToolResult, str, str]], tmp_path: Path
) -> None:
    result, view, _ = made("orders", title="Orders in March")
    shown = open_view(show, view)
    (hello,) = shown.sent("ui/initialize")
    assert hello["params"]["protocolVersion"] == "2026-01-26"
    assert hello["params"]["appInfo"]["name"] == "mcp-plugin-report"
    shown.send("ui/notifications/tool-input", {"arguments": {"source": "orders"}})
    expect(shown.view.get_by_role("status")).to_have_text("Making the report on orders ...")
    shown.send("ui/notifications/tool-result", wire(result))
    expect(shown.view.get_by_role("heading", level=1)).to_have_text("Orders in March")
    expect(shown.view.get_by_role("heading", level=3)).to_have_text(["id", "shop", "day", "price"])
    assert shown.view.locator("svg.columns").count() == 3
    assert shown.view.locator("ol.bars li").all_inner_texts() == ["A\n10", "B\n10", "C\n10"]
    expect(shown.view.locator("tbody tr").filter(has_text="price").first).to_contain_text("DECIMAL(8, 2)")
    expect(shown.view.locator("section").last.locator("td")).to_have_count(4 * 5)
    expect(shown.view.locator("footer")).to_contain_text(
        re.compile(r"made \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC from sql://")
    )
    # The frame is now as high as the report.
    shown.until("received.some(m => m.method === 'ui/notifications/size-changed' && m.params.height > 700)")
    assert (shown.complaints, shown.strayed) == ([], [])
    assert BAR in colours(shown, tmp_path / "view.png")


def test_the_view_follows_the_clients_theme_and_fonts(
    show: Show, made: Callable[..., tuple[CallToolResult, str, str]]
) -> None:
    _, view, _ = made("orders")
    shown = open_view(show, view, theme="dark")
    body = shown.view.locator("body")
    expect(body).to_have_css("background-color", "rgb(22, 24, 28)")
    expect(body).to_have_css("font-family", "serif")
    variables = {"--color-background-primary": "rgb(1, 2, 3)"}
    shown.send("ui/notifications/host-context-changed", {"theme": "light", "styles": {"variables": variables}})
    expect(body).to_have_css("background-color", "rgb(1, 2, 3)")
    expect(body).to_have_css("color", "rgb(28, 32, 36)")


def test_the_view_shows_errors_and_cancellations_as_text_and_answers_the_client(
    show: Show, made: Callable[..., tuple[CallToolResult, str, str]]
) -> None:
    _, view, _ = made("orders")
    shown = open_view(show, view)
    error = {"content": [{"type": "text", "text": "There are no data <b>x</b>."}], "isError": True}
    shown.send("ui/notifications/tool-result", error)
    expect(shown.view.locator("pre")).to_have_text("There are no data <b>x</b>.")
    shown.send("ui/notifications/tool-cancelled", {"reason": "by the user"})
    expect(shown.view.get_by_role("status")).to_have_text("The report was cancelled: by the user.")
    shown.send("ui/resource-teardown", {"reason": "closing"}, id=7)
    shown.send("ui/unheard-of", {}, id=8)
    shown.until(
        "received.some(m => m.id === 7 && m.result) && received.some(m => m.id === 8 && m.error.code === -32601)"
    )
    assert shown.complaints == []


def test_hostile_data_are_text_in_the_view_and_in_the_page(
    show: Show, made: Callable[..., tuple[CallToolResult, str, str]]
) -> None:
    result, view, page = made("<script>alert(1)</script>", title="<img src=x onerror=alert(4)>")
    shown = open_view(show, view)
    shown.send("ui/notifications/tool-result", wire(result))
    expect(shown.view.get_by_role("heading", level=1)).to_have_text("<img src=x onerror=alert(4)>")
    expect(shown.view.get_by_role("heading", level=3).first).to_have_text("<img src=x onerror=alert(2)>")
    expect(shown.view.get_by_text("</title><script>alert(3)</script>").first).to_be_visible()
    assert shown.view.locator("img").count() == 0
    assert shown.view.locator("script").count() == 1
    assert (shown.complaints, shown.strayed) == ([], [])

    document = show("http://report.test/", {"http://report.test/": (page, "")})
    expect(document.page.get_by_role("heading", level=1)).to_have_text("<img src=x onerror=alert(4)>")
    assert document.page.title() == "<img src=x onerror=alert(4)>"
    assert document.page.locator("img, script").count() == 0
    assert (document.complaints, document.strayed) == ([], [])


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(251, 251, 250)"), ("dark", "rgb(22, 24, 28)")])
def test_the_page_is_styled_in_light_and_dark_and_loads_nothing(
    show: Show,
    made: Callable[..., tuple[CallToolResult, str, str]],
    scheme: str,
    background: str,
) -> None:
    _, _, page = made("stats/penguins", title="Penguins")
    document = show("http://report.test/", {"http://report.test/": (page, "")}, scheme=scheme)
    expect(document.page.locator("body")).to_have_css("background-color", background)
    box = document.page.locator("svg.columns rect").first.bounding_box()
    assert box is not None
    assert box["height"] > 0
    assert (document.complaints, document.strayed) == ([], [])
    # Nothing is wider than the window.
    assert document.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_markup_without_escaping_still_cannot_run_or_load(
    show: Show, made: Callable[..., tuple[CallToolResult, str, str]]
) -> None:
    _, view, page = made("orders")
    hostile = (
        "<script>document.title = 'run'</script><img src='http://evil.test/x.png' onerror=\"document.title = 'run'\">"
    )
    document = show("http://report.test/", {"http://report.test/": (page.replace("</main>", f"{hostile}</main>"), "")})
    assert document.page.title() == "Report on orders"
    assert len([text for text in document.complaints if "Content Security Policy" in text]) >= 2
    assert document.strayed == []
    frame = show("http://view.test/", {"http://view.test/": (view.replace("<main>", f"<main>{hostile}"), "")})
    assert frame.page.title() == "Report"
    assert frame.strayed == []
