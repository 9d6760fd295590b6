"""One end of a pipe that carries JSON-RPC both ways: an SDK `Dispatcher` that a transport hands its messages to.

The SDK's own dispatcher reads from a stream, writes to a stream, and gives each message to tasks between them. Here a
message is looked at where it is read, and written where it is made.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.abc
from mcp.shared.dispatcher import (
    CallOptions,
    OnNotify,
    OnNotifyIntercept,
    OnRequest,
    ProgressFnT,
    run_notify_intercept,
)
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import (
    cancelled_request_id_from_params,
    handler_exception_to_error_data,
    progress_token_from_params,
)
from mcp.shared.transport_context import TransportContext
from mcp.types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    REQUEST_TIMEOUT,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)
from opentelemetry import propagate, trace

logger = logging.getLogger(__name__)

Write = Callable[[JSONRPCMessage], Awaitable[None]]
"""Writes a message. It raises an `MCPError` for a request that cannot be written."""

_CLOSED: Final = ErrorData(code=CONNECTION_CLOSED, message="Connection closed")

_DUPLEX: Final = TransportContext(kind="jsonrpc", can_send_request=True)
_ONE_WAY: Final = TransportContext(kind="jsonrpc", can_send_request=False)

_LAST_WRITE = 5.0
"""Seconds for the notice that nobody waits for a request any more."""

_END = 5.0
"""Seconds for the requests in progress to end when the connection has ended."""


@dataclass(slots=True)
class _Sent:
    """A request of this end that has no answer yet."""

    answer: asyncio.Future[dict[str, Any] | ErrorData]
    on_progress: ProgressFnT | None


class Inbound:
    """The SDK's `DispatchContext` of a message of the other end. `one_way` forbids requests back to it."""

    __slots__ = ("_cancel_requested", "_peer", "cancelled", "closed", "one_way", "progress_token", "request_id")

    message_metadata = None

    def __init__(self, peer: Peer, request_id: RequestId | None, params: Mapping[str, Any] | None) -> None:
        self._peer = peer
        self.progress_token = progress_token_from_params(params)
        self._cancel_requested: anyio.Event | None = None
        self.request_id = request_id
        self.one_way = self.closed = self.cancelled = False

    @property
    def transport(self) -> TransportContext:
        return _ONE_WAY if self.one_way else _DUPLEX

    @property
    def can_send_request(self) -> bool:
        return not (self.one_way or self.closed)

    @property
    def cancel_requested(self) -> anyio.Event:
        if self._cancel_requested is None:
            self._cancel_requested = anyio.Event()
            if self.cancelled:
                self._cancel_requested.set()
        return self._cancel_requested

    def cancel(self) -> None:
        self.cancelled = True
        if self._cancel_requested is not None:
            self._cancel_requested.set()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        if not self.can_send_request:
            raise NoBackChannelError(method)
        return await self._peer.send_raw_request(method, params, opts)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        if not self.closed:
            await self._peer.notify(method, params, opts)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self.progress_token is not None:
            params = {"progressToken": self.progress_token, "progress": progress, "total": total, "message": message}
            params = {key: value for key, value in params.items() if value is not None}
            await self.notify("notifications/progress", params)


class Peer:
    """An SDK `Dispatcher` for one connection. The transport calls `receive` for each message, and `end` after the last.

    A request of an `inline` method is answered before the next message is looked at.
    """

    def __init__(self, write: Write, *, inline: frozenset[str] = frozenset()) -> None:
        self._write = write
        self._inline = inline
        self._on_request: OnRequest
        self._on_notify: OnNotify
        self._intercept: OnNotifyIntercept | None = None
        self._parked: deque[JSONRPCMessage] | None = deque()
        """The messages that wait for `run`, or for the end of an inline request."""
        self._sent: dict[RequestId, _Sent] = {}
        self._running: dict[RequestId, tuple[Inbound, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_id = 0
        self._ended = asyncio.Event()

    # The SDK's `Dispatcher`

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer what the other end sends, until `end` is called. Requests in progress are cancelled then."""
        self._on_request, self._on_notify, self._intercept = on_request, on_notify, on_notify_intercept
        task_status.started()
        self._unpark()
        try:
            await self._ended.wait()
        finally:
            self.end()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait(self._tasks, timeout=_END)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Send a request, and return its result.

        Raises:
            MCPError: The other end answered with an error, not in time, or the connection ended.
        """
        if self._ended.is_set():
            raise _error(_CLOSED)
        opts = opts or {}
        request_id = opts.get("request_id")
        if request_id is None:
            request_id = self._new_id()
        elif request_id in self._sent:
            raise ValueError(f"request id {request_id!r} is already in flight")
        on_progress = opts.get("on_progress")
        content = dict(params or {})
        meta = dict(content.get("_meta") or {})
        if on_progress is not None:
            meta["progressToken"] = request_id
        sent = _Sent(asyncio.get_running_loop().create_future(), on_progress)
        self._sent[request_id] = sent
        try:
            with _span(method, content, request_id) as span:
                # SEP-414: the trace goes on at the other end.
                propagate.inject(meta)
                content = {**content, "_meta": meta} if meta else _without_meta(content)
                message = JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method)
                if content:
                    message.params = content
                await self._write(message)
                outcome = await _within(opts.get("timeout"), sent.answer)
                if isinstance(outcome, ErrorData) and span is not None and outcome is not _CLOSED:
                    span.set_attribute("error.type", str(outcome.code))
                    span.set_status(trace.StatusCode.ERROR, outcome.message)
        except TimeoutError:
            await self._abandon(request_id, f"timed out after {opts.get('timeout')}s", opts)
            raise MCPError(REQUEST_TIMEOUT, f"Request {method!r} timed out") from None
        except asyncio.CancelledError:
            await self._abandon(request_id, "caller cancelled", opts)
            raise
        finally:
            del self._sent[request_id]
        if isinstance(outcome, ErrorData):
            raise _error(outcome)
        return outcome

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Send a notification, if the connection has not ended."""
        if self._ended.is_set():
            logger.debug("%s is not sent, because the connection has ended", method)
            return
        message = JSONRPCNotification(jsonrpc="2.0", method=method)
        if params is not None:
            message.params = dict(params)
        await self._write(message)

    def _new_id(self) -> int:
        self._last_id += 1
        while self._last_id in self._sent:
            self._last_id += 1
        return self._last_id

    async def _abandon(self, request_id: RequestId, reason: str, opts: CallOptions) -> None:
        """Report to the other end that nobody waits for its answer any more."""
        if opts.get("cancel_on_abandon", True):
            with anyio.move_on_after(_LAST_WRITE, shield=True):
                await self.notify("notifications/cancelled", {"requestId": request_id, "reason": reason})

    # What the other end sends

    def receive(self, message: JSONRPCMessage) -> None:
        """Take a message of the other end. Its handler runs in a task of its own."""
        if self._parked is not None:
            self._parked.append(message)
        elif isinstance(message, JSONRPCRequest):
            self._start(message)
        elif isinstance(message, JSONRPCNotification):
            self._note(message)
        else:
            self._settle(message)

    def end(self) -> None:
        """Note that nothing more comes. Requests that wait for their answer fail."""
        self._ended.set()
        for sent in self._sent.values():
            _set(sent, _CLOSED)

    def _unpark(self) -> None:
        parked, self._parked = self._parked, None
        while parked:
            message = parked.popleft()
            self.receive(message)
            if self._parked is not None:
                # It was an inline request: the rest waits, too.
                self._parked = parked
                return

    def _settle(self, message: JSONRPCResponse | JSONRPCError) -> None:
        sent = next((self._sent[each] for each in spellings(message.id) if each in self._sent), None)
        if sent is None:
            logger.debug("an answer to no request: %r", message.id)
        else:
            _set(sent, message.error if isinstance(message, JSONRPCError) else message.result)

    def _note(self, message: JSONRPCNotification) -> None:
        params = message.params
        if message.method == "notifications/cancelled":
            self._cancel(cancelled_request_id_from_params(params))
        elif message.method == "notifications/progress":
            self._progress(params or {})
        if not run_notify_intercept(self._intercept, message.method, params):
            self._spawn(self._notified(message), message.method)

    def _cancel(self, request_id: RequestId | None) -> None:
        for each in spellings(request_id):
            if each in self._running:
                inbound, task = self._running[each]
                inbound.cancel()
                task.cancel()
                return

    def _progress(self, params: Mapping[str, Any]) -> None:
        token, progress = params.get("progressToken"), params.get("progress")
        sent = self._sent.get(token) if isinstance(token, str | int) and not isinstance(token, bool) else None
        if sent is None or sent.on_progress is None or not isinstance(progress, int | float):
            return
        total, text = params.get("total"), params.get("message")
        report = sent.on_progress(
            float(progress),
            float(total) if isinstance(total, int | float) else None,
            text if isinstance(text, str) else None,
        )
        self._spawn(_contained(report, "a report of progress"), "progress")

    async def _notified(self, message: JSONRPCNotification) -> None:
        inbound: Any = Inbound(self, None, message.params)
        await _contained(self._on_notify(inbound, message.method, message.params), message.method)

    def _spawn(self, doing: Any, name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(doing, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _start(self, request: JSONRPCRequest) -> None:
        inbound = Inbound(self, request.id, request.params)
        task = self._spawn(self._answer(request, inbound), request.method)
        self._running[request.id] = inbound, task
        task.add_done_callback(lambda _: self._forget(request.id, inbound))
        if request.method in self._inline:
            self._parked = deque()
            task.add_done_callback(lambda _: self._unpark())

    def _forget(self, request_id: RequestId, inbound: Inbound) -> None:
        inbound.closed = True
        if self._running.get(request_id, (None,))[0] is inbound:
            del self._running[request_id]

    async def _answer(self, request: JSONRPCRequest, inbound: Inbound) -> None:
        """Run the handler of a request and write its answer. A request that was cancelled gets none."""
        context: Any = inbound
        answer: JSONRPCMessage
        try:
            try:
                result = await self._on_request(context, request.method, request.params)
            finally:
                self._forget(request.id, inbound)
            answer = JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result)
        except asyncio.CancelledError:
            if inbound.cancelled:
                return
            await self._write(JSONRPCError(jsonrpc="2.0", id=request.id, error=_CLOSED))
            raise
        except Exception as error:
            data = handler_exception_to_error_data(error)
            if data is None:
                logger.exception("the handler of %s failed", request.method)
                data = ErrorData(code=INTERNAL_ERROR, message="Internal server error")
            answer = JSONRPCError(jsonrpc="2.0", id=request.id, error=data)
        if not inbound.cancelled:
            await self._write(answer)


def spellings(request_id: Any) -> Iterator[RequestId]:
    """Yield an id, and then the same number as a text or the text's number: some peers mix them up."""
    if isinstance(request_id, str):
        yield request_id
        if request_id.isdecimal():
            yield int(request_id)
    elif isinstance(request_id, int) and not isinstance(request_id, bool):
        yield request_id
        yield str(request_id)


def _error(data: ErrorData) -> MCPError:
    return MCPError(data.code, data.message, data.data)


def _set(sent: _Sent, outcome: dict[str, Any] | ErrorData) -> None:
    if not sent.answer.done():
        sent.answer.set_result(outcome)


def _without_meta(content: dict[str, Any]) -> dict[str, Any]:
    content.pop("_meta", None)
    return content


async def _within(
    timeout: float | None, answer: asyncio.Future[dict[str, Any] | ErrorData]
) -> dict[str, Any] | ErrorData:
    if timeout is None:
        return await answer
    async with asyncio.timeout(timeout):
        return await answer


async def _contained(doing: Awaitable[None], what: str) -> None:
    """Run what no answer depends on. Its failure is logged, and ends nothing else."""
    try:
        await doing
    except Exception:
        logger.exception("the handler of %s failed", what)


@contextmanager
def _span(method: str, params: Mapping[str, Any], request_id: RequestId) -> Iterator[trace.Span | None]:
    """Record the request as the SDK does, if anyone looks at traces."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        yield None
        return
    target = params.get("name")
    name = f"MCP send {method} {target}" if isinstance(target, str) else f"MCP send {method}"
    attributes = {"mcp.method.name": method, "jsonrpc.request.id": str(request_id)}
    tracer = trace.get_tracer("mcp-python-sdk")
    with tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes) as span:
        yield span
