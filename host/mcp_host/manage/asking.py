"""Asks remote servers whether they want a login with OAuth, before anything is written about them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

_LONGEST: Final = 8.0
"""Seconds within which a server must answer. One that does not is taken for one without a login."""


def wanting_login(urls: Iterable[str]) -> set[str]:
    """Return the URLs whose servers refuse a request without a token, and name an authorization server."""
    return asyncio.run(_wanting_login(list(dict.fromkeys(urls))))


async def _wanting_login(urls: list[str]) -> set[str]:
    from mcp_host.upstream.authorizing import wants_login

    async def asked(url: str) -> bool:
        try:
            async with asyncio.timeout(_LONGEST):
                return await wants_login(url)
        except TimeoutError:
            return False

    answers = await asyncio.gather(*map(asked, urls))
    return {url for url, answer in zip(urls, answers, strict=True) if answer}
