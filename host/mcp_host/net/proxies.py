"""Decides which URLs are asked from a proxy, and from which one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import httpx2

_SCHEMES: Final = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True)
class Proxy:
    """A proxy: its URL without a user name, and what it asks for. `repr` does not show the password."""

    url: str
    auth: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Read `http://proxy.corp:3128`, `https://user:password@proxy.corp` or `socks5://127.0.0.1:1080`.

        A text without a scheme is a host and a port, as in the usual variables.

        Raises:
            ValueError: The text is not the URL of a proxy. The error does not show it, because it may have a password.
        """
        parts = urlsplit(text if "://" in text else f"http://{text}")
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the URL of the proxy has no valid port") from None
        if parts.scheme not in _SCHEMES or not parts.hostname or not re.fullmatch(r"[\w.:-]+", parts.hostname):
            raise ValueError(f"a proxy is a URL such as http://proxy.corp:3128, with one of {', '.join(_SCHEMES)}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        return cls(f"{parts.scheme}://{host}" + (f":{port}" if port else ""), auth)


@dataclass(frozen=True)
class Proxies:
    """The proxies of a client: one for each scheme, and the hosts that are reached without one.

    `direct` has hosts (`wiki.corp`, which is also for `a.wiki.corp`), hosts with a port, addresses, networks
    (`10.0.0.0/8`) and `*` for all.
    """

    http: Proxy | None = None
    https: Proxy | None = None
    direct: tuple[str, ...] = ()

    @classmethod
    def one(cls, url: str, *, direct: Iterable[str] = ()) -> Proxies:
        """Return the same proxy for all URLs. Raises the errors of `Proxy.parse`."""
        proxy = Proxy.parse(url)
        return cls(proxy, proxy, tuple(direct))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, *, direct: Iterable[str] = ()) -> Proxies:
        """Read `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, also in lower case, which wins.

        In a CGI process (`REQUEST_METHOD` is set), `HTTP_PROXY` is a header of the request, and is not read.

        Raises:
            ValueError: A variable is not the URL of a proxy. The error names it.
        """
        environ = os.environ if environ is None else environ

        def value(name: str) -> str:
            upper = "" if name == "http_proxy" and "REQUEST_METHOD" in environ else environ.get(name.upper(), "")
            return environ.get(name, "").strip() or upper.strip()

        found: dict[str, Proxy | None] = {}
        for scheme in ("http", "https"):
            name = next((name for name in (f"{scheme}_proxy", "all_proxy") if value(name)), None)
            try:
                found[scheme] = Proxy.parse(value(name)) if name else None
            except ValueError as error:
                raise ValueError(f"{str(name).upper()}: {error}") from None
        return cls(found["http"], found["https"], (*re.split(r"[\s,]+", value("no_proxy")), *direct))

    def of(self, url: httpx2.URL) -> Proxy | None:
        """Return the proxy that a URL is asked from, or None if it is reached directly."""
        proxy = self.https if url.scheme == "https" else self.http
        if proxy is None:
            return None
        port = url.port or (443 if url.scheme == "https" else 80)
        return None if any(_matches(entry, url.raw_host.decode("ascii"), port) for entry in self.direct) else proxy


def _matches(entry: str, host: str, port: int) -> bool:
    entry, host = entry.strip().lower(), host.lower().rstrip(".")
    if entry in ("", "*"):
        return entry == "*"
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        address = None
    try:
        if address is not None and address in ip_network(entry.strip("[]"), strict=False):
            return True
    except ValueError:
        pass  # not a network: a name
    found = re.fullmatch(r"(\[[^\]]+\]|[^:]+):(\d{1,5})", entry)
    if found is not None:
        return int(found[2]) == port and _matches(found[1], host, port)
    name = entry.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))
