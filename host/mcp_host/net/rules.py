"""Rules that allow or deny an address, a network or a host, each with or without a port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from mcp_host.net.addresses import Address

_LABEL: Final = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_NUMERIC: Final = re.compile(r"(?:0x[0-9a-f]*|\d+)\.?")
_FORMS: Final = (
    'write an address ("10.1.2.3"), a network ("10.0.0.0/8") or a host ("wiki.corp"), each with or without ":PORT"'
)


@dataclass(frozen=True)
class AddressRule:
    """One entry of `allow` or `deny`. A host covers every address it resolves to. Without a port, all ports match."""

    network: IPv4Network | IPv6Network | None = None
    host: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> AddressRule:
        """Read an entry: `10.1.2.3`, `10.0.0.0/8:443`, `::1`, `[::1]:8000`, `wiki.corp`, `localhost:8000`.

        Raises:
            ValueError: The text has another form. The error's text lists the valid forms.
        """
        subject, port = _split(text.strip().lower())
        try:
            return cls(network=_plain(ip_network(subject)), port=port)
        except ValueError:
            pass
        if "/" in subject:
            raise ValueError(f"{text!r} is not a network: {_meant(subject) or _FORMS}")
        if not _HOST.fullmatch(subject) or _NUMERIC.fullmatch(subject.rpartition(".")[2]):
            raise ValueError(f"{text!r} is neither an address nor a host: {_FORMS}")
        return cls(host=subject.rstrip("."), port=port)

    def covers(self, host: str, address: Address, port: int) -> bool:
        """Return whether the rule applies to this port of this address, reached by this name."""
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address in self.network
        return self.names(host, port)

    def names(self, host: str, port: int) -> bool:
        """Return whether the rule is about this host by its name, whatever its addresses are."""
        return host.lower().rstrip(".") == self.host and self.port in (None, port)


def _split(text: str) -> tuple[str, int | None]:
    """Split off the port after the last colon. The colons of an IPv6 address without brackets are not a port's."""
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?", text)
    plain = re.fullmatch(r"([^:]+):(\d{1,5})", text)
    found = bracketed or plain
    if found is None:
        return text, None
    port = int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{text!r} names port {port}: ports are 1 to 65535")
    return found[1], port


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return a network of IPv4-mapped IPv6 addresses as an IPv4 network: addresses are compared in that form."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return IPv4Network((mapped, network.prefixlen - 96))


def _meant(subject: str) -> str:
    try:
        return f"it has bits set outside the mask: write {str(ip_network(subject, strict=False))!r}"
    except ValueError:
        return ""
