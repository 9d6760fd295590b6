"""The headers that only one host may get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_host.net.addresses import parse_address
from mcp_host.net.errors import RefusedURLError
from mcp_host.net.rules import AddressRule

if TYPE_CHECKING:
    import httpx2

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class HostHeaders:
    """Headers for one host, such as its token. `repr` does not show them.

    `host` is a name or an address, with or without a port. Without one, a URL that the caller chose may have any port;
    a redirect leads to the scheme's own port only, because another port may be another service. Over plain http the
    headers are sent to this machine, and elsewhere only if `allow_http` is true.

    Raises:
        ValueError: `host` is not one host.
    """

    host: str
    headers: Mapping[str, str] = field(repr=False)
    allow_http: bool = False

    def __post_init__(self) -> None:
        """Read `host` once, so that a mistake is found before anything is sent."""
        rule = AddressRule.parse(self.host)
        if rule.network is not None and rule.network.num_addresses != 1:
            raise ValueError(f"{self.host!r} is a network: name one host")

    def is_for(self, url: httpx2.URL, *, redirected: bool) -> bool:
        """Return whether a hop may have the headers.

        Raises:
            RefusedURLError: It may, but not over plain http.
        """
        rule = AddressRule.parse(self.host)
        host, usual = url.raw_host.decode("ascii").strip("[]"), _PORTS[url.scheme]
        port = url.port or usual
        if port != (rule.port or (usual if redirected else port)):
            return False
        try:
            address = parse_address(host)
        except ValueError:
            address = None
        if rule.network is not None:
            same = address is not None and address in rule.network
        else:
            same = host.lower().rstrip(".") == rule.host
        if not same:
            return False
        local = address.is_loopback if address is not None else rule.host == "localhost"
        if url.scheme == "http" and not local and not self.allow_http:
            raise RefusedURLError(f"the headers for {self.host} in the settings are sent over https only")
        return True
