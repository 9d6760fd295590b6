"""The SDK's client session, which also calls a tool without a model of the request and with one check of the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import mcp.types as types
from mcp.client.session import ClientSession
from mcp.shared.dispatcher import CallOptions
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter

_RESULT: Final[TypeAdapter[types.CallToolResult | types.InputRequiredResult]] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)

_OF_EVERY_VERSION: Final = frozenset({"content", "structuredContent", "isError", "_meta"})
"""The keys of a result that mean the same in all versions that have them."""


class Session(ClientSession):
    """A session with another server."""

    async def call(self, params: dict[str, Any]) -> types.CallToolResult | types.InputRequiredResult:
        """Call a tool with these parameters, as they travel. Version, client and headers are added to them.

        Raises:
            MCPError: The other server answered with an error, or the connection ended.
            pydantic.ValidationError: The result does not fit the protocol.
        """
        options: CallOptions = {}
        data = {"method": "tools/call", "params": params}
        self._stamp(data, options)
        raw = await self._dispatcher.send_raw_request("tools/call", params, options)
        return self._result(raw)

    def _result(self, raw: Mapping[str, Any]) -> types.CallToolResult | types.InputRequiredResult:
        version = self.protocol_version or ""
        if version in MODERN_PROTOCOL_VERSIONS:
            is_plain = raw.get("resultType") == "complete" and len(raw) - len(raw.keys() & _OF_EVERY_VERSION) == 1
        else:
            is_plain = _OF_EVERY_VERSION.issuperset(raw) and isinstance(raw.get("structuredContent"), dict | None)
        if is_plain:
            return types.CallToolResult.model_validate(raw, by_name=False)
        methods.validate_server_result("tools/call", version, raw)
        if version not in MODERN_PROTOCOL_VERSIONS:
            raw = {key: value for key, value in raw.items() if key in _OF_EVERY_VERSION}
        return _RESULT.validate_python(raw, by_name=False)
