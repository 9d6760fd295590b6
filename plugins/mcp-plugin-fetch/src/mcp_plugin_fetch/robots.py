"""Keeps to the robots.txt of each site (RFC 9309)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio.to_thread

from mcp_host import ToolError

if TYPE_CHECKING:
    import httpx2
    from protego import Protego

UNCHECKED: Final = "mcp_plugin_fetch.robots"
"""The request extension that marks a request for robots.txt itself, which is not checked."""

MOST_READ: Final = 512 * 1024
"""How many bytes of a robots.txt are read (RFC 9309, 2.5, asks for at least 500 KiB)."""

MOST_SITES: Final = 500


class Robots:
    """Reads each site's robots.txt once and keeps it for `seconds`."""

    def __init__(self, client: httpx2.AsyncClient, user_agent: str, seconds: float) -> None:
        from cachetools import TTLCache

        self._client = client
        self._user_agent = user_agent
        self._sites: TTLCache[str, Protego | None] = TTLCache(MOST_SITES, seconds)

    async def check(self, request: httpx2.Request) -> None:
        """Check a request, also one that follows a redirect, against its site's robots.txt.

        Raises:
            ToolError: The site's robots.txt disallows the URL, or it cannot be reached, which disallows everything
                (RFC 9309, 2.3.1.4).
        """
        url = request.url
        if UNCHECKED in request.extensions or url.scheme not in ("http", "https") or not url.host or url.userinfo:
            return
        site = f"{url.scheme}://{url.netloc.decode('ascii')}"
        try:
            rules = self._sites[site]
        except KeyError:
            rules = self._sites[site] = await self._ask(site)
        if rules is not None and not rules.can_fetch(str(url.copy_with(fragment=None)), self._user_agent):
            raise ToolError(
                f"{site}/robots.txt asks robots not to fetch {url.path}, and this tool keeps to it. "
                "The user can open the page in a browser."
            )

    async def _ask(self, site: str) -> Protego | None:
        """Return the rules of a site, or None if it has no rules."""
        import httpx2
        from protego import Protego

        url = f"{site}/robots.txt"
        data = bytearray()
        try:
            async with self._client.stream("GET", url, extensions={UNCHECKED: True}) as response:
                if 400 <= response.status_code < 500:
                    return None
                if not response.is_success:
                    raise ToolError(_unreachable(url, f"it answers {response.status_code}{retry_after(response)}"))
                async for part in response.aiter_bytes():
                    data += part
                    if len(data) >= MOST_READ:
                        break
        except httpx2.TooManyRedirects:
            return None
        except httpx2.ConnectError:
            raise  # The page itself cannot be reached either; that error says more.
        except httpx2.HTTPError as error:
            raise ToolError(_unreachable(url, str(error) or type(error).__name__)) from error
        text = bytes(data[:MOST_READ]).decode("utf-8", "replace").removeprefix("\ufeff")
        return await anyio.to_thread.run_sync(Protego.parse, text)


def retry_after(response: httpx2.Response) -> str:
    """Return when the server wants to be asked again (RFC 9110, 10.2.3), as a part of a sentence, or an empty text."""
    value = response.headers.get("retry-after", "").strip()
    if not value.isprintable() or not 0 < len(value) <= 60:
        return ""
    return f" (Retry-After: {value} s)" if value.isdecimal() else f" (Retry-After: {value})"


def _unreachable(url: str, why: str) -> str:
    return f"{url} cannot be read ({why}), so no page of that site may be fetched now. Try again later."
