"""The token of each request to a remote server: read from its store, renewed, and asked for again after a refusal."""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

import anyio
import httpx2
from filelock import AsyncFileLock
from mcp.client.auth.utils import extract_field_from_www_auth
from mcp.types import INTERNAL_ERROR, ErrorData, JSONRPCError

from mcp_host.config.secrets import Redactor
from mcp_host.errors import HostError
from mcp_host.upstream.authorizing import new_tokens
from mcp_host.upstream.child import ChildState
from mcp_host.upstream.failures import NotLoggedInError, UnreachableError
from mcp_host.upstream.oauthclient import Login, refreshed
from mcp_host.upstream.tokenstore import KeptTokens, TokenStore

_LOOK_AGAIN: Final = 1.0
"""Seconds between two looks whether somebody has logged in."""

_LAST: Final = 1.0
"""Seconds that a renewal gets to end when the host stops. The old refresh token may already be worth nothing."""


_MASKED: Final = 8
"""How many generations of tokens are masked. A log or an answer may still contain the ones before the last."""


_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
"""One scope (RFC 6749, section 3.3)."""


class Tokens:
    """The tokens of one plugin. The `redactor` gets each of them.

    Several hosts may share one store: before a renewal, a token that another host has got is taken.
    """

    def __init__(self, login: Login, store: TokenStore, log: logging.Logger, redactor: Redactor) -> None:
        self._login = login
        self._store = store
        self._log = log
        self._redactor = redactor
        self._masked: deque[frozenset[str]] = deque()
        self._held: KeptTokens | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._wanted_scopes: set[str] = set()
        self._not_given: set[str] = set()
        self._widening = asyncio.Lock()

    async def token(self, *, refused: str | None = None) -> str:
        """Return a token that has not expired, and is not the `refused` one.

        Raises:
            NotLoggedInError: Somebody has to log in.
            UnreachableError: It has to be renewed, and that is not possible now.
            HostError: It cannot be got.
        """
        held = self._held
        if held is None or held.is_stale or held.access_token == refused:
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._renew(refused), name="renewal of a token")
                self._renewing.add_done_callback(_looked_at)
            # A caller that leaves must not end it: the refresh token may be used once only.
            await asyncio.shield(self._renewing)
            held = self._held
        assert held is not None
        return held.access_token

    async def aclose(self) -> None:
        """Give a renewal a moment to end."""
        if self._renewing is not None and not self._renewing.done():
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._renewing], timeout=_LAST)
                self._renewing.cancel()

    def refused_again(self) -> HostError:
        """Return the error about a server that refuses a token that is new."""
        if self._login.section.grant == "client_credentials":
            return UnreachableError("the server refuses the token that its authorization server gave")
        return self._not_logged_in("the server refuses its token")

    async def wider(self, token: str, missing: str) -> str | None:
        """Return a token that allows more than this one, which lacks scopes, or None if there is none.

        It is one of a later login. With `client_credentials`, it is asked for.
        """
        async with self._widening:
            held = self._held
            if held is not None and held.access_token != token:
                return held.access_token
            try:
                if self._login.section.grant == "client_credentials":
                    found = await self._with_scopes(held.scope if held is not None else None, missing)
                else:
                    found = await self._kept()
            except HostError as error:
                self._log.warning("it gets no token with the scopes %r: %s", missing, error.what)
                return None
            if found is None or found.is_stale or found.access_token == token:
                return None
            self._hold(found)
            return found.access_token

    async def _with_scopes(self, had: str | None, missing: str) -> KeptTokens | None:
        """Get a token with more scopes. What was not given once is not asked for again."""
        if missing in self._not_given:
            return None
        self._not_given.add(missing)
        more = dict.fromkeys([*(had or "").split(), *self._login.more_scopes, *missing.split()])
        wider = replace(self._login, more_scopes=tuple(more))
        found = await new_tokens(wider, None)
        # From here on, a renewal asks for them, too.
        self._login = wider
        return found

    def scope_is_missing(self, scope: str) -> str:
        """Return what to do about a token that does not allow what was asked for. It is logged once."""
        names = ", ".join(scope.split())
        what = f"its token does not allow this request, which needs {f'the scopes {names}' if names else 'more scopes'}"
        if self._login.section.grant == "client_credentials":
            what += "; its authorization server gives no token with them"
        elif names:
            what += f": {self._login.command} {' '.join(f'--scope {shlex.quote(each)}' for each in scope.split())}"
        else:
            what += f": {self._login.command} --scope ..."
        if scope not in self._wanted_scopes:
            self._wanted_scopes.add(scope)
            self._log.warning("%s", what)
        return f"{self._login.plugin}: {what}"

    async def _renew(self, refused: str | None) -> None:
        if self._login.section.grant == "client_credentials":
            self._hold(await new_tokens(self._login, None))
            return
        await anyio.to_thread.run_sync(lambda: self._store.file.parent.mkdir(parents=True, exist_ok=True))
        async with AsyncFileLock(self._store.lock):
            kept = await self._kept()
            if kept is None:
                raise self._not_logged_in("nobody is logged in")
            if kept.is_stale or kept.access_token == refused:
                if kept.refresh_token is None:
                    raise self._not_logged_in("the login has expired")
                renewed = await refreshed(self._login, kept)
                if isinstance(renewed, str):
                    raise self._not_logged_in(f"the login has ended: {renewed}")
                kept = renewed
                self._mask(kept)
                try:
                    await anyio.to_thread.run_sync(self._store.save, kept)
                except HostError as error:
                    self._log.warning("%s; the login ends with this host", error.what)
            self._hold(kept)

    async def _kept(self) -> KeptTokens | None:
        try:
            return await anyio.to_thread.run_sync(self._store.load)
        except HostError as error:
            raise self._not_logged_in(error.what, error.hint) from None

    def _hold(self, tokens: KeptTokens) -> None:
        self._mask(tokens)
        self._held = tokens

    def _mask(self, tokens: KeptTokens) -> None:
        """Mask tokens, and stop to mask those of long ago."""
        if tokens.secrets in self._masked:
            return
        self._redactor.add(*tokens.secrets)
        self._masked.append(tokens.secrets)
        if len(self._masked) > _MASKED:
            self._redactor.forget(*self._masked.popleft().difference(*self._masked))

    def _not_logged_in(self, what: str, hint: str = "") -> NotLoggedInError:
        self._held = None
        stamp = self._store.stamp()

        async def changed() -> None:
            while self._store.stamp() == stamp:
                await asyncio.sleep(_LOOK_AGAIN)

        return NotLoggedInError(what, hint=hint or self._login.command, wait=changed)


def _looked_at(task: asyncio.Task[None]) -> None:
    """Look at a failure, so that asyncio does not report it when every caller has left."""
    if not task.cancelled():
        task.exception()


class BearerAuth(httpx2.Auth):
    """Adds the token to each request, and sends a request once more with a new token when it is refused.

    `state` gets why no request can be sent any more, and how the server answered.
    """

    def __init__(self, tokens: Tokens, state: ChildState) -> None:
        self._tokens = tokens
        self._state = state

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See `httpx2.Auth.async_auth_flow`."""
        try:
            token = await self._tokens.token()
            request.headers["Authorization"] = f"Bearer {token}"
            response = yield request
            if response.status_code == 401:
                token = await self._tokens.token(refused=token)
                request.headers["Authorization"] = f"Bearer {token}"
                response = yield request
                if response.status_code == 401:
                    raise self._tokens.refused_again()
        except HostError as error:
            why = f"{error.what}: {error.hint}" if isinstance(error, NotLoggedInError) else error.what
            self._state.refused = why
            raise
        if (scope := _missing_scope(response)) is not None:
            wider = await self._tokens.wider(token, scope)
            if wider is not None:
                request.headers["Authorization"] = f"Bearer {wider}"
                response = yield request
                scope = _missing_scope(response)
        if scope is not None:
            await self._explain(response, self._tokens.scope_is_missing(scope))

    async def _explain(self, response: httpx2.Response, why: str) -> None:
        """Put an error of MCP into an answer, so that whoever called gets it."""
        self._state.answered = why
        error = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=INTERNAL_ERROR, message=why))
        if isinstance(response.stream, httpx2.AsyncByteStream):
            await response.stream.aclose()
        response.headers = httpx2.Headers({"Content-Type": "application/json"})
        response.stream = httpx2.ByteStream(error.model_dump_json(by_alias=True).encode())


def _missing_scope(response: httpx2.Response) -> str | None:
    """Return the scopes that a token lacks, as the server names them, or None if it lacks none (RFC 6750)."""
    if response.status_code != 403 or extract_field_from_www_auth(response, "error") != "insufficient_scope":
        return None
    named = extract_field_from_www_auth(response, "scope") or ""
    return " ".join(each for each in named.split() if _SCOPE.fullmatch(each))
