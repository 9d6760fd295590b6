"""One guarded HTTP client for everything that fetches a URL somebody else chose (SSRF protection).

`addresses` which addresses are public · `rules` what a user allows or denies · `guard` resolves a name and checks every
address · `dialing` connects to the checked address and nowhere else · `exchange`, `transport` bound size, time and what
redirects may carry · `client` puts them together. Nothing here is imported by `import mcp_host`, and httpx2 only when a
client is made. The libraries for this do not fit httpx2: httpx-secure pins an old httpx, microsoft-antissrf is for
requests.
"""

from mcp_host.net.addresses import is_public, kind_of
from mcp_host.net.client import guarded_client
from mcp_host.net.errors import (
    BlockedAddressError,
    ExchangeTimeoutError,
    GuardError,
    RefusedURLError,
    ResponseTooLargeError,
)
from mcp_host.net.guard import Guard, Resolver, system_resolver
from mcp_host.net.rules import Rule

__all__ = [
    "BlockedAddressError",
    "ExchangeTimeoutError",
    "Guard",
    "GuardError",
    "RefusedURLError",
    "Resolver",
    "ResponseTooLargeError",
    "Rule",
    "guarded_client",
    "is_public",
    "kind_of",
    "system_resolver",
]
