"""Shows MCP Apps in a real Chromium, in a sandboxed frame and with the policy that the specification requires."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.client import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Dialog, FrameLocator, Page, Route, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

CLIENT = (Path(__file__).parent / "appclient.html").read_text(encoding="utf-8")
"""The page of a client that holds the view in a frame."""

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'; frame-src 'none'; object-src 'none'"
)
"""The policy that a client must enforce if a page declares no domains (SEP-1865, Host Behavior)."""

RENDERS_APPS = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})


@dataclass
class Shown:
    """A page in the browser, with its errors and its requests to other addresses."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)

    @property
    def view(self) -> FrameLocator:
        return self.page.frame_locator("iframe")

    def sent(self, method: str) -> list[dict[str, Any]]:
        """Return the messages that the view has sent with this method."""
        found: list[dict[str, Any]] = self.page.evaluate("method => received.filter(m => m.method === method)", method)
        return found

    def send(self, method: str, params: Any, **more: Any) -> None:
        self.page.evaluate("message => send(message)", {"method": method, "params": params, **more})

    def until(self, condition: str) -> None:
        self.page.wait_for_function(condition, timeout=30_000)


Show = Callable[..., Shown]


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def showing(browser: Browser) -> Iterator[Show]:
    """Provide what opens documents by address. Nothing else can be reached."""
    contexts = []

    def open_page(address: str, documents: dict[str, tuple[str, str]], *, scheme: str = "light") -> Shown:
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": 900, "height": 1400}
        )
        contexts.append(context)
        shown = Shown(context.new_page())

        def answer(route: Route) -> None:
            body, policy = documents.get(route.request.url.partition("?")[0], ("", ""))
            if not body:
                shown.strayed.append(route.request.url)
                route.abort()
                return
            headers = {"content-type": "text/html; charset=utf-8"}
            route.fulfill(body=body, headers={**headers, **({"content-security-policy": policy} if policy else {})})

        def complain(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                shown.complaints.append(message.text)

        def stop(dialog: Dialog) -> None:
            shown.complaints.append(f"a dialog: {dialog.message}")
            dialog.dismiss()

        shown.page.route("**/*", answer)
        shown.page.on("console", complain)
        shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        shown.page.on("dialog", stop)
        shown.page.goto(address)
        return shown

    yield open_page
    for context in contexts:
        context.close()


def open_view(show: Show, view: str, *, theme: str = "light") -> Shown:
    """The view in the client, after the handshake."""
    shown = show(
        f"http://client.test/?theme={theme}", {"http://client.test/": (CLIENT, ""), "http://view.test/": (view, POLICY)}
    )
    shown.until("received.some(m => m.method === 'ui/notifications/initialized')")
    return shown


def colours(shown: Shown, picture: Path) -> set[Any]:
    """Return the colours on a screenshot of the page, taken after the frame was painted."""
    for _ in range(100):
        shown.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shown.page.screenshot(path=picture)
        with Image.open(picture) as image:
            found = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or ()}
        if len(found) > 2:
            return found
    return set()
