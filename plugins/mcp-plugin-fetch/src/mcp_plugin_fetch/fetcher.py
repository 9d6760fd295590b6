"""Fetches one URL and returns its text or its image."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from mcp_host import ToolError
from mcp_host.net import GuardError, Resolver, guarded_client
from mcp_plugin_fetch.conversion import convert
from mcp_plugin_fetch.media import decode, image_type, is_binary, is_html, is_pdf, may_be_text, media_type
from mcp_plugin_fetch.pages import Picture, Refresh, Source, Text, remarks_on, remarks_on_pdf
from mcp_plugin_fetch.robots import Robots, retry_after
from mcp_plugin_fetch.settings import Settings
from mcp_plugin_fetch_worker.characters import visible
from mcp_plugin_fetch_worker.refresh import parse_refresh

if TYPE_CHECKING:
    import ssl

    import httpx2

ACCEPT = (
    "text/markdown, text/html;q=0.9, application/xhtml+xml;q=0.9, text/plain;q=0.8, application/json;q=0.8, */*;q=0.5"
)

AT_ONCE = 2
"""How many bodies are decoded and converted at the same time. Each conversion is a process."""

LONGEST_EXCERPT = 500
"""How many characters of an error page are returned."""

LONGEST_WAIT = 10
"""A page that goes on to another one after more seconds is shown itself."""


class Fetcher:
    """The plugin's state: one guarded client, the rules of robots.txt files, and the texts that are being read.

    `resolver` and `verify` are passed to `guarded_client`.
    """

    def __init__(
        self,
        settings: Settings,
        plugin: str = "fetch",
        *,
        resolver: Resolver | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        from cachetools import TTLCache

        self._settings = settings
        self._plugin = plugin
        self._resolver = resolver
        self._verify = verify
        self._client: httpx2.AsyncClient | None = None
        self._converting = anyio.CapacityLimiter(AT_ONCE)
        self._proxies = settings.proxies()
        # The cache counts bytes, because the number of pages has no limit.
        self._texts: TTLCache[tuple[str, bool], Text] = TTLCache(
            4 * settings.max_bytes, settings.cache_seconds, getsizeof=_room
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def read_on(self, url: str, *, raw: bool) -> Text | Picture:
        """Return the text that an earlier call began to read. It is fetched again if it is no longer in the cache."""
        kept = self._texts.get((url, raw))
        return kept if kept is not None else await self.fetch(url, raw=raw)

    async def fetch(self, url: str, *, raw: bool) -> Text | Picture:
        """Fetch a URL; `raw` leaves HTML as it is.

        Raises:
            ToolError: The URL cannot be fetched, may not be reached, or is neither text nor an image.
        """
        page = await self._follow(url, raw)
        if isinstance(page, Text) and _room(page) <= self._texts.maxsize:
            self._texts[url, raw] = page
        return page

    async def _follow(self, url: str, raw: bool) -> Text | Picture:
        """Fetch a URL, and the pages that it sends a browser to, within the limits for redirects and time."""
        seen: set[str] = set()
        end = anyio.current_time() + self._settings.timeout
        target, followed = url, 0
        while True:
            async with self._get(target) as response:
                page = await self._page(response, raw)
            seen |= {target, page.source.url}
            refresh = page.refresh if isinstance(page, Text) else None
            if refresh is None or raw or refresh.seconds > LONGEST_WAIT or refresh.url in seen:
                return page
            if followed == self._settings.max_redirects or anyio.current_time() > end:
                return page
            target, followed = refresh.url, followed + 1

    @asynccontextmanager
    async def _get(self, url: str) -> AsyncIterator[httpx2.Response]:
        import httpx2

        client = self._client or self._open()
        if "://" not in url:
            raise ToolError(f"{url!r} is not a URL: begin with https:// or http://.")
        try:
            async with client.stream("GET", url) as response:
                yield response
        except GuardError as error:
            hint = f" ({error.hint} in [plugins.{self._plugin}.settings])" if error.hint else ""
            raise ToolError(f"{url} was not fetched: {error.what}{hint}.") from error
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise ToolError(f"{url!r} is not a URL: {error}.") from None
        except httpx2.TooManyRedirects:
            raise ToolError(f"{url} redirects more than {self._settings.max_redirects} times.") from None
        except httpx2.TimeoutException as error:
            raise ToolError(f"{url} was not fetched: the server did not answer in time.") from error
        except httpx2.HTTPError as error:
            raise ToolError(f"{url} was not fetched: {str(error) or type(error).__name__}.") from error

    def _open(self) -> httpx2.AsyncClient:
        settings = self._settings
        client = guarded_client(
            allow=settings.allow,
            deny=settings.deny,
            timeout=settings.timeout,
            max_bytes=settings.max_bytes,
            max_redirects=settings.max_redirects,
            headers={"User-Agent": settings.user_agent, "Accept": ACCEPT},
            host_headers=settings.host_headers(),
            proxies=self._proxies,
            resolver=self._resolver,
            verify=self._verify,
        )
        if settings.robots:
            robots = Robots(client, settings.user_agent, settings.robots_seconds)
            client.event_hooks = {"request": [robots.check], "response": []}
        self._client = client
        return client

    async def _page(self, response: httpx2.Response, raw: bool) -> Text | Picture:
        kind, charset = media_type(response.headers.get("content-type", ""))
        source = Source(str(response.url), response.status_code, kind or "unknown type")
        if response.is_error:
            raise ToolError(await _refusal(response, kind, charset))
        if not may_be_text(kind) and not kind.startswith("image/") and not is_pdf(kind, b""):
            raise ToolError(f"{source.url} is {kind} ({_size(response)}), neither text, PDF nor an image.")
        data = await response.aread()
        found = image_type(data)
        if found is not None and (kind.startswith("image/") or not kind.startswith("text/")):
            return self._picture(Source(source.url, source.status, found), data)
        if is_pdf(kind, data):
            return await self._pdf(Source(source.url, source.status, "application/pdf"), data)
        if not may_be_text(kind):
            raise ToolError(f"{source.url} is {kind} ({len(data):,} bytes), not an image that models can read.")
        if is_binary(data):
            raise ToolError(f"{source.url} is {source.kind} ({len(data):,} bytes), which is binary data, not text.")
        refresh = Refresh.of(parse_refresh(response.headers.get("refresh", ""), source.url))
        async with self._converting:
            if raw or not is_html(kind, data):
                text = decode(data, charset, html=is_html(kind, data))
                return Text(source, text if raw else visible(text), refresh=refresh)
            return await self._html(source, decode(data, charset, html=True).encode("utf-8", "replace"), refresh)

    async def _html(self, source: Source, html: bytes, refresh: Refresh | None) -> Text:
        page = await convert(
            "html", html, source.url, memory=self._settings.convert_memory * 2**20, most=2 * self._settings.max_bytes
        )
        note = ", as Markdown" + (" without the parts that are nested too deeply" if page.facts["incomplete"] else "")
        refresh = refresh or Refresh.of(page.facts["refresh"])
        return Text(source, page.text, page.facts["title"], note, remarks_on(page.facts), refresh)

    async def _pdf(self, source: Source, data: bytes) -> Text:
        memory, most = self._settings.convert_memory * 2**20, 2 * self._settings.max_bytes
        async with self._converting:
            document = await convert("pdf", data, source.url, memory=memory, most=most)
        facts, size = document.facts, f"{len(data):,} bytes"
        if "problem" in facts:
            raise ToolError(f"{source.url} is a PDF of {size} that cannot be read: {facts['problem']}.")
        if not document.text:
            raise ToolError(f"{source.url} is a PDF of {facts['pages']} pages ({size}) without text, maybe scanned.")
        note = f", the text of {facts['read']} pages"
        return Text(source, document.text, facts["title"], note, remarks_on_pdf(facts))

    def _picture(self, source: Source, data: bytes) -> Picture:
        most = self._settings.max_image_bytes
        if len(data) > most:
            raise ToolError(f"{source.url} is {source.kind} of {len(data):,} bytes; the limit for images is {most:,}.")
        return Picture(source, data)


async def _refusal(response: httpx2.Response, kind: str, charset: str) -> str:
    status = f"{response.url} answered {response.status_code} {response.reason_phrase}".rstrip()
    wait = retry_after(response)
    if kind.startswith("text/plain") or "json" in kind:
        excerpt = visible(decode(await response.aread(), charset, html=False)).strip()[:LONGEST_EXCERPT]
        if excerpt:
            return f"{status}{wait}: {excerpt}"
    return f"{status}{wait}."


def _room(page: Text) -> int:
    """Return how many bytes a page takes in the cache. An empty page takes some, too."""
    return sys.getsizeof(page.text) + 1024


def _size(response: httpx2.Response) -> str:
    length = response.headers.get("content-length")
    return f"{int(length):,} bytes" if length else "of unknown size"
