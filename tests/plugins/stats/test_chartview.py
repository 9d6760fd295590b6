"""The MCP App for charts in a real Chromium, in a sandboxed frame and with the policy of the specification."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from mcp import Client
from mcp.types import CallToolResult, TextResourceContents
from playwright.sync_api import Browser, expect

from mcp_host.testing import connect
from mcp_plugin_stats import plugin
from support.appviews import CHROMIUM, RENDERS_APPS, Show, Shown, chromium, colours, open_view, showing

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")

Served = Callable[..., AbstractAsyncContextManager[Client]]
Made = Callable[..., tuple[list[CallToolResult], str]]

BLUE = (76, 120, 168)
"""The colour of the first series."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    with showing(browser) as show:
        yield show


@pytest.fixture
def made(mode: str, folder: Path) -> Made:
    """Draws charts, and returns the tool's results and the view."""

    def make(*charts: dict[str, Any], **settings: Any) -> tuple[list[CallToolResult], str]:
        async def run() -> tuple[list[CallToolResult], str]:
            async with connect(plugin, name="stats", settings=settings, mode=mode, extensions=[RENDERS_APPS]) as client:
                (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "chart"]
                (page,) = (await client.read_resource((tool.meta or {})["ui"]["resourceUri"])).contents
                assert isinstance(page, TextResourceContents)
                return [await client.call_tool("chart", {"image": False, **chart}) for chart in charts], page.text

        # Playwright has its own loop in this thread.
        with start_blocking_portal() as portal:
            return portal.call(run)

    return make


def send(shown: Shown, result: CallToolResult) -> None:
    params = json.loads(result.model_dump_json(by_alias=True, exclude_none=True))
    shown.send("ui/notifications/tool-result", params)


def test_the_view_draws_every_kind(show: Show, made: Made, tmp_path: Path) -> None:
    bars, line, points, boxes = (
        {"dataset": "penguins", "kind": "bar", "x": "species"},
        {"dataset": "penguins", "kind": "line", "x": "year", "y": "body_mass_g", "group": "species"},
        {"dataset": "penguins", "kind": "scatter", "x": "bill_length_mm", "y": "bill_depth_mm"},
        {"dataset": "penguins", "kind": "box", "x": "species", "y": "body_mass_g"},
    )
    results, view = made(bars, line, points, boxes)
    shown = open_view(show, view)
    chart = shown.view.locator("svg.chart")
    shown.send("ui/notifications/tool-input", {"arguments": {"dataset": "penguins"}})
    expect(shown.view.get_by_role("status")).to_have_text("Drawing penguins ...")
    send(shown, results[0])
    expect(shown.view.get_by_role("heading", level=1)).to_have_text("penguins: count of rows by species")
    widths = [box["width"] for rect in chart.locator("rect").all() if (box := rect.bounding_box()) is not None]
    assert [round(width / widths[0], 2) for width in widths] == [1, round(124 / 152, 2), round(68 / 152, 2)]
    assert chart.locator("rect title").all_text_contents() == [
        *("Adelie: 152 (152 rows)", "Gentoo: 124 (124 rows)", "Chinstrap: 68 (68 rows)"),
    ]
    assert BLUE in colours(shown, tmp_path / "view.png")
    send(shown, results[1])
    expect(chart.locator("polyline")).to_have_count(3)
    expect(shown.view.get_by_role("listitem")).to_have_text(["Adelie", "Gentoo", "Chinstrap"])
    send(shown, results[2])
    expect(chart.locator("circle")).to_have_count(342)
    expect(shown.view.locator("p")).to_have_text(
        ["344 rows.", "2 rows have no value of bill_length_mm and are left out."]
    )
    send(shown, results[3])
    expect(chart.locator("rect")).to_have_count(3)
    expect(chart.locator(".median")).to_have_count(3)
    shown.until("received.some(m => m.method === 'ui/notifications/size-changed' && m.params.height > 100)")
    assert (shown.complaints, shown.strayed) == ([], [])


def test_dates_missing_values_and_large_numbers_are_drawn(show: Show, made: Made, folder: Path) -> None:
    (folder / "t.csv").write_text("d,k,v\n1899-12-31,a,9007199254740993\n1900-02-28,,-9007199254740993\n")
    (folder / "one.csv").write_text("d,v\n2024-02-29,5\n")
    time = {"dataset": "t", "kind": "line", "x": "d", "y": "v", "period": "month"}
    bars = {"dataset": "t", "kind": "bar", "x": "k", "y": "v", "aggregate": "sum"}
    one = {"dataset": "one", "kind": "line", "x": "d", "y": "v"}
    results, view = made(time, bars, one, datasets={"t": "t.csv", "one": "one.csv"})
    shown = open_view(show, view)
    chart = shown.view.locator("svg.chart")
    send(shown, results[0])
    for label in ("1899-12", "1900-01", "1900-02"):
        expect(chart.get_by_text(label, exact=True)).to_be_visible()
    send(shown, results[1])
    expect(chart.locator("rect")).to_have_count(2)
    expect(chart.locator("text", has_text="(no value)")).to_be_visible()
    up, down = (rect.bounding_box() for rect in chart.locator("rect").all())
    assert up is not None
    assert down is not None
    # Both bars begin at zero.
    assert up["x"] == pytest.approx(down["x"] + down["width"], abs=1)
    send(shown, results[2])
    expect(chart.locator("circle")).to_have_count(1)
    expect(chart.get_by_text("2024-02-29", exact=True)).to_be_visible()
    assert "NaN" not in chart.inner_html()
    assert (shown.complaints, shown.strayed) == ([], [])


def test_hostile_data_are_text_and_errors_are_shown(show: Show, made: Made, folder: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    (folder / "t.csv").write_text(f"{evil},v\n</script><script>alert(2)</script>,1\nb,2\n")
    good = {"dataset": "t", "kind": "bar", "x": evil, "y": "v"}
    results, view = made(good, {"dataset": "t", "kind": "bar", "x": "nothing"}, datasets={"t": "t.csv"})
    shown = open_view(show, view, theme="dark")
    expect(shown.view.locator("body")).to_have_css("background-color", "rgb(22, 24, 28)")
    send(shown, results[0])
    expect(shown.view.get_by_role("heading", level=1)).to_have_text(f"t: mean of v by {evil}")
    assert shown.view.locator("img").count() == 0
    assert shown.view.locator("script").count() == 1
    send(shown, results[1])
    expect(shown.view.locator("pre")).to_contain_text("has no column 'nothing'")
    shown.send("ui/notifications/tool-cancelled", {"reason": "by the user"})
    expect(shown.view.get_by_role("status")).to_have_text("The chart was cancelled: by the user.")
    shown.send("ui/resource-teardown", {"reason": "closing"}, id=7)
    shown.until("received.some(m => m.id === 7 && m.result)")
    assert (shown.complaints, shown.strayed) == ([], [])


def test_markup_that_the_page_does_not_have_cannot_run_or_load(show: Show, made: Made) -> None:
    _, view = made()
    hostile = "<script>document.title = 'run'</script><img src='http://evil.test/x.png'>"
    frame = show("http://view.test/", {"http://view.test/": (view.replace("<main>", f"<main>{hostile}"), "")})
    assert frame.page.title() == "Chart"
    assert frame.strayed == []
