"""The one exit: every text for a client that is no result of a plugin's is masked, made encodable and cut here."""

from __future__ import annotations

import secrets
from typing import Any, Final

import mcp.types as types
import pydantic_core
from mcp.shared.exceptions import MCPError
from mcp.types import URL_ELICITATION_REQUIRED

from mcp_host.catalog.sizes import cut_text, measure
from mcp_host.config.secrets import Redactor
from mcp_host.errors import encodable
from mcp_host.plugins.plugin import LoadedPlugin

MOST: Final = 64 * 1024
"""Bytes of a text of the host's own, which may repeat what a client sent."""


class OutgoingError(MCPError):
    """An error of the protocol that has passed the exit."""


class Outgoing:
    """Masks what `redactor` knows, replaces what UTF-8 cannot encode, and cuts what is too long.

    A plugin may send as much at once as its `result_size`. The results of its tools, resources and prompts do not
    pass here: what is in them is their author's decision.
    """

    def __init__(self, redactor: Redactor, plugin: LoadedPlugin | None = None) -> None:
        self._redactor = redactor
        self._plugin = plugin

    @property
    def _most(self) -> int:
        return MOST if self._plugin is None else self._plugin.limits.result_size

    @property
    def _whose(self) -> str:
        return "the host" if self._plugin is None else f"plugin {self._plugin.name}"

    def of(self, plugin: LoadedPlugin) -> Outgoing:
        """Return the exit of what this plugin sends."""
        return Outgoing(self._redactor, plugin)

    def text(self, text: str) -> str:
        """Return the text as a client may see it."""
        return cut_text(encodable(self._redactor.redact(text)), self._most, self._whose)

    def data(self, data: Any, *, keep_urls: bool = False) -> Any:
        """Return data for JSON, every text and key in it as a client may see it; a note where it is too large.

        What JSON cannot express becomes text. With `keep_urls`, nothing in the values of the key `url` is masked.
        """
        try:
            data = pydantic_core.to_jsonable_python(data, by_alias=True, inf_nan_mode="null", fallback=_named)
        except Exception:  # It is a cycle, too deep, or an object that raises when it is read.
            return "[Left out: JSON cannot express it.]"
        if measure(data, self._most).size > self._most:
            return f"[Left out: larger than the {self._most} bytes that {self._whose} may send.]"
        return self._masked(data, keep_urls)

    def _masked(self, data: Any, keep_urls: bool) -> Any:
        if isinstance(data, str):
            return encodable(self._redactor.redact(data))
        if isinstance(data, list):
            return [self._masked(item, keep_urls) for item in data]
        if not isinstance(data, dict):
            return data
        return {
            self._masked(key, keep_urls): encodable(value)
            if keep_urls and key == "url" and isinstance(value, str)
            else self._masked(value, keep_urls)
            for key, value in data.items()
        }

    def error(self, error: MCPError) -> OutgoingError:
        """Return an error of the protocol as a client may see it, message and data."""
        if isinstance(error, OutgoingError):
            return error
        # A URL that the user is sent to (SEP-1036) has to be the one that was meant.
        keep_urls = error.code == URL_ELICITATION_REQUIRED
        data = None if error.data is None else self.data(error.data, keep_urls=keep_urls)
        return OutgoingError(error.code, self.text(error.message), data)

    def result(self, result: Any) -> Any:
        """Return a result as it is, except for the texts of a tool's error and of a question to the user."""
        if isinstance(result, types.InputRequiredResult) and result.input_requests:
            asked = {key: self.request(request) for key, request in result.input_requests.items()}
            return result.model_copy(update={"input_requests": asked})
        if not isinstance(result, types.CallToolResult) or not result.is_error:
            return result
        content = [
            block.model_copy(update={"text": self.text(block.text)}) if isinstance(block, types.TextContent) else block
            for block in result.content
        ]
        structured = result.structured_content and self.data(result.structured_content)
        return result.model_copy(update={"content": content, "structured_content": structured})

    def completion(self, completion: types.Completion) -> types.Completion:
        """Return candidates for an argument as the client may see them."""
        return completion.model_copy(update={"values": [self.text(value) for value in completion.values]})

    def request(self, request: Any) -> Any:
        """Return a request to the client, the message for its user as the user may see it."""
        if not isinstance(request, types.ElicitRequest):
            return request
        params = request.params.model_copy(update={"message": self.text(request.params.message)})
        return request.model_copy(update={"params": params})

    def notification(self, notification: Any) -> Any:
        """Return a notification of the client, the texts of a log message or of progress as the client may see them."""
        params = notification.params
        if isinstance(params, types.LoggingMessageNotificationParams):
            texts = {"data": self.data(params.data), "logger": params.logger and self.text(params.logger)}
        elif isinstance(params, types.ProgressNotificationParams):
            texts = {"message": params.message and self.text(params.message)}
        else:
            return notification
        return notification.model_copy(update={"params": params.model_copy(update=texts)})


def new_error_id() -> str:
    """Return the id of an error, which a client is given and which is in the log beside the error's text."""
    return secrets.token_hex(4)


def unexpected(what: str, error_id: str) -> str:
    """Return the text for a client about an error whose own text is for the log only."""
    return f"{what} failed unexpectedly (error {error_id}; the server's log has the details)"


def _named(value: object) -> str:
    return f"[{type(value).__name__}]"
