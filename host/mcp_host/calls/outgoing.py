"""The one exit: each text for a client, except for the results of plugins, is masked, made encodable and cut here."""

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
"""The most bytes of a text that the host itself writes. It may repeat what a client sent."""


class OutgoingError(MCPError):
    """An error of the protocol whose texts have passed the exit."""


class Outgoing:
    """Masks the secrets that `redactor` knows, replaces what UTF-8 cannot encode, and cuts what is too long.

    `plugin` is the sender, or None for the host. A plugin may send at most `result_size` bytes at once. The results of
    its tools, resources and prompts do not pass here, because their author decides what is in them.
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
        """Return data for JSON, each text and key as a client may see it. If the data is too large, return a note.

        What JSON cannot express becomes text. With `keep_urls`, the values of the key `url` are not masked.
        """
        try:
            data = pydantic_core.to_jsonable_python(data, by_alias=True, inf_nan_mode="null", fallback=_named)
        except Exception:  # It has a cycle, is too deep, or has an object that raises when it is read.
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
        """Return an error of the protocol with its message and data as a client may see them."""
        if isinstance(error, OutgoingError):
            return error
        # The user is sent to this URL (SEP-1036), so it must stay as it is.
        keep_urls = error.code == URL_ELICITATION_REQUIRED
        data = None if error.data is None else self.data(error.data, keep_urls=keep_urls)
        return OutgoingError(error.code, self.text(error.message), data)

    def result(self, result: Any) -> Any:
        """Return a result. Only the texts of a tool's error and of a question to the user are changed."""
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
        """Return a request to the client, with the message for its user as the user may see it."""
        if not isinstance(request, types.ElicitRequest):
            return request
        params = request.params.model_copy(update={"message": self.text(request.params.message)})
        return request.model_copy(update={"params": params})

    def notification(self, notification: Any) -> Any:
        """Return a notification, with the texts of a log message or of progress as the client may see them."""
        params = notification.params
        if isinstance(params, types.LoggingMessageNotificationParams):
            texts = {"data": self.data(params.data), "logger": params.logger and self.text(params.logger)}
        elif isinstance(params, types.ProgressNotificationParams):
            texts = {"message": params.message and self.text(params.message)}
        else:
            return notification
        return notification.model_copy(update={"params": params.model_copy(update=texts)})


def new_error_id() -> str:
    """Return a new id of an error. The client gets it, and the log has it beside the text of the error."""
    return secrets.token_hex(4)


def unexpected(what: str, error_id: str) -> str:
    """Return the text for a client if the error's own text is for the log only."""
    return f"{what} failed unexpectedly (error {error_id}; the server's log has the details)"


def _named(value: object) -> str:
    return f"[{type(value).__name__}]"
