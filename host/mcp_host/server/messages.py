"""Reads a JSON-RPC message from a client's bytes, or makes the error response. Both transports use the same rules."""

from __future__ import annotations

from typing import Any, Final

from mcp.types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

ID_IN_USE = "Invalid request: another request in flight has the same id"


LARGEST_LISTEN: Final = 384 * 1024
"""The most bytes of a `subscriptions/listen` request."""


class NotAMessageError(ValueError):
    """The bytes are not a message. `answer` is the error response (JSON-RPC 2.0, section 5.1)."""

    def __init__(self, code: int, text: str, request_id: RequestId | None = None) -> None:
        super().__init__(text)
        self.answer = refusal(code, text, request_id)


def refusal(code: int, text: str, request_id: RequestId | None = None) -> JSONRPCError:
    """Return an error response. Without an id it has `"id": null`."""
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=text))


def to_json(message: JSONRPCError) -> str:
    """Return the error as JSON. The id is always included, also if it is null."""
    return message.model_dump_json(by_alias=True, exclude_unset=True)


def parse(data: bytes, what: str) -> JSONRPCMessage:
    """Return the message in `data`. An error calls the data `what` ("line" or "body").

    Stricter than the SDK: text that UTF-8 cannot encode is refused. A response that repeats it would be JSON that the
    client's parser refuses (RFC 8259, section 8.1).

    Raises:
        NotAMessageError: The data is not JSON, or not one JSON-RPC 2.0 message.
    """
    try:
        given = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        # The parser's message contains a position and no data.
        raise NotAMessageError(PARSE_ERROR, f"Parse error: the {what} is not JSON ({error})") from None
    if isinstance(given, list):
        raise NotAMessageError(INVALID_REQUEST, "Invalid request: batches are not supported")
    if not isinstance(given, dict):
        raise _invalid(what, None)
    if "method" in given and "id" in given and _id_of(given) is None:
        # The SDK would read this as a notification, and the client would wait for its response for ever.
        raise NotAMessageError(INVALID_REQUEST, "Invalid request: an id must be a string or an integer")
    if given.get("method") == "subscriptions/listen" and len(data) > LARGEST_LISTEN:
        # It is kept as long as its stream, which may be for ever.
        text = f"A request for a stream of changes may have at most {LARGEST_LISTEN} bytes"
        raise NotAMessageError(INVALID_PARAMS, text, _id_of(given))
    try:
        return jsonrpc_message_adapter.validate_python(given, by_name=False)
    except ValidationError:
        raise _invalid(what, _id_of(given)) from None


def _invalid(what: str, request_id: RequestId | None) -> NotAMessageError:
    text = f"Invalid request: the {what} is not a JSON-RPC 2.0 message"
    return NotAMessageError(INVALID_REQUEST, text, request_id)


def _id_of(given: dict[Any, Any]) -> RequestId | None:
    own = given.get("id")
    return own if isinstance(own, str | int) and not isinstance(own, bool) else None
