"""What changes at another server while a session lasts: its lists, and the resources that clients subscribed to."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import mcp.types as types
from mcp.client.session import ClientSession
from mcp.client.subscriptions import Subscription, SubscriptionLost, listen
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_host.upstream.child import ChildState
from mcp_host.upstream.definitions import Definitions, list_all
from mcp_host.upstream.failures import explained
from mcp_host.upstream.source import Pace, Source
from mcp_host.upstream.wire import Wire

_MOST_URIS = 1000
"""Resources of one server whose changes are reported. There is no notice about what is subscribed to beyond that."""


class Lists:
    """What a server lists. `on_lists` gets it when it is different from what was known."""

    def __init__(
        self,
        source: Source,
        log: logging.Logger,
        known: Definitions | None,
        on_lists: Callable[[Definitions], Awaitable[None]],
    ) -> None:
        self.known = known
        self._look_over = source.look_over
        self._pace = source.pace
        self._log = log
        self._on_lists = on_lists
        self._changed = asyncio.Event()

    def note_change(self) -> None:
        """Note that the server has reported a change."""
        self._changed.set()

    async def read(self, session: ClientSession, wire: Wire) -> Definitions:
        """Ask for all lists. `wire` is the session's.

        Raises:
            MCPError: The list of tools cannot be read.
        """
        known = await list_all(session, wire)
        if self._look_over is None:
            return known
        return replace(known, left_out=(*known.left_out, *await self._look_over(session)))

    async def learn(self, known: Definitions) -> bool:
        """Take what the server lists now. Return whether it was different."""
        before, self.known = self.known, known
        if known == before:
            return False
        try:
            await self._on_lists(known)
        except Exception:
            self._log.exception("what it lists now cannot be served")
        return True

    async def listen(self, session: ClientSession) -> None:
        """Note the changes of a server of 2026-07-28."""

        def opened() -> AbstractAsyncContextManager[Subscription]:
            return listen(session, tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True)

        async def missed() -> None:
            self._changed.set()

        await _listen(opened, self._pace, self._log, on_event=self._changed.set, on_missed=missed)

    async def follow(self, session: ClientSession, wire: Wire, child: ChildState) -> None:
        """List again when the server reports a change."""
        wait = self._pace.debounce
        while True:
            await self._changed.wait()
            await asyncio.sleep(wait)
            self._changed.clear()
            try:
                known = await self.read(session, wire)
            except Exception as error:
                if wire.ended.is_set():
                    return
                self._log.warning("its lists have changed and cannot be read: %s", explained(error, child))
                continue
            is_new = await self.learn(known)
            wait = self._pace.debounce if is_new else min(wait * 2, self._pace.longest_debounce)


class Subscriptions:
    """The resources whose changes clients want to know. `on_updated` gets the URI of each that may have changed."""

    def __init__(self, pace: Pace, log: logging.Logger, on_updated: Callable[[str], Awaitable[None]]) -> None:
        self._pace = pace
        self._log = log
        self._on_updated = on_updated
        self._wanted: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._wanted)

    def add(self, uri: str) -> Callable[[], None]:
        """Want the changes of a resource, until the returned function is called."""
        if uri not in self._wanted and len(self._wanted) >= _MOST_URIS:
            self._log.warning("changes of %.200r are not reported: %d resources are followed", uri, _MOST_URIS)
            return lambda: None
        self._wanted[uri] += 1
        self._changed.set()
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._wanted[uri] -= 1
                self._wanted = +self._wanted
                self._changed.set()

        return release

    async def follow(self, session: ClientSession, capabilities: types.ServerCapabilities) -> None:
        """Have the server of a session report what is wanted, and nothing else, while the session lasts."""
        if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            await self._follow_streams(session)
        elif capabilities.resources is not None and capabilities.resources.subscribe:
            await self._follow_requests(session)

    async def _follow_requests(self, session: ClientSession) -> None:
        asked: set[str] = set()
        while True:
            self._changed.clear()
            wanted = set(self._wanted)
            for uri in wanted - asked:
                params = types.SubscribeRequestParams(uri=uri)
                await self._request(session, types.SubscribeRequest(params=params), uri)
            for uri in asked - wanted:
                leaving = types.UnsubscribeRequestParams(uri=uri)
                await self._request(session, types.UnsubscribeRequest(params=leaving), uri)
            asked = wanted
            await self._changed.wait()

    async def _request(
        self, session: ClientSession, request: types.SubscribeRequest | types.UnsubscribeRequest, uri: str
    ) -> None:
        try:
            await session.send_request(request, types.EmptyResult)
        except MCPError as error:
            self._log.debug("%s of %s failed: %s", request.method, uri, error)

    async def _follow_streams(self, session: ClientSession) -> None:
        """Keep one stream for all resources. A new one is open before the old one ends, so that no change is missed."""
        stream: asyncio.Task[None] | None = None
        before: set[str] = set()
        try:
            while True:
                self._changed.clear()
                wanted = set(self._wanted)
                if wanted != before:
                    old, stream, before = stream, None, wanted
                    if wanted:
                        opened = asyncio.Event()
                        stream = asyncio.create_task(self._stream(session, sorted(wanted), opened))
                        opening = asyncio.create_task(opened.wait())
                        await asyncio.wait({stream, opening}, return_when=asyncio.FIRST_COMPLETED)
                        opening.cancel()
                    if old is not None:
                        old.cancel()
                await self._changed.wait()
        finally:
            if stream is not None:
                stream.cancel()

    async def _stream(self, session: ClientSession, uris: list[str], opened: asyncio.Event) -> None:
        async def missed() -> None:
            await self._report(uris)

        # The changes themselves come to the session as notifications.
        await _listen(
            lambda: listen(session, resource_subscriptions=uris),
            self._pace,
            self._log,
            on_opened=opened.set,
            on_missed=missed,
        )

    async def _report(self, uris: Iterable[str]) -> None:
        for uri in uris:
            await self._on_updated(uri)


async def _listen(
    opened: Callable[[], AbstractAsyncContextManager[Subscription]],
    pace: Pace,
    log: logging.Logger,
    *,
    on_missed: Callable[[], Awaitable[None]],
    on_event: Callable[[], None] | None = None,
    on_opened: Callable[[], None] | None = None,
) -> None:
    """Read a stream of changes (2026-07-28). One that ends is opened again; `on_missed` may then report the changes
    that came between. Return when the server refuses the stream.
    """
    wait = pace.listen_again
    while True:
        began = time.monotonic()
        try:
            async with opened() as subscription:
                if on_opened is not None:
                    on_opened()
                async for _ in subscription:
                    if on_event is not None:
                        on_event()
        except MCPError as error:
            if error.code in (METHOD_NOT_FOUND, INVALID_PARAMS, INVALID_REQUEST):
                log.debug("it cannot be listened to: %s", error)
                return
            log.debug("listening to it failed: %s", error)
        except SubscriptionLost as error:
            log.debug("listening to it ended: %s", error)
        wait = pace.listen_again if time.monotonic() - began > pace.healthy else wait
        await asyncio.sleep(wait)
        wait = min(wait * 2, pace.longest_delay)
        await on_missed()
