"""Which addresses are public, what a rule covers, and what importing the guard loads."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.net import (
    AddressRule,
    Guard,
    is_public,
    kind_of,
)
from mcp_host.net.addresses import parse_address

# Addresses


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1"),
        *("192.0.1.1", "198.17.255.255", "198.20.0.1", "223.255.255.255", "11.0.0.0", "169.253.0.1"),
        *("2606:4700::1111", "2a00:1450:4001:82b::200e", "2001:4860:4860::8888", "2400:cb00::1"),
        *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b::101:101"),
    ],
)
def test_a_public_address_is_public(address: str) -> None:
    assert kind_of(address) is None
    assert is_public(address)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "this network"),
        ("0.1.2.3", "this network"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "shared"),
        ("100.100.100.200", "shared"),
        ("169.254.169.254", "link-local"),
        ("168.63.129.16", "cloud metadata"),
        ("192.0.0.1", "protocol assignment"),
        ("192.0.0.192", "protocol assignment"),
        ("192.0.2.1", "documentation"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("192.88.99.1", "6to4 relay"),
        ("198.18.0.1", "benchmarking"),
        ("198.19.255.255", "benchmarking"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::8.8.8.8", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "link-local"),
        ("::ffff:0:127.0.0.1", "IPv4-translated"),
        ("64:ff9b::127.0.0.1", "NAT64 form of a loopback"),
        ("64:ff9b::a9fe:a9fe", "NAT64 form of a link-local"),
        ("64:ff9b::10.1.2.3", "NAT64 form of a private"),
        ("64:ff9b:1::1", "local NAT64"),
        ("64:ff9b:1:ffff::8.8.8.8", "local NAT64"),
        ("64:ff9b:0:1::1", "reserved"),
        ("100::1", "discard"),
        ("100:0:0:1::1", "reserved"),
        ("2001::1", "Teredo"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "benchmarking"),
        ("2001:10::1", "protocol assignment"),
        ("2001:20::1", "protocol assignment"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("2002:7f00:1::", "6to4"),
        ("2002:808:808::1", "6to4"),
        ("5f00::1", "segment routing"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("febf::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("4000::1", "reserved"),
        ("1::1", "reserved"),
        ("2606:4700::1111%eth0", "zone"),
        ("2606:4700::5efe:127.0.0.1", "ISATAP"),
        ("2606:4700::200:5efe:808:808", "ISATAP"),
    ],
)
def test_an_address_that_is_not_public_says_what_it_is(address: str, kind: str) -> None:
    found = kind_of(address)
    assert found is not None
    assert kind in found
    assert not is_public(address)


@pytest.mark.parametrize("word", ["127.1", "0177.0.0.1", "2130706433", "0x7f000001", "example.com", "", "1.2.3.4 "])
def test_an_address_is_read_only_in_its_usual_form(word: str) -> None:
    with pytest.raises(ValueError, match="IPv4 or IPv6"):
        kind_of(word)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_address_keeps_its_kind(address: IPv4Address) -> None:
    kind = kind_of(address)
    assert kind_of(f"::ffff:{address}") == kind
    assert (kind_of(f"64:ff9b::{address}") is None) is (kind is None)
    for form in (f"::{address}", f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1", f"64:ff9b:1::{address}"):
        assert kind_of(form) is not None


@given(st.ip_addresses())
def test_an_address_that_python_calls_not_global_is_not_public(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global and (isinstance(address, IPv4Address) or address.ipv4_mapped is None):
        assert kind_of(address) is not None


# Rules


@pytest.mark.parametrize(
    ("rule", "host", "address", "port", "covered"),
    [
        ("127.0.0.1", "localhost", "127.0.0.1", 80, True),
        ("127.0.0.1", "localhost", "127.0.0.2", 80, False),
        ("127.0.0.1:8000", "x", "127.0.0.1", 8000, True),
        ("127.0.0.1:8000", "x", "127.0.0.1", 8001, False),
        ("10.0.0.0/8", "x", "10.255.0.1", 1, True),
        ("10.0.0.0/8:443", "x", "10.255.0.1", 443, True),
        ("10.0.0.0/8:443", "x", "10.255.0.1", 80, False),
        ("10.0.0.0/8", "x", "::ffff:10.0.0.1", 80, True),
        ("::1", "x", "::1", 80, True),
        ("[::1]:8000", "x", "::1", 8000, True),
        ("[::1]:8000", "x", "::1", 80, False),
        ("fd00::/8", "x", "fd12::1", 80, True),
        ("::ffff:10.0.0.0/104", "x", "10.1.2.3", 80, True),
        ("[::ffff:127.0.0.1]:80", "x", "127.0.0.1", 80, True),
        ("::ffff:0:0/96", "x", "8.8.8.8", 80, True),
        ("[::1]", "x", "::1", 8000, True),
        ("wiki.corp:1", "wiki.corp", "10.0.0.1", 1, True),
        ("wiki.corp:65535", "wiki.corp", "10.0.0.1", 65535, True),
        ("wiki.corp", "wiki.corp", "10.0.0.1", 80, True),
        ("WIKI.corp.", "wiki.CORP", "10.0.0.1", 80, True),
        ("wiki.corp", "wiki.corp.", "10.0.0.1", 80, True),
        ("wiki.corp", "evil.wiki.corp", "10.0.0.1", 80, False),
        ("wiki.corp:8443", "wiki.corp", "10.0.0.1", 443, False),
        (" wiki.corp ", "wiki.corp", "10.0.0.1", 443, True),
    ],
)
def test_a_rule_covers_what_it_says(rule: str, host: str, address: str, port: int, covered: bool) -> None:
    assert AddressRule.parse(rule).covers(host, parse_address(address), port) is covered


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("10.0.0.1/8", "write '10.0.0.0/8'"),
        ("10.0.0.0/33", "is not a network"),
        ("http://localhost", "is not a network: write an address"),
        ("local host", "neither an address nor a host"),
        ("", "neither an address nor a host"),
        ("-x.org", "neither an address nor a host"),
        ("*.corp", "neither an address nor a host"),
        ("127.1", "neither an address nor a host"),
        ("2130706433", "neither an address nor a host"),
        ("0x7f000001", "neither an address nor a host"),
        ("localhost:0", "ports are 1 to 65535"),
        ("localhost:65536", "ports are 1 to 65535"),
        ("[::1", "neither an address nor a host"),
        ("münchen.de", "neither an address nor a host"),
    ],
)
def test_the_error_for_a_bad_rule_lists_the_valid_forms(rule: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AddressRule.parse(rule)
    with pytest.raises(ValueError, match=why):
        Guard(allow=[rule])


# Imports


def test_nothing_is_imported_before_a_client_is_made() -> None:
    code = """
import sys
import mcp_host
print("mcp_host.net" in sys.modules)
import mcp_host.net
print(sorted({"mcp", "mcp_types", "httpx2", "httpcore2"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False", "[]"]
