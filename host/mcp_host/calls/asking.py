"""The session of a call: how a plugin asks the client, and through it a person, and which answers are errors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from mcp.server.session import ServerSession
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp.types import ElicitResult, ErrorData, RequestId, ServerNotification, ServerRequest
from pydantic import BaseModel, ValidationError

from mcp_host.calls.outgoing import Outgoing
from mcp_host.catalog.forms import DOES_NOT_FIT, AnswerError, content_of, unfit
from mcp_host.errors import LONGEST_TEXT

ResultT = TypeVar("ResultT", bound=BaseModel)


class ErrorAnswerError(AnswerError, MCPError):
    """The client answered with an error. The class is also an `MCPError`, because the SDK raises that one."""

    def __init__(self, method: str, error: ErrorData) -> None:
        MCPError.__init__(self, error.code, error.message, error.data)
        self._text = f"The client answered {method} with an error ({error.code}): {error.message[:LONGEST_TEXT]}"

    def __str__(self) -> str:
        return self._text


def answer_error_in(error: BaseException | None) -> AnswerError | None:
    """Return the `AnswerError` that is this exception or its cause, also inside a group, or None."""
    seen: set[int] = set()
    left = [error]
    while left:
        error = left.pop()
        if isinstance(error, AnswerError):
            return error
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            left += [error.__context__, error.__cause__]
            left += error.exceptions if isinstance(error, BaseExceptionGroup) else []
    return None


class AskingSession(ServerSession):
    """The session of one call. Each request of a plugin to the client goes through `send_request`.

    `asking` is entered while a request waits for its answer. All texts that are sent pass `outgoing`. The session of a
    nested call sends through its caller's session, so that the deadlines of both calls are paused.
    """

    def __init__(
        self, session: ServerSession, asking: Callable[[], AbstractContextManager[None]], outgoing: Outgoing
    ) -> None:
        # The SDK's constructor would compute the allowed log levels again for each call.
        self.__dict__.update(session.__dict__)
        self._inner = session
        self._asking = asking
        self._outgoing = outgoing

    async def send_request(
        self,
        request: ServerRequest,
        result_type: type[ResultT],
        request_read_timeout_seconds: float | None = None,
        metadata: ServerMessageMetadata | None = None,
        progress_callback: ProgressFnT | None = None,
    ) -> ResultT:
        """Ask the client; see the SDK's `ServerSession.send_request`.

        Raises:
            AnswerError: The client answered with an error, broke the protocol, or disconnected.
            NoBackChannelError: The connection cannot carry requests to the client.
        """
        request = self._outgoing.request(request)
        try:
            with self._asking():
                return await self._inner.send_request(
                    request, result_type, request_read_timeout_seconds, metadata, progress_callback
                )
        except (AnswerError, NoBackChannelError):
            raise
        except MCPError as error:
            raise ErrorAnswerError(request.method, error.error) from error
        except ValidationError as error:
            raise unfit(f"The client's answer to {request.method} is malformed", error) from error

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress; see the SDK's `ServerSession.report_progress`."""
        await super().report_progress(progress, total, message and self._outgoing.text(message))

    async def _notify(self, notification: ServerNotification, *, request_scoped: bool) -> None:
        await super()._notify(self._outgoing.notification(notification), request_scoped=request_scoped)

    async def elicit_form(
        self, message: str, requested_schema: dict[str, Any], related_request_id: RequestId | None = None
    ) -> ElicitResult:
        """Ask for a form, and check the answer against its schema; see the SDK's `ServerSession.elicit_form`.

        Raises:
            AnswerError: The answer does not fit the schema, or one of the reasons of `send_request`.
            jsonschema.SchemaError: The schema is not valid.
        """
        from jsonschema.validators import validator_for  # imported only when it is used

        kind = validator_for(requested_schema)
        kind.check_schema(requested_schema)
        result = await super().elicit_form(message, requested_schema, related_request_id)
        if result.action == "accept":
            validator = kind(requested_schema, format_checker=kind.FORMAT_CHECKER)
            # The library reports a problem for each missing field, but `_unfit_part` names all of them each time.
            problems = dict.fromkeys(map(_unfit_part, validator.iter_errors(content_of(result))))
            if problems:
                raise AnswerError(f"{DOES_NOT_FIT}: {'; '.join(problems)}"[:LONGEST_TEXT])
        return result


def _unfit_part(problem: Any) -> str:
    """Return the field and the rule. The library's own message would repeat the value."""
    if problem.validator == "required":
        missing = [name for name in problem.validator_value if name not in problem.instance]
        return "; ".join(f"{name}: Field required" for name in missing)
    field = ".".join(str(part) for part in problem.absolute_path) or "content"
    return f"{field}: does not fit {problem.validator} {problem.validator_value!r}"
