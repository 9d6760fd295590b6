"""Decides which `Host` and `Origin` headers are accepted, and whether a host without `[auth]` may serve at all."""

from __future__ import annotations

import ipaddress
import logging
import re
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

from mcp_host.config import HostConfig, is_loopback
from mcp_host.errors import HostError

logger = logging.getLogger(__name__)

_MOST_REMEMBERED: Final = 1000
"""How many accepted pairs of `Host` and `Origin` are remembered, so that they are checked only once."""
_ANY_ADDRESS: Final = ("0.0.0.0", "::")
_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@?#\s]+)(?::([0-9]*|\*))?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Authority = tuple[str, int | None]
"""A host in one spelling, and its port or None."""


def refuse_open(config: HostConfig, *, mounted: bool = False) -> None:
    """Refuse to serve without `[auth]` where others than this machine can call, unless `insecure` is set.

    They can if the address is not a loopback one, if `allowed_hosts` has another name than this machine's own (a proxy
    uses it), or if the app is mounted in another app, whose address is not known here.

    Raises:
        HostError: It is open. Or the address can be reached by others, and `allowed_hosts` is empty.
    """
    transport = config.transport
    beyond = not is_loopback(transport.host)
    if beyond and not transport.allowed_hosts:
        raise HostError(
            f"binding {transport.host} without allowed_hosts would answer requests for any host name (DNS rebinding)",
            where=config.where("transport", "host"),
            hint='[transport] allowed_hosts = ["mcp.example.com"]   (the names clients use)',
        )
    if config.auth is not None or transport.insecure:
        return
    foreign = next((name for name in transport.allowed_hosts if not is_loopback(_authority(name)[0])), None)
    if beyond:
        what, key = f"binding {transport.host} without [auth]", "host"
    elif foreign is not None:
        what, key = f"serving {foreign} without [auth]", "allowed_hosts"
    elif mounted:
        what, key = "an app for another server without [auth]", "insecure"
    else:
        return
    raise HostError(
        f"{what} would let everyone who reaches it call every tool",
        where=config.where("transport", key),
        hint=f"[transport] insecure = true   (if {'the outer app, ' if mounted else ''}a proxy or a private network "
        "decides who may call), or add [auth]",
    )


@dataclass(frozen=True)
class HeaderRules:
    """The accepted hosts and origins. A host without a port stands for every port."""

    hosts: frozenset[Authority]
    origins: frozenset[tuple[str, Authority]]

    @classmethod
    def of(cls, config: HostConfig) -> HeaderRules:
        """Return the rules of a configuration. They prevent DNS rebinding on every bind address."""
        transport = config.transport
        hosts = [*_LOOPBACK_NAMES, *transport.allowed_hosts]
        if transport.host not in _ANY_ADDRESS:
            hosts.append(url_host(transport.host))
        loopback = {url_host(name) for name in (*_LOOPBACK_NAMES, transport.host) if is_loopback(name)}
        return cls(
            hosts=frozenset(map(_authority, hosts)),
            origins=frozenset(
                [
                    *(_origin(origin) for origin in (*transport.allowed_origins, *transport.cors)),
                    *(("http", _authority(name)) for name in loopback),
                ]
            ),
        )

    def accept_host(self, value: str) -> bool:
        """Return whether a request for this `Host` is served. Case does not matter (RFC 9110, section 4.2.3)."""
        try:
            name, port = _authority(value)
        except ValueError:
            return False
        # Clients leave out the default port of http or https. Which one a proxy serves is not known.
        ports = (None, *_DEFAULT_PORTS.values()) if port is None else (None, port)
        return any((name, each) in self.hosts for each in ports)

    def accept_origin(self, value: str) -> bool:
        """Return whether a page of this origin may send requests."""
        try:
            scheme, (name, port) = _origin(value)
        except ValueError:
            return False
        if (scheme, (name, port)) in self.origins:
            return True
        # On this machine, every port is accepted.
        return is_loopback(name) and (scheme, (name, None)) in self.origins


def _authority(value: str) -> Authority:
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        raise ValueError("not a host with or without a port")
    name, port = match[1].lower().removesuffix("."), match[2]
    if name.startswith("["):
        name = f"[{ipaddress.IPv6Address(name[1:-1])}]"
    return name, int(port) if port and port != "*" else None


def _origin(value: str) -> tuple[str, Authority]:
    scheme, separator, rest = value.lower().partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:  # "null", or the origin of an app
        return value, ("", None)
    if "*" in rest:
        raise ValueError("not an origin")
    name, port = _authority(rest)
    return scheme, (name, None if port == _DEFAULT_PORTS[scheme] else port)


def url_host(address: str) -> str:
    """Return a bind address as a URL and a `Host` header have it, with brackets around an IPv6 address."""
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


class HeaderCheck:
    """Checks the `Host` and `Origin` of requests, and remembers the accepted ones."""

    def __init__(self, rules: HeaderRules) -> None:
        self._rules = rules
        self._accepted: set[tuple[tuple[bytes, bytes], ...]] = set()

    def refusal(self, scope: Scope) -> Response | None:
        """Return the response that refuses a request, or None if the request is accepted."""
        named = tuple((name, value) for name, value in scope["headers"] if name in (b"host", b"origin"))
        if named in self._accepted:
            return None
        given = {name: value.decode("latin-1") for name, value in named}
        if len(named) != len(given):
            # The app could use another one of the headers than this check (RFC 9112, section 3.2).
            return Response("More than one Host or Origin header", status_code=400)
        host, origin = given.get(b"host", ""), given.get(b"origin", "")
        if not self._rules.accept_host(host):
            logger.warning("a request is refused: its Host, %r, is not in transport.allowed_hosts", host)
            return Response("Invalid Host header", status_code=421)
        if origin and not self._rules.accept_origin(origin):
            logger.warning("a request is refused: its Origin, %r, is not in transport.allowed_origins", origin)
            return Response("Invalid Origin header", status_code=403)
        if len(self._accepted) < _MOST_REMEMBERED:
            self._accepted.add(named)
        return None
