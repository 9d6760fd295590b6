"""Makes the guarded client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mcp_host.net.guard import Guard, Resolver

if TYPE_CHECKING:
    import ssl

    import httpx2

MEBIBYTE = 2**20


def guarded_client(
    *,
    allow: Iterable[str] = (),
    deny: Iterable[str] = (),
    timeout: float = 30.0,
    max_bytes: int = 10 * MEBIBYTE,
    max_redirects: int = 5,
    headers: Mapping[str, str] | None = None,
    resolver: Resolver | None = None,
    verify: ssl.SSLContext | None = None,
) -> httpx2.AsyncClient:
    """Return an HTTP client for URLs that somebody else chose, a model, a web page or a token.

    Every connection, those of redirects included, goes through a `Guard`: names are resolved once, at dial time, every
    address is checked, and the checked address itself is dialled, so that a name whose answer changes gains nothing.
    `allow` and `deny` are rules as `Rule.parse` reads them.

    `timeout`, in seconds, and `max_bytes`, of the body before and after decoding, bound a whole exchange: all redirects
    and the last byte. Redirects are followed, at most `max_redirects` of them. On the way to another origin only
    headers that carry no credential are sent on. No proxy of the environment is used and no cookie is kept. `verify`
    replaces the certificates that are trusted, which otherwise are the system's (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
    honoured).

    Use it as an async context manager. Its methods raise `GuardError` for what the guard refuses, `httpx2.HTTPError`
    for what fails, and `httpx2.InvalidURL`.

    Raises:
        ValueError: A rule cannot be read.
    """
    # Here, so that a plugin pays for httpx2 only when it makes a client.
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpcore2
    import httpx2

    from mcp_host.net.dialing import GuardedBackend
    from mcp_host.net.exchange import GuardedClient, Limits
    from mcp_host.net.transport import GuardedTransport

    guard = Guard(allow=allow, deny=deny, resolver=resolver)
    pool = httpcore2.AsyncConnectionPool(
        ssl_context=verify or httpx2.create_ssl_context(),
        max_connections=100,
        max_keepalive_connections=20,
        keepalive_expiry=5.0,
        network_backend=GuardedBackend(guard),
    )
    return GuardedClient(
        transport=GuardedTransport(pool, Limits(timeout, max_bytes)),
        headers=headers,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=True,
        max_redirects=max_redirects,
        timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
        trust_env=False,
    )
