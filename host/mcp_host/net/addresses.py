"""Decides which IP addresses belong to the public Internet, including IPv6 forms that contain an IPv4 address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

# The IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), and the addresses where clouds serve metadata.
# They are listed here because `ipaddress.is_global` gives different answers in different Python releases.
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
    """Return the address that a text names. An IPv4-mapped IPv6 address (RFC 4291) is returned as an IPv4 address.

    Raises:
        ValueError: The text is not an address in its usual form. `127.1`, `0x7f.1` and `2130706433` are refused.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def kind_of(address: str | Address) -> str | None:
    """Return why an address is not public, for example "a loopback address", or None for a public address.

    A NAT64 address (64:ff9b::/96, RFC 6052) is public if the IPv4 address in it is public: a network without IPv4
    uses it to reach that address. 6to4, Teredo and ISATAP addresses are never public.

    Raises:
        ValueError: The text is not an IP address.
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
    """Return whether an address belongs to the public Internet. Raises the errors of `kind_of`."""
    return kind_of(address) is None
