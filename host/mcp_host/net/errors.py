"""The guard's errors: why an address, a URL or a response was refused."""

from __future__ import annotations

from mcp_host.errors import HostError
from mcp_host.net.rules import AddressRule


class GuardError(HostError):
    """The guard refused or stopped an exchange. The network's own errors stay `httpx2.HTTPError`."""


class BlockedAddressError(GuardError):
    """A host is, or resolves to, an address that may not be reached.

    `host` and `port` are the URL's. `kind` is why the address is refused ("a loopback address"). `address` is the
    address itself. The message contains the address only if the URL did, so that a caller does not learn what an
    internal name resolves to.
    """

    def __init__(self, host: str, port: int, address: str, kind: str) -> None:
        named = _is_name(host)
        subject = host if named else address.partition("%")[0]
        rule = f"[{subject}]:{port}" if ":" in subject else f"{subject}:{port}"
        verb = "resolves to" if named else "is"
        super().__init__(f"{host} {verb} {kind}, which is not allowed", hint=f'to allow it, add "{rule}" to `allow`')
        self.host = host
        self.port = port
        self.address = address
        self.kind = kind


class RefusedURLError(GuardError):
    """A URL is refused: its scheme is not http or https, it contains a user name, or it has no host."""


class ResponseTooLargeError(GuardError):
    """A response is too large. `limit` is in bytes, for the body as sent and for the decoded body."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than the limit of {limit:,} bytes")
        self.limit = limit


class ExchangeTimeoutError(GuardError):
    """An exchange took too long, with its redirects and its body. `limit` is in seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__(f"the response was not complete within {limit:g} s")
        self.limit = limit


def _is_name(host: str) -> bool:
    """Return whether a host is a name and not an address in any form."""
    try:
        return AddressRule.parse(host).host is not None
    except ValueError:
        return False
