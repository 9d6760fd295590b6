"""A client of `mcp-host run --transport http` that checks every response."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from fuzz.payloads import HANDSHAKE, INITIALIZE, META, MODERN, dump
from fuzz.wire import LONGEST, HostProcess, Usage, check_message, check_text

LARGEST = 256 * 1024

CONFIG = f"""
[host]
log_level = "error"
[transport]
max_request_size = {LARGEST}
REQUEST_TIMEOUT
[plugins.echo]
"""


class HttpHost(HostProcess):
    """A client of a host over HTTP, in the era `auto` (2026-07-28) or `legacy` (a handshake session)."""

    def __init__(self, folder: Path, site: Path, era: str, request_timeout: str = "30s") -> None:
        text = CONFIG.replace("REQUEST_TIMEOUT", f'request_timeout = "{request_timeout}"\nkeep_alive = "5s"')
        (folder / "mcp-host.toml").write_text(text, encoding="utf-8")
        super().__init__(folder, site, "--transport", "http", "--port", "0")
        self.era = era
        self.meta = META if era == "auto" else {}
        self.url = self._until("Serving ").split(" at ")[1].strip()
        self._until("Ctrl+C")
        self._client = httpx2.Client(timeout=LONGEST)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if era == "auto":
            self._headers["MCP-Protocol-Version"] = MODERN
            return
        body = dump({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE})
        session = self.post(body, self._headers).headers["mcp-session-id"]
        self._headers |= {"MCP-Protocol-Version": HANDSHAKE, "Mcp-Session-Id": session}
        self.post(dump({"jsonrpc": "2.0", "method": "notifications/initialized"}), self._headers)

    def _until(self, text: str) -> str:
        for line in self.stdout:
            if text.encode() in line:
                return line.decode()
        raise AssertionError(f"the host ended; stderr:\n{self.err}")

    def close(self) -> None:
        self._client.close()
        super().close()

    @property
    def address(self) -> tuple[str, int]:
        parts = httpx2.URL(self.url)
        assert parts.port is not None
        return parts.host, parts.port

    def headers_of(self, message: dict[str, Any]) -> dict[str, str]:
        """Return the headers for a message."""
        headers = dict(self._headers)
        if self.era == "auto":
            headers["Mcp-Method"] = message["method"]
            name = message["params"].get("name") or message["params"].get("uri")
            if name is not None:
                headers["Mcp-Name"] = name
        return headers

    def post(self, body: bytes, headers: dict[str, str]) -> httpx2.Response:
        return self.request("POST", body, list(headers.items()))

    def request(self, method: str, body: bytes, headers: list[tuple[str, str]]) -> httpx2.Response:
        """Send a request and check the response."""
        fields = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        response = self._client.request(method, self.url, content=body, headers=fields)
        self.check(response)
        return response

    def check(self, response: httpx2.Response) -> list[dict[str, Any]]:
        """Return the messages in a response. It must not be a 5xx, and all messages must be JSON-RPC."""
        assert response.status_code < 500, f"{response.status_code}: {response.text}; stderr:\n{self.err[-3000:]}"
        media_type = response.headers.get("content-type", "").partition(";")[0]
        if media_type == "application/json" and response.content:
            return [check_message(response.content, self.secrets)]
        if media_type == "text/event-stream":
            lines = response.content.replace(b"\r\n", b"\n").split(b"\n")
            data = [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
            return [check_message(line, self.secrets) for line in data if line]
        check_text(response.content, self.secrets)
        return []

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        params = {"name": name, "arguments": arguments, "_meta": self.meta}
        message = {"jsonrpc": "2.0", "id": "probe", "method": "tools/call", "params": params}
        response = self.post(dump(message), self.headers_of(message))
        (answer,) = (answer for answer in self.check(response) if answer.get("id") == "probe")
        return answer["result"]["structuredContent"]

    def probe(self) -> None:
        """Send a request with a known result."""
        assert self.call("add", {"a": 2, "b": 40}) == {"result": 42}

    def census(self) -> Usage:
        return self.usage(self.call("census", {}))

    @contextmanager
    def holding(self, message: dict[str, Any]) -> Iterator[None]:
        """Send a request that takes long. The block runs after its first event."""
        with self._client.stream("POST", self.url, content=dump(message), headers=self.headers_of(message)) as response:
            assert response.status_code == 200
            lines = response.iter_lines()
            next(line for line in lines if line.startswith("data: {"))
            yield
            for _ in lines:
                pass
