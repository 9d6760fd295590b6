"""The site on a phone: no page is wider than its 390 pixels, and every table can be read.

With the variable `SCREENSHOTS`, the pictures are kept in that folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from docs.test_site import build
from support.pages import DOCS, all_pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")

PHONE: ViewportSize = {"width": 390, "height": 844}

PAGES = [page.relative_to(DOCS).with_suffix("").as_posix() for page in all_pages()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page of a phone's size, and the addresses that it asks for outside of the site."""
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)
    page = context.new_page()
    strayed: list[str] = []
    page.on("request", lambda request: None if request.url.startswith("file:") else strayed.append(request.url))
    yield page, strayed
    context.close()


def address(site: Path, name: str) -> str:
    return (site / ("" if name == "index" else name) / "index.html").as_uri()


@pytest.mark.parametrize("name", PAGES)
def test_the_page_fits_a_phone(site: Path, phone: tuple[Page, list[str]], name: str) -> None:
    page, strayed = phone
    page.goto(address(site, name))
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name.replace('/', '-')}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    hidden = page.evaluate(
        """width => [...document.querySelectorAll(".md-typeset td, .md-typeset th")]
            .filter(cell => cell.getBoundingClientRect().right > width)
            .map(cell => cell.innerText.slice(0, 60))""",
        PHONE["width"],
    )
    assert hidden == [], "cells beyond the edge of the screen"
    thin = page.evaluate(
        """() => [...document.querySelectorAll(".md-typeset td")]
            .filter(cell => cell.innerText.length > 60 && cell.clientWidth < 120)
            .map(cell => cell.innerText.slice(0, 60))"""
    )
    assert thin == [], "a long text in a narrow column"
    assert [url for url in strayed if not url.startswith("data:")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_landing_page_shows_the_picture_and_what_it_is(site: Path, browser: Browser, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(address(site, "index"))
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"desktop-{scheme}.png")
    picture = page.locator("img[src$='terminal.svg']")
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 500
    first = picture.bounding_box()
    assert first is not None
    assert first["y"] < 900, "the picture is on the first screen"
    assert page.locator("a[href='https://github.com/mcp-host/mcp-host']").count() >= 1
    context.close()
