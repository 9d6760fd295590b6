"""Which IP addresses belong to the public Internet, forms that hide an IPv4 address in an IPv6 one included."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

# IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) and what clouds serve their metadata from. Spelled
# out here because `ipaddress.is_global` answers differently from one Python release to the next.
_IPV4: Final = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "an address of this network"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a shared (carrier-grade NAT) address"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud metadata address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a protocol assignment address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a 6to4 relay address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)
_IPV6: Final = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "the unspecified address"),
        ("::1/128", "a loopback address"),
        ("::/96", "an IPv4-compatible address"),
        ("::ffff:0:0:0/96", "an IPv4-translated address"),
        ("64:ff9b:1::/48", "a local NAT64 address"),
        ("100::/64", "a discard address"),
        ("2001::/32", "a Teredo address"),
        ("2001:2::/48", "a benchmarking address"),
        ("2001::/23", "a protocol assignment address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "a documentation address"),
        ("5f00::/16", "a segment routing address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)


def parse_address(text: str) -> Address:
    """The address that a text names; an IPv4 address mapped into IPv6 (RFC 4291) becomes the IPv4 address it is.

    Raises:
        ValueError: The text is no address in its usual form. `127.1`, `0x7f.1` and `2130706433` are none.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def kind_of(address: str | Address) -> str | None:
    """Return what an address that is not public is, as in "a loopback address"; None for a public one.

    A NAT64 address (64:ff9b::/96, RFC 6052) is as public as the IPv4 address in it: it is how a network without IPv4
    reaches one. 6to4, Teredo and ISATAP addresses are never public.

    Raises:
        ValueError: The text is no IP address.
    """
    parsed = parse_address(str(address))
    if isinstance(parsed, IPv4Address):
        return next((kind for network, kind in _IPV4 if parsed in network), None)
    if parsed in _NAT64:
        inner = kind_of(IPv4Address(int(parsed) & 0xFFFF_FFFF))
        return f"the NAT64 form of {inner}" if inner else None
    known = next((kind for network, kind in _IPV6 if parsed in network), None)
    if known is not None:
        return known
    if parsed not in _GLOBAL_UNICAST:
        return "a reserved address"
    if parsed.scope_id is not None:
        return "an address with a zone"
    if int(parsed) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return "an ISATAP address"
    return None


def is_public(address: str | Address) -> bool:
    """Return whether an address is one of the public Internet; raises as `kind_of` does."""
    return kind_of(address) is None
