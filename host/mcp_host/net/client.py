"""Makes the guarded client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mcp_host.net.credentials import HostHeaders
from mcp_host.net.guard import Guard, Resolver
from mcp_host.net.proxies import Proxies

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
    host_headers: Iterable[HostHeaders] = (),
    streams: bool = False,
    proxies: Proxies | None = None,
    resolver: Resolver | None = None,
    verify: ssl.SSLContext | None = None,
) -> httpx2.AsyncClient:
    """Return an HTTP client for URLs that somebody else chose: a model, a web page or a token.

    Every connection goes through a `Guard`, also after a redirect. The guard resolves a name once, when it connects. It
    checks every address, and the client connects to a checked address. A DNS answer that changes later has no effect.
    `allow` and `deny` are rules in the forms that `AddressRule.parse` reads.

    The client asks for gzip and deflate and decodes them. A body that is encoded in another way, or that ends too
    early, is an error. `headers` are sent with each request; `Accept-Encoding` is not changed by them.

    `timeout` is in seconds. `max_bytes` counts the body before and after decoding. Both limit the whole exchange, from
    the first request to the last byte, with all redirects. With `streams`, the answers may stay open: `timeout` limits
    each wait for a piece of an answer instead, and `max_bytes` each answer that is not an event stream
    (`text/event-stream`). At most `max_redirects` redirects are followed. Only headers that carry no credential are
    sent to another origin. `host_headers` are for one host each, on every hop, and for no other. Cookies are not kept.
    `verify` replaces the trusted certificates. The default is the system's; `SSL_CERT_FILE` and `SSL_CERT_DIR` are
    respected.

    `proxies` are asked for the URLs that they are for; without it, none is used, whatever the environment has. The
    guard checks the host of each URL that a proxy is asked for. The proxy resolves the name again, so a name whose
    addresses change in between may lead the proxy elsewhere: the proxy has to refuse what it may not reach.

    Use the client as an async context manager. Its methods raise `GuardError` when the guard refuses something,
    `httpx2.HTTPError` when a request fails, and `httpx2.InvalidURL`.

    Raises:
        ValueError: A rule cannot be read.
    """
    # Imported here, so that a plugin loads httpx2 only when it makes a client.
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx2

    from mcp_host.net.exchange import ExchangeLimits, GuardedClient
    from mcp_host.net.routes import Routes
    from mcp_host.net.transport import GuardedTransport
    from mcp_host.net.unpacking import ACCEPTED

    fields = [(name, value) for name, value in (headers or {}).items() if name.lower() != "accept-encoding"]
    guard = Guard(allow=allow, deny=deny, resolver=resolver)
    routes = Routes(
        guard,
        proxies or Proxies(),
        verify or httpx2.create_ssl_context(),
        max_connections=None if streams else 100,
        max_keepalive_connections=20,
        keepalive_expiry=5.0,
    )
    return GuardedClient(
        transport=GuardedTransport(routes, ExchangeLimits(timeout, max_bytes, streams), tuple(host_headers)),
        headers=[("Accept-Encoding", ACCEPTED), *fields],
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=True,
        max_redirects=max_redirects,
        timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
        trust_env=False,
    )
