"""What the host is to an authorization server: which addresses it may reach, how it authenticates, and the errors."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx2

from mcp_host.config.oauthsection import OAuthSection
from mcp_host.config.values import is_safe_to_fetch
from mcp_host.errors import HostError, shortened
from mcp_host.net import AddressRule, BlockedAddressError, guarded_client
from mcp_host.system.texts import one_line
from mcp_host.upstream.failures import UnreachableError
from mcp_host.upstream.tokenstore import KeptTokens

_TIMEOUT: Final = 30.0
_LARGEST: Final = 2**20
_NOT_NOW: Final = (408, 425, 429)


@dataclass(frozen=True)
class Login:
    """What the table of one plugin says about its login. `secret` is the client's, with its reference resolved.

    `more_scopes` are asked for besides those of the table, or besides those that the server names.
    """

    plugin: str
    url: str
    section: OAuthSection
    secret: str | None = field(default=None, repr=False)
    more_scopes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        return f"mcp-host login {self.plugin}"

    def scope(self, named: str | None = None) -> str | None:
        """Return the scopes to ask for, where the server names some itself."""
        own = self.section.scopes or (named or "").split()
        return " ".join(dict.fromkeys([*own, *self.more_scopes])) or None

    def client(self) -> httpx2.AsyncClient:
        """Return a client for the requests of a login. Its answers are small."""
        return guarded_client(allow=self.allowed, timeout=_TIMEOUT, max_bytes=_LARGEST)

    @property
    def allowed(self) -> list[str]:
        """The hosts and ports that the table names. Only these may have private addresses."""
        return allowed_addresses(self.url, *filter(None, [self.section.issuer]))

    def check(self, url: str) -> None:
        """Refuse a URL of the authorization server that would send secrets over a network unprotected.

        Raises:
            HostError: It is neither https, nor on this machine, nor at an address that the table names.
        """
        if not is_safe_to_fetch(url) and not set(allowed_addresses(url)) & set(self.allowed):
            raise HostError(f"the authorization server uses {one_line(url)[:200]}, which is not https")

    def blocked(self, error: BlockedAddressError) -> HostError:
        """Return the error about a private address that the server led to."""
        what = f"the server names a private address: {error.what}"
        return HostError(what, hint='if it is meant to, write its issuer: auth = { issuer = "https://..." }')


def allowed_addresses(*urls: str) -> list[str]:
    """Return the rules that allow exactly the hosts and ports of these URLs."""
    rules = []
    for text in urls:
        url = httpx2.URL(text)
        host = url.raw_host.decode()
        port = url.port or (443 if url.scheme == "https" else 80)
        rule = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            AddressRule.parse(rule)
        except ValueError:
            continue
        rules.append(rule)
    return rules


def authenticated(
    data: Mapping[str, str], *, client_id: str, secret: str | None, method: str | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form and the headers of a request by a client (RFC 6749, section 2.3.1)."""
    form = {**data, "client_id": client_id}
    if secret is None or method == "none":
        return form, {}
    if method == "client_secret_post":
        return {**form, "client_secret": secret}, {}
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return form, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def refusal_in(response: httpx2.Response) -> str:
    """Return the error that an authorization server answered, on one line (RFC 6749, section 5.2)."""
    found = json_object(response)
    code, description = found.get("error"), found.get("error_description")
    if not isinstance(code, str):
        return f"it answered {response.status_code}"
    return shown_error(code, description if isinstance(description, str) else None)


def shown_error(code: str, description: str | None) -> str:
    """Return an error of an authorization server, safe to show."""
    return shortened(one_line(f"{code[:100]} ({description[:300]})" if description else code[:100]))


def error_code_in(response: httpx2.Response) -> str:
    """Return the code of the error in an answer, or an empty text."""
    return str(json_object(response).get("error", ""))


def json_object(response: httpx2.Response) -> dict[str, Any]:
    """Return the JSON object in an answer, or an empty one."""
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def renew_at(expires_in: int | None) -> float | None:
    """Return when a token that was just given is to be renewed: shortly before it expires."""
    return None if expires_in is None else time.time() + expires_in - min(30.0, expires_in / 10)


async def refreshed(login: Login, kept: KeptTokens) -> KeptTokens | str:
    """Renew tokens with the refresh token (RFC 6749, section 6). Return them, or why that is refused.

    Raises:
        UnreachableError: The authorization server cannot be reached, or fails. It may come back.
        HostError: It may not be reached.
    """
    assert kept.refresh_token is not None
    data = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token}
    response = await _post(login, kept.token_endpoint, kept, {**data, **_resource(kept)})
    if response.status_code >= 500 or response.status_code in _NOT_NOW:
        raise UnreachableError(f"its token cannot be renewed now: {refusal_in(response)}")
    given = json_object(response)
    token = given.get("access_token")
    if response.status_code not in (200, 201) or not isinstance(token, str) or not token:
        return refusal_in(response)
    expires_in, refresh_token, scope = given.get("expires_in"), given.get("refresh_token"), given.get("scope")
    changes: dict[str, Any] = {
        "access_token": token,
        "renew_at": renew_at(expires_in if isinstance(expires_in, int) else None),
        "refresh_token": refresh_token if isinstance(refresh_token, str) and refresh_token else kept.refresh_token,
        "scope": scope if isinstance(scope, str) else kept.scope,
    }
    return kept.model_copy(update=changes)


async def revoked(login: Login, kept: KeptTokens) -> bool:
    """Revoke tokens at their authorization server (RFC 7009). Return False if it has no endpoint for that.

    Raises:
        HostError: It cannot be reached, or it refuses.
    """
    if kept.revocation_endpoint is None:
        return False
    for kind in ("refresh_token", "access_token"):
        token = getattr(kept, kind)
        if token is None:
            continue
        response = await _post(login, kept.revocation_endpoint, kept, {"token": token, "token_type_hint": kind})
        if not response.is_success and error_code_in(response) != "unsupported_token_type":
            raise HostError(refusal_in(response))
    return True


def _resource(kept: KeptTokens) -> dict[str, str]:
    return {"resource": kept.resource} if kept.resource else {}


async def _post(login: Login, url: str, kept: KeptTokens, data: Mapping[str, str]) -> httpx2.Response:
    login.check(url)
    form, headers = authenticated(
        data, client_id=kept.client_id, secret=login.secret or kept.client_secret, method=kept.auth_method
    )
    try:
        async with login.client() as client:
            return await client.post(url, data=form, headers=headers, follow_redirects=False)
    except BlockedAddressError as error:
        raise login.blocked(error) from None
    except httpx2.TransportError as error:
        raise unreachable(url, error) from None


def unreachable(url: str, error: httpx2.TransportError) -> UnreachableError:
    """Return the error about an authorization server that did not answer."""
    host = httpx2.URL(url).host
    return UnreachableError(f"the authorization server {host} cannot be reached: {str(error) or type(error).__name__}")
