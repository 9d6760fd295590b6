"""Why another server cannot be reached, did not start, or ended, in one line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from mcp_host.errors import HostError, describe_validation, text_of
from mcp_host.upstream.child import ChildState
from mcp_host.upstream.wire import means_closed


class UnreachableError(HostError):
    """A remote server cannot be reached. It may come back."""


class NotLoggedInError(UnreachableError):
    """Somebody has to log in to a remote server. `wait` returns when that may have happened."""

    def __init__(self, what: str, *, hint: str, wait: Callable[[], Awaitable[None]]) -> None:
        super().__init__(what, hint=hint)
        self.wait = wait


def explained(error: Exception, child: ChildState) -> str:
    """Return one line about why the server of a child ended or did not start."""
    inner = innermost(error)
    if isinstance(inner, HostError):
        return inner.what
    closed = isinstance(inner, ConnectionError) or (isinstance(inner, MCPError) and means_closed(inner))
    if closed and child.pid is not None:
        return str(child)
    if isinstance(inner, TimeoutError | ConnectionError):
        return str(inner)
    if isinstance(inner, ValidationError):
        return f"its answer does not fit the protocol: {describe_validation(inner)}"
    if child.answered:
        return child.answered
    return inner.message.partition("\n")[0] if isinstance(inner, MCPError) else text_of(inner)


def innermost(error: BaseException) -> BaseException:
    """Return the first exception in a group of groups, or the exception itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
