"""An HTTP client for URLs that somebody else chose, protected against SSRF.

`addresses` knows which addresses are public · `rules` reads what a user allows or denies · `guard` resolves a name and
checks every address · `dialing` connects to the checked address only · `proxies` and `routes` know which proxy a URL is
asked from · `credentials` has the headers that are for one host · `exchange` and `transport` limit size, time and the
headers that follow a redirect · `unpacking` decodes bodies · `client` puts them together. `import mcp_host` imports
nothing from here. httpx2 is imported only when a client is made. The libraries for this do not fit httpx2: httpx-secure
pins an old httpx, and microsoft-antissrf is for requests.
"""

from mcp_host.net.addresses import is_public, kind_of
from mcp_host.net.client import guarded_client
from mcp_host.net.credentials import HostHeaders
from mcp_host.net.errors import (
    BlockedAddressError,
    ExchangeTimeoutError,
    GuardError,
    RefusedURLError,
    ResponseTooLargeError,
)
from mcp_host.net.guard import Guard, Resolver, system_resolver
from mcp_host.net.proxies import Proxies, Proxy
from mcp_host.net.rules import AddressRule

__all__ = [
    "AddressRule",
    "BlockedAddressError",
    "ExchangeTimeoutError",
    "Guard",
    "GuardError",
    "HostHeaders",
    "Proxies",
    "Proxy",
    "RefusedURLError",
    "Resolver",
    "ResponseTooLargeError",
    "guarded_client",
    "is_public",
    "kind_of",
    "system_resolver",
]
