"""The running server that a command asks, and what it sends along to be let in."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from mcp_host.errors import HostError

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="Ask the server running at this URL. Default: load the plugins and ask them here."
    ),
]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME: VALUE", help="With --url: send this header too. May be repeated."),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token-env", metavar="VARIABLE", help="With --url: send the value of this environment variable as the token."
    ),
]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 section 5.1: a field name is a token."""
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
"""RFC 9110 section 5.5: visible characters of ASCII, with spaces and tabs between them."""


@dataclass(frozen=True)
class Remote:
    """A server by its URL. The headers may hold secrets: nothing shows them."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def transport(self) -> AbstractAsyncContextManager[Any]:
        """Return what a `Client` connects by: its requests carry the headers, and no redirect elsewhere does."""
        return _transport(self)


@asynccontextmanager
async def _transport(remote: Remote) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    # The times of the SDK's own client: a server may hold the stream of a long call open.
    timeout = httpx2.Timeout(30.0, read=300.0)

    async def look(response: httpx2.Response) -> None:
        # The SDK's error does not say which status it was.
        if response.status_code in (401, 403):
            wants = "another token" if "authorization" in response.request.headers else "a token"
            what = f"{remote.url} wants {wants}: HTTP {response.status_code}"
            raise HostError(what, where="command line: --url", hint="--token-env VARIABLE   (sends its value)")

    async with (
        httpx2.AsyncClient(
            headers=dict(remote.headers), timeout=timeout, event_hooks={"response": [look]}
        ) as http_client,
        streamable_http_client(remote.url, http_client=http_client) as streams,
    ):
        yield streams


def remote(url: str | None, headers: Sequence[str] | None, token_env: str | None) -> Remote | None:
    """Return the server that the options name, None for the plugins here.

    Raises:
        HostError: A header is not one, the variable is not set, or there is no URL to send them to. The error shows no
            value.
    """
    if url is None:
        if headers or token_env:
            option = "--header" if headers else "--token-env"
            raise HostError(f"{option} is for --url", where=f"command line: {option}", hint="--url URL")
        return None
    given: dict[str, str] = {}
    for header in headers or ():
        name, _, value = (part.strip() for part in header.partition(":"))
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise HostError("not NAME: VALUE", where="command line: --header", hint="--header 'X-Tenant: acme'")
        given[name] = value
    if token_env is not None:
        token = os.environ.get(token_env, "").strip()
        if not _VALUE.fullmatch(token):
            wrong = "holds characters that no token has" if token else "is not set"
            where = "command line: --token-env"
            raise HostError(f"{token_env} {wrong}", where=where, hint=f"export {token_env}=...")
        if any(name.lower() == "authorization" for name in given):
            raise HostError("two tokens", where="command line: --token-env", hint="without --header 'Authorization: '")
        given["Authorization"] = f"Bearer {token}"
    return Remote(url, given)
