"""Calls on their way to another server and back: between the protocol eras of its client and of the server.

What the server asks the user in the middle of a call reaches the client in the form of the client's era:

- Both speak a handshake version: the question is forwarded, and the answer brought back.
- Only the server does: the call is parked. The client gets the question as the call's result, and calls again with the
  answer, which goes to the parked call.
- Only the client does: the host asks the client, and repeats the call at the server with the answers.
- Both speak 2026-07-28: question, answer and state go through as they are.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import mcp.types as types
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    PROTOCOL_VERSION_META_KEY,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from mcp_host.context import Context
from mcp_host.errors import RefusedError
from mcp_host.upstream.connection import Connection
from mcp_host.upstream.session import Session
from mcp_host.upstream.wire import Report, forwarded, means_closed, means_lost

_ENVELOPE: Final = frozenset(
    {PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY, "progressToken", "progress_token"}
)
"""What of a request's `_meta` is between client and host only."""

_RESULTS: Final[Mapping[str, TypeAdapter[Any]]] = {
    "tools/call": TypeAdapter(types.CallToolResult | types.InputRequiredResult),
    "resources/read": TypeAdapter(types.ReadResourceResult | types.InputRequiredResult),
    "prompts/get": TypeAdapter(types.GetPromptResult | types.InputRequiredResult),
    "completion/complete": TypeAdapter(types.CompleteResult),
}

_CAPABILITIES: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}

_MOST_PARKED = 64
"""Calls of one server that wait for an answer between two requests of their clients."""

_PARKED = "mcp-host-parked:"

Make = Callable[[dict[str, Any]], Any]
"""Makes a request, given the fields that depend on the round and the era."""


@dataclass(frozen=True)
class ToolCall:
    """Makes the request for a call of a tool. A server in this process gets a copy of the arguments."""

    name: str
    is_here: bool
    arguments: Mapping[str, Any]

    def __call__(self, extra: dict[str, Any]) -> types.CallToolRequest:
        return types.CallToolRequest(
            params=types.CallToolRequestParams(name=self.name, arguments=dict(self.arguments), **extra)
        )


@dataclass(eq=False)
class _Passing:
    """One call of a client on its way through. It is what `wire.Forwarded` asks for."""

    context: Context[Any, Any]
    client: object
    asks: bool
    questions: list[_Question] | None = None
    on_question: Callable[[], None] | None = None
    reports: deque[Report] = field(default_factory=deque)
    reported: asyncio.Event = field(default_factory=asyncio.Event)
    refused: MCPError | None = None

    @property
    def is_modern(self) -> bool:
        return self.context.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def capabilities(self) -> types.ClientCapabilities:
        own = self.context.client_capabilities or types.ClientCapabilities()
        return own if self.asks else own.model_copy(update=dict.fromkeys(_CAPABILITIES.values()))

    @property
    def on_progress(self) -> Callable[[Report], None] | None:
        return self._note if self.context.wants_progress else None

    def ask(self, question: _Question) -> None:
        """Have the client asked in the result of its call."""
        assert self.questions is not None
        self.questions.append(question)
        if self.on_question is not None:
            self.on_question()

    def _note(self, report: Report) -> None:
        self.reports.append(report)
        self.reported.set()

    async def report(self) -> None:
        """Pass on the reports that have come."""
        while self.reports:
            await self.context.report_progress(*self.reports.popleft())
        self.reported.clear()


@dataclass(frozen=True, eq=False)
class _Question:
    request: Any
    answer: asyncio.Future[Any]


@dataclass(eq=False)
class _Parked:
    """A call that waits for its client to call again, with the questions that the client has been asked."""

    task: asyncio.Task[Any]
    passing: _Passing
    asked: Mapping[str, _Question]
    expiry: asyncio.TimerHandle


class Forwarding:
    """Sends the calls of one plugin to its server. It is the `connection.Asked` of the server's connections."""

    def __init__(
        self, name: str, log: logging.Logger, *, asks: bool, answer_timeout: float, one_client: bool = False
    ) -> None:
        """Forward for the plugin `name`. With `one_client`, all calls are of the same client."""
        self._name = name
        self._log = log
        self._asks = asks
        self._answer_timeout = answer_timeout
        self._one_client = one_client
        self._in_flight: set[_Passing] = set()
        self._parked: dict[str, _Parked] = {}
        self._numbers = itertools.count(1)

    async def send(self, connection: Connection, method: str, make: Make, context: Context[Any, Any]) -> Any:
        """Send a call and return its result, in the era of the client.

        Raises:
            MCPError: The server's own error, unchanged.
            RefusedError: The server is not running, or it ended during the call.
        """
        passing = _Passing(context, self._client_of(context), self._asks)
        state, responses = context.request_state, context.input_responses
        if state is not None and state.startswith(_PARKED):
            return await self._resume(state, passing)
        session = await connection.session()
        modern = session.protocol_version in MODERN_PROTOCOL_VERSIONS
        if not modern and passing.is_modern and method != "completion/complete":
            return await self._parkable(connection, session, method, make, passing)
        extra: dict[str, Any] = {}
        if modern and passing.is_modern:
            extra = {key: v for key, v in (("input_responses", responses), ("request_state", state)) if v is not None}
        result = await self._exchange(connection, session, method, make, extra, passing)
        while isinstance(result, types.InputRequiredResult) and not passing.is_modern:
            extra = await self._answered(result, passing)
            result = await self._exchange(connection, session, method, make, extra, passing)
        return self._named(result) if isinstance(result, types.InputRequiredResult) else result

    def _client_of(self, context: Context[Any, Any]) -> object:
        """Return what stands for the client of a call. A 2026-07-28 request over HTTP is a connection of its own."""
        if self._one_client:
            return self
        token = get_access_token()
        return (token.client_id, token.subject) if token is not None else context.connection

    async def _exchange(
        self,
        connection: Connection,
        session: Session,
        method: str,
        make: Make,
        extra: dict[str, Any],
        passing: _Passing,
    ) -> Any:
        """Make one request at the server. It is made again where the server did not know the session any more."""
        self._in_flight.add(passing)
        reset = forwarded.set(passing)
        try:
            with connection.in_use() as how_it_ended:
                try:
                    return await self._request(session, method, make, extra, passing)
                except MCPError as error:
                    if means_lost(error):
                        connection.lost(session, error.message)
                    elif means_closed(error):
                        ended = await how_it_ended()
                        what = f"The server of {self._name} ended during this call ({ended})"
                        raise RefusedError(f"{what}; a new one does not have its state", "failed") from None
                    else:
                        raise
                # The call was not executed.
                return await self._request(await connection.session(), method, make, extra, passing)
        except ValidationError as error:
            self._log.error("its answer to %s does not fit the protocol", method, exc_info=error)
            raise RefusedError(
                f"The server of {self._name} sent an answer that does not fit the protocol", "failed"
            ) from None
        finally:
            forwarded.reset(reset)
            self._in_flight.discard(passing)

    async def _request(
        self, session: Session, method: str, make: Make, extra: dict[str, Any], passing: _Passing
    ) -> Any:
        meta = self._meta_for(session, passing)
        if isinstance(make, ToolCall) and not extra and not make.is_here:
            params = {"name": make.name, "arguments": make.arguments}
            answer = session.call({**params, "_meta": meta} if meta else params)
        else:
            answer = session.send_request(make({**extra, "_meta": meta}), _RESULTS[method])
        if passing.on_progress is None:
            return await answer
        sending = asyncio.ensure_future(answer)
        try:
            while not sending.done():
                reported = asyncio.ensure_future(passing.reported.wait())
                try:
                    await asyncio.wait((sending, reported), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    reported.cancel()
                await passing.report()
            return await sending
        finally:
            if not sending.done():
                sending.cancel()
                await asyncio.wait({sending})

    def _meta_for(self, session: Session, passing: _Passing) -> Any:
        context = passing.context
        meta = {key: value for key, value in (context.request_context.meta or {}).items() if key not in _ENVELOPE}
        if session.protocol_version in MODERN_PROTOCOL_VERSIONS and not passing.is_modern:
            # A client of the handshake versions gets all messages until it sets a level.
            meta[LOG_LEVEL_META_KEY] = context.wanted_log_level or "debug"
        return meta or None

    # A server of the handshake versions asks a client of 2026-07-28

    async def _parkable(
        self, connection: Connection, session: Session, method: str, make: Make, passing: _Passing
    ) -> Any:
        if passing.context.input_responses is not None or passing.context.request_state is not None:
            raise MCPError(INVALID_PARAMS, f"{self._name} asked nothing that this answers: call again without answers")
        passing.questions = []
        exchange = self._exchange(connection, session, method, make, {}, passing)
        task = connection.in_background(exchange, f"call of {self._name}")
        try:
            return await self._until_asked(task, passing)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _until_asked(self, task: asyncio.Task[Any], passing: _Passing) -> Any:
        """Return the result of a call, or the questions that have come first."""
        assert passing.questions is not None
        either: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def come(_: object = None) -> None:
            if not either.done():
                either.set_result(None)

        passing.on_question = come
        task.add_done_callback(come)
        try:
            if not passing.questions:
                await either
        finally:
            passing.on_question = None
            task.remove_done_callback(come)
        if passing.refused is not None:
            task.cancel()
            raise passing.refused
        if not passing.questions:
            return task.result()
        questions, passing.questions = passing.questions, []
        if len(self._parked) >= _MOST_PARKED:
            task.cancel()
            raise RefusedError(f"plugin {self._name} is busy: {_MOST_PARKED} calls wait for answers", "busy")
        asked = {f"question-{next(self._numbers)}": question for question in questions}
        token = f"{_PARKED}{secrets.token_urlsafe(16)}"
        loop = asyncio.get_running_loop()
        self._parked[token] = _Parked(task, passing, asked, loop.call_later(self._answer_timeout, self._give_up, token))
        requests = {key: question.request for key, question in asked.items()}
        return types.InputRequiredResult(input_requests=requests, request_state=token)

    async def _resume(self, token: str, passing: _Passing) -> Any:
        """Give the client's answers to a parked call, and wait for its result or for further questions."""
        parked = self._parked.pop(token, None)
        if parked is None:
            raise MCPError(INVALID_PARAMS, f"This call of {self._name} does not wait for an answer any more")
        parked.expiry.cancel()
        parked.passing.context = passing.context
        given: Mapping[str, Any] = passing.context.input_responses or {}
        none = types.ErrorData(code=INVALID_REQUEST, message="the client did not answer")
        for key, question in parked.asked.items():
            if not question.answer.done():
                question.answer.set_result(given.get(key, none))
        try:
            return await self._until_asked(parked.task, parked.passing)
        except asyncio.CancelledError:
            parked.task.cancel()
            raise

    def _give_up(self, token: str) -> None:
        parked = self._parked.pop(token, None)
        if parked is not None:
            self._log.info("a call was cancelled, because its client did not answer its question in time")
            parked.task.cancel()

    def close(self) -> None:
        """Cancel the parked calls."""
        for token in list(self._parked):
            parked = self._parked.pop(token)
            parked.expiry.cancel()
            parked.task.cancel()

    # A server of 2026-07-28 asks a client of the handshake versions

    async def _answered(self, result: types.InputRequiredResult, passing: _Passing) -> dict[str, Any]:
        """Ask the client each question of a result, and return what the next round carries."""
        self._refuse_questions(result)
        answers: dict[str, Any] = {}
        for key, request in (result.input_requests or {}).items():
            answer = await self._ask(passing, request)
            if isinstance(answer, types.ErrorData):
                raise MCPError(answer.code, answer.message, answer.data)
            answers[key] = answer
        if not answers:
            # The server wants to be asked again, without an answer: not at once, and not for ever.
            await asyncio.sleep(0.1)
        return {"input_responses": answers or None, "request_state": result.request_state}

    def _named(self, result: types.InputRequiredResult) -> types.InputRequiredResult:
        """Return questions for a client of 2026-07-28, with the plugin's name in their messages."""
        self._refuse_questions(result)
        requests = {key: self._with_name(request) for key, request in (result.input_requests or {}).items()}
        return result.model_copy(update={"input_requests": requests}) if requests else result

    def _refuse_questions(self, result: types.InputRequiredResult) -> None:
        if result.input_requests and not self._asks:
            text = f"The server of {self._name} asks the user, which its table refuses (ask = false)"
            raise RefusedError(text, "denied")

    def _with_name(self, request: Any) -> Any:
        """Return a question with the name of the plugin in front of its message: a user must see who asks."""
        if not isinstance(request, types.ElicitRequest):
            return request
        params = request.params.model_copy(update={"message": f"{self._name}: {request.params.message}"})
        return request.model_copy(update={"params": params})

    # What a server of the handshake versions asks and reports in the middle of a call

    async def elicit(self, context: Any, params: Any) -> Any:
        return await self._asked(types.ElicitRequest(params=params))

    async def sample(self, context: Any, params: Any) -> Any:
        return await self._asked(types.CreateMessageRequest(params=params))

    async def list_roots(self, context: Any) -> Any:
        return await self._asked(types.ListRootsRequest())

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        passing = self._whose()
        if passing is not None:
            await passing.context.log(params.level, params.data, logger_name=params.logger)
        else:
            self._log.info("%s: %s", params.level, params.data)

    def _whose(self) -> _Passing | None:
        """Return a call of the client that a message is for. The protocol does not say: it must be the only client."""
        calls = list(self._in_flight)
        return calls[-1] if calls and all(call.client == calls[0].client for call in calls) else None

    async def _asked(self, request: Any) -> Any:
        passing = self._whose()
        if passing is None:
            some = "several clients have" if self._in_flight else "no client has"
            text = f"it is not known whom to ask: {some} a call running"
            self._log.info("a question of the server was refused: %s", text)
            return types.ErrorData(code=INVALID_REQUEST, message=text)
        return await self._ask(passing, request)

    async def _ask(self, passing: _Passing, request: Any) -> Any:
        """Ask the client of a call in the form of its era. Return its answer, or an error for the server."""
        needed = _CAPABILITIES[request.method]
        if getattr(passing.capabilities, needed) is None:
            text = f"the client did not declare {needed}"
            if passing.questions is None or request.method == "roots/list":
                # Servers look for roots when they like, and do without.
                return types.ErrorData(code=METHOD_NOT_FOUND, message=text)
            required: dict[str, Any] = {"requiredCapabilities": {needed: {}}}
            passing.refused = MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, text, required)
            passing.ask(_Question(request, asyncio.get_running_loop().create_future()))
            return types.ErrorData(code=INVALID_REQUEST, message=text)
        request = self._with_name(request)
        if passing.is_modern:
            if passing.questions is None:
                return types.ErrorData(code=INVALID_REQUEST, message="this client cannot be asked during a call")
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            passing.ask(_Question(request, answer))
            return await answer
        kind: Any = {
            "elicitation/create": types.ElicitResult,
            "sampling/createMessage": types.CreateMessageResult,
            "roots/list": types.ListRootsResult,
        }[request.method]
        if request.method == "sampling/createMessage" and request.params.tools:
            kind = types.CreateMessageResultWithTools
        metadata = ServerMessageMetadata(related_request_id=passing.context.request_context.request_id)
        try:
            return await passing.context.session.send_request(request, kind, metadata=metadata)
        except MCPError as error:
            return error.error
