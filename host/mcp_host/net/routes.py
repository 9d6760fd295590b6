"""The connection pools of a guarded client: one for direct connections, and one for each proxy."""

from __future__ import annotations

import ssl
from typing import Any, Final

import httpcore2
import httpx2

from mcp_host.net.dialing import GuardedBackend
from mcp_host.net.guard import Guard
from mcp_host.net.proxies import Proxies, Proxy

_PORTS: Final = {"http": 80, "https": 443}


class Routes:
    """Finds the pool for a URL.

    A direct connection is made to an address that the guard has checked. A proxy is the user's own, so it is not
    checked; what it is asked for is.
    """

    def __init__(self, guard: Guard, proxies: Proxies, tls: ssl.SSLContext, **options: Any) -> None:
        self._guard = guard
        self._proxies = proxies
        self._tls = tls
        self._options = options
        self._pools: dict[Proxy | None, httpcore2.AsyncConnectionPool] = {}

    async def pool_for(self, url: httpx2.URL) -> httpcore2.AsyncConnectionPool:
        """Return the pool for a URL.

        Raises:
            BlockedAddressError: The URL is asked from a proxy, and the guard refuses its host.
            httpx2.ProxyError: The proxy needs a library that is not installed.
        """
        proxy = self._proxies.of(url)
        if proxy is not None:
            await self._guard.admit(url.raw_host.decode("ascii").strip("[]"), url.port or _PORTS[url.scheme])
        if proxy not in self._pools:
            self._pools[proxy] = self._open(proxy)
        return self._pools[proxy]

    async def aclose(self) -> None:
        """Close the connections of all pools."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.aclose()

    def _open(self, proxy: Proxy | None) -> httpcore2.AsyncConnectionPool:
        options = {**self._options, "ssl_context": self._tls}
        if proxy is None:
            return httpcore2.AsyncConnectionPool(network_backend=GuardedBackend(self._guard), **options)
        if proxy.url.startswith("socks5") and not _has_socks():
            raise httpx2.ProxyError("a SOCKS proxy needs the library socksio (pip install 'httpx2[socks]')")
        tls = self._tls if proxy.url.startswith("https:") else None
        return httpcore2.AsyncConnectionPool(
            proxy=httpcore2.Proxy(proxy.url, proxy.auth, ssl_context=tls),
            network_backend=_ProxyBackend(proxy),
            **options,
        )


class _ProxyBackend(httpcore2.AnyIOBackend):
    """Connects to a proxy, and says so if that fails."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        """Connect to the proxy's host.

        Raises:
            httpcore2.ProxyError: The proxy does not answer.
        """
        try:
            return await super().connect_tcp(host, port, *args, **options)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            raise httpcore2.ProxyError(f"the proxy {host}:{port} cannot be reached") from error


def _has_socks() -> bool:
    try:
        import socksio  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        return False
    return True
