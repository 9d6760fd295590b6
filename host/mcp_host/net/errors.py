"""What the guard raises: why an address, a URL or a response was refused."""

from __future__ import annotations

from mcp_host.errors import HostError
from mcp_host.net.rules import Rule


class GuardError(HostError):
    """The guard refused or stopped an exchange. Errors of the network itself stay `httpx2.HTTPError`."""


class BlockedAddressError(GuardError):
    """A host is, or resolves to, an address that may not be reached.

    `host` and `port` are as the URL names them, `kind` says what is wrong ("a loopback address"), and `address` is the
    address itself. The text leaves the address out when a name was given, so that a caller does not learn what an
    internal name resolves to.
    """

    def __init__(self, host: str, port: int, address: str, kind: str) -> None:
        named = _is_name(host)
        subject = host if named else address.partition("%")[0]
        rule = f"[{subject}]:{port}" if ":" in subject else f"{subject}:{port}"
        verb = "resolves to" if named else "is"
        super().__init__(f"{host} {verb} {kind}, which is out of reach here", hint=f'if that is meant, allow "{rule}"')
        self.host = host
        self.port = port
        self.address = address
        self.kind = kind


class RefusedURLError(GuardError):
    """A URL is not one that is fetched: another scheme than http and https, a user name in it, or no host."""


class ResponseTooLargeError(GuardError):
    """A response is larger than may be read. `limit` is in bytes, of the body as sent and as decoded."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than {limit:,} bytes, the most that is read")
        self.limit = limit


class ExchangeTimeoutError(GuardError):
    """An exchange, redirects and body included, took longer than it may. `limit` is in seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__(f"the response was not complete within {limit:g} s")
        self.limit = limit


def _is_name(host: str) -> bool:
    """Whether a host is a name, and no address in one of its many forms."""
    try:
        return Rule.parse(host).host is not None
    except ValueError:
        return False
