"""Gets tokens for a remote server: discovery, registration and the grant, with the SDK's provider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthRegistrationError, OAuthTokenError
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    create_client_registration_request,
    extract_resource_metadata_from_www_auth,
    issuers_match,
)
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
)
from mcp.types import LATEST_PROTOCOL_VERSION
from pydantic import AnyUrl

from mcp_host._version import __version__
from mcp_host.config.oauthsection import OAuthSection
from mcp_host.errors import HostError, shortened
from mcp_host.net import BlockedAddressError, Guard
from mcp_host.system.texts import one_line
from mcp_host.upstream.failures import UnreachableError
from mcp_host.upstream.oauthclient import (
    Login,
    authenticated,
    error_code_in,
    json_object,
    refusal_in,
    renew_at,
    unreachable,
)
from mcp_host.upstream.tokenstore import KeptTokens

logger = logging.getLogger(__name__)

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

_in_flow: ContextVar[bool] = ContextVar("in_flow", default=False)
"""Whether the code runs in a login of the host. A plugin may use the SDK's provider, too."""

_NO_REDIRECT: Final = "http://127.0.0.1/callback"
"""Registered where no browser will return to."""

_PROBE: Final = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
"""Any server that requires a token answers this with 401, whatever else it thinks of it."""


_PROBE_HEADERS: Final = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": LATEST_PROTOCOL_VERSION,
}


@dataclass(frozen=True)
class DeviceCode:
    """What a person needs to log in on another device (RFC 8628). Times are in seconds."""

    user_code: str
    url: str
    complete_url: str | None
    expires_in: float


class Person(Protocol):
    """Somebody who can log in."""

    @property
    def redirect_uri(self) -> str:
        """The URL that a browser of this machine returns to."""
        ...

    def wants_device_code(self, *, offered: bool) -> bool:
        """Whether to log in on another device."""
        ...

    async def visit(self, url: str) -> None:
        """Show the page of the authorization server."""
        ...

    async def answer(self) -> AuthorizationCodeResult:
        """Return what the browser came back with."""
        ...

    async def enter(self, code: DeviceCode) -> None:
        """Show the code to enter on another device."""
        ...


async def new_tokens(login: Login, person: Person | None) -> KeptTokens:
    """Get new tokens: from a person, or without one for `client_credentials`.

    Raises:
        UnreachableError: A server cannot be reached, or fails. It may come back.
        HostError: The login is not possible, or refused.
    """
    flow = _Flow(login, person)
    try:
        with _quiet():
            return await flow.run()
    except BlockedAddressError as error:
        raise login.blocked(error) from None
    except (OAuthFlowError, OAuthTokenError, OAuthRegistrationError) as error:
        raise HostError(shortened(one_line(str(error).partition("\n")[0]))) from None


async def wants_login(url: str) -> bool:
    """Return whether a server refuses a request without a token, and says where tokens are given (RFC 9728).

    A server that cannot be reached wants no login, as far as is known.
    """
    login = Login("", url, OAuthSection())
    try:
        async with login.client() as client:
            response = await client.post(url, json=_PROBE, headers=_PROBE_HEADERS)
            if response.status_code != 401:
                return False
            named = extract_resource_metadata_from_www_auth(response)
            for place in build_protected_resource_metadata_discovery_urls(named, url):
                found = json_object(await client.get(place))
                if found.get("authorization_servers"):
                    return True
            for place in build_oauth_authorization_server_metadata_discovery_urls(None, url):
                if "token_endpoint" in json_object(await client.get(place)):
                    return True
    except (httpx2.HTTPError, httpx2.InvalidURL, HostError):
        logger.debug("%s cannot be asked whether it wants a login", url, exc_info=True)
    return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the SDK from logging each error with a traceback: it is raised, too."""
    log = logging.getLogger("mcp.client.auth.oauth2")

    def is_of_others(record: logging.LogRecord) -> bool:
        return not _in_flow.get()

    log.addFilter(is_of_others)
    token = _in_flow.set(True)
    try:
        yield
    finally:
        _in_flow.reset(token)
        log.removeFilter(is_of_others)


class _Memory:
    """The storage that the SDK asks for. What is kept longer is in a `TokenStore`."""

    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Do nothing: they are taken from the provider."""

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Do nothing: it is taken from the provider."""


class _Provider(OAuthClientProvider):
    """The SDK's provider, with the client, the scopes and the issuer of the table, and with two more grants."""

    def __init__(
        self,
        login: Login,
        person: Person | None,
        visit: Callable[[str], Awaitable[None]],
        before: Callable[[], Awaitable[None]],
    ) -> None:
        section = login.section
        redirect_uri = person.redirect_uri if person is not None else _NO_REDIRECT
        metadata = OAuthClientMetadata(
            redirect_uris=[AnyUrl(redirect_uri)],
            client_name="mcp-host",
            software_id="mcp-host",
            software_version=__version__,
            scope=login.scope(),
            grant_types=[section.grant]
            if section.grant == "client_credentials"
            else ["authorization_code", "refresh_token"],
        )
        super().__init__(
            login.url,
            metadata,
            _Memory(),
            redirect_handler=visit,
            callback_handler=person.answer if person is not None else None,
            client_metadata_url=section.client_metadata_url,
        )
        self._login = login
        self._before = before
        self.device: dict[str, Any] | None = None
        """What the authorization server answered to the request for a device code."""

    async def _initialize(self) -> None:
        await super()._initialize()
        if self._login.section.client_id is not None:
            self.context.client_info = OAuthClientInformationFull(
                client_id=self._login.section.client_id,
                client_secret=self._login.secret,
                redirect_uris=self.context.client_metadata.redirect_uris,
            )

    def _select_authorization_server(self, advertised: list[str]) -> str:
        wanted = self._login.section.issuer
        if wanted is None:
            return advertised[0]
        found = next((each for each in advertised if issuers_match(each, wanted)), None)
        if found is None:
            raise OAuthFlowError(f"the server does not name the issuer {wanted}; it names {', '.join(advertised)}")
        return found

    async def _perform_authorization(self) -> httpx2.Request:
        metadata, client = self.metadata, self.context.client_info
        assert client is not None
        if client.client_secret is not None and client.token_endpoint_auth_method is None:
            known = metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
            post = "client_secret_post" in known and "client_secret_basic" not in known
            client.token_endpoint_auth_method = "client_secret_post" if post else "client_secret_basic"
        self.context.client_metadata.scope = self._login.scope(self.context.client_metadata.scope)
        await self._before()
        if self.device is not None:
            return self.token_request({"grant_type": DEVICE_GRANT, "device_code": str(self.device["device_code"])})
        if self._login.section.grant == "client_credentials":
            return self.token_request({"grant_type": "client_credentials", **self.scope})
        return await super()._perform_authorization()

    @property
    def metadata(self) -> OAuthMetadata:
        """What is known of the authorization server.

        Raises:
            OAuthFlowError: Nothing is known, or it is not the one of the table.
        """
        metadata, wanted = self.context.oauth_metadata, self._login.section.issuer
        if metadata is None:
            raise OAuthFlowError(f"{self._login.url} names no authorization server: it has no OAuth metadata")
        if wanted is not None and not issuers_match(str(metadata.issuer), wanted):
            raise OAuthFlowError(f"the server does not name the issuer {wanted}; it names {metadata.issuer}")
        return metadata

    @property
    def scope(self) -> dict[str, str]:
        """The scopes to ask for, as a parameter."""
        scope = self._login.scope(self.context.client_metadata.scope)
        return {"scope": scope} if scope else {}

    def token_request(self, data: dict[str, str]) -> httpx2.Request:
        """Return a request to the token endpoint."""
        return self.form(self._get_token_endpoint(), data)

    def form(self, url: str, data: dict[str, str]) -> httpx2.Request:
        """Return a request of this client with a form."""
        client = self.context.client_info
        assert client is not None
        form, headers = authenticated(
            {**data, "resource": self.context.get_resource_url()},
            client_id=client.client_id,
            secret=client.client_secret,
            method=client.token_endpoint_auth_method,
        )
        return httpx2.Request("POST", url, data=form, headers=headers)

    def kept(self) -> KeptTokens:
        """Return what was got, to be kept."""
        tokens, client, metadata = self.context.current_tokens, self.context.client_info, self.metadata
        assert tokens is not None
        assert client is not None
        revocation = metadata.revocation_endpoint
        return KeptTokens(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            renew_at=renew_at(tokens.expires_in),
            scope=tokens.scope,
            client_id=client.client_id,
            client_secret=None if self._login.section.client_id is not None else client.client_secret,
            auth_method=client.token_endpoint_auth_method,
            issuer=str(metadata.issuer),
            token_endpoint=self._get_token_endpoint(),
            revocation_endpoint=str(revocation) if revocation is not None else None,
            resource=self.context.get_resource_url(),
        )


class _Flow:
    """Sends the requests of the SDK's flow one by one, through the guarded client, and looks at each answer."""

    def __init__(self, login: Login, person: Person | None) -> None:
        self._login = login
        self._person = person
        self._provider = _Provider(login, person, self._visit, self._prepare)
        self._metadata: dict[str, Any] = {}
        """The last document that was discovered, with what the SDK's model leaves out."""

    async def run(self) -> KeptTokens:
        probe = httpx2.Request("POST", self._login.url, json=_PROBE, headers=_PROBE_HEADERS)
        async with self._login.client() as self._client, aclosing(self._provider.async_auth_flow(probe)) as flow:
            request = await anext(flow)
            response = await self._send(request)
            if response.status_code != 401:
                # Some servers require a token only for some requests. Where to get one is at well-known places, too.
                response = httpx2.Response(401, request=request)
            while True:
                request = await flow.asend(response)
                if request is probe:
                    break
                response = await self._answer(request)
            if self._person is not None and (await self._send(probe)).status_code == 401:
                raise HostError("the server refuses the token that its authorization server gave")
        return self._provider.kept()

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer to a request of the flow.

        Raises:
            HostError: It is an error, or the request makes no sense.
        """
        self._login.check(str(request.url))
        if request.method == "GET":
            response = await self._send(request)
            if response.status_code == 200:
                self._metadata = json_object(response)
                endpoint = self._metadata.get("token_endpoint")
                if endpoint is not None and "authorization_endpoint" not in self._metadata:
                    # The SDK's model needs it, and a server whose grants do not use it need not have it (RFC 8414).
                    return httpx2.Response(
                        200, json={"authorization_endpoint": endpoint, **self._metadata}, request=request
                    )
            return response
        if self._provider.context.client_info is None:
            return await self._register()
        if self._provider.device is not None:
            return await self._poll(request)
        response = await self._send(request)
        if not response.is_success:
            raise HostError(f"the authorization server refused the login: {refusal_in(response)}")
        return response

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._client.send(request, follow_redirects=False)
        except httpx2.TransportError as error:
            if httpx2.URL(self._login.url).host == request.url.host:
                what = f"{self._login.url} cannot be reached: {str(error) or type(error).__name__}"
                raise UnreachableError(what) from None
            raise unreachable(str(request.url), error) from None

    async def _register(self) -> httpx2.Response:
        """Register the host as a client (RFC 7591), with what is known only now."""
        metadata, context = self._provider.metadata, self._provider.context
        if metadata.registration_endpoint is None:
            raise HostError(
                f"the authorization server {metadata.issuer} registers no clients by itself",
                hint='register one there, and write its id: auth = { client_id = "..." }',
            )
        wanted = context.client_metadata
        wanted.scope = self._login.scope(wanted.scope)
        if "none" in (metadata.token_endpoint_auth_methods_supported or ()):
            # Everybody can read what a program on a person's machine contains: it cannot keep a secret (RFC 8252).
            wanted.token_endpoint_auth_method = "none"
        if self._uses_device_code:
            wanted.grant_types = [DEVICE_GRANT, "refresh_token"]
        base = context.get_authorization_base_url(self._login.url)
        response = await self._send(create_client_registration_request(metadata, wanted, base))
        if not response.is_success:
            raise HostError(f"the authorization server does not register the host: {refusal_in(response)}")
        return response

    @property
    def _device_endpoint(self) -> str | None:
        found = self._metadata.get("device_authorization_endpoint")
        return found if isinstance(found, str) else None

    @property
    def _uses_device_code(self) -> bool:
        return self._person is not None and self._person.wants_device_code(offered=self._device_endpoint is not None)

    async def _visit(self, url: str) -> None:
        """Show the page, unless it is at a private address that the table does not name."""
        assert self._person is not None
        self._login.check(url)
        page = httpx2.URL(url)
        try:
            await Guard(allow=self._login.allowed).resolve(
                page.raw_host.decode(), page.port or (443 if page.scheme == "https" else 80)
            )
        except OSError:
            # The browser may reach it through a proxy.
            logger.debug("%s cannot be resolved here", page.host)
        await self._person.visit(url)

    async def _prepare(self) -> None:
        """Get a device code, if the person logs in on another device (RFC 8628, section 3.1)."""
        if not self._uses_device_code or self._person is None:
            return
        endpoint = self._device_endpoint
        if endpoint is None:
            raise HostError(
                f"the authorization server {self._provider.metadata.issuer} offers no login on another device",
                hint=f"{self._login.command}   (without --device)",
            )
        self._login.check(endpoint)
        response = await self._send(self._provider.form(endpoint, self._provider.scope))
        given = json_object(response)
        code, user_code, url = (given.get(key) for key in ("device_code", "user_code", "verification_uri"))
        if not response.is_success or not all(isinstance(text, str) and text for text in (code, user_code, url)):
            raise HostError(f"the authorization server gave no code for another device: {refusal_in(response)}")
        self._provider.device = given
        complete = given.get("verification_uri_complete")
        for page in filter(None, (url, complete)):
            if urlsplit(str(page)).scheme not in ("http", "https"):
                raise HostError("the authorization server names a page for the login that is no web page")
        await self._person.enter(
            DeviceCode(
                str(user_code), str(url), str(complete) if complete else None, _seconds(given, "expires_in", 600)
            )
        )

    async def _poll(self, request: httpx2.Request) -> httpx2.Response:
        """Ask for the tokens until the person has decided (RFC 8628, section 3.5)."""
        assert self._provider.device is not None
        wait = _seconds(self._provider.device, "interval", 5)
        while True:
            await asyncio.sleep(wait)
            response = await self._send(request)
            match error_code_in(response):
                case "authorization_pending":
                    continue
                case "slow_down":
                    wait += 5
                case _ if response.is_success:
                    return response
                case "expired_token":
                    raise HostError("nobody has entered the code in time", hint=self._login.command)
                case _:
                    raise HostError(f"the authorization server refused the login: {refusal_in(response)}")


def _seconds(given: dict[str, Any], key: str, default: float) -> float:
    found = given.get(key)
    return float(found) if isinstance(found, int | float) and 0 <= found < 86_400 else default
