"""The end of a login in a browser: a web server on this machine that takes one answer, and shows a short page."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import parse_qs, urlsplit

from mcp.shared.auth import AuthorizationCodeResult

from mcp_host.errors import HostError
from mcp_host.upstream.oauthclient import shown_error

_PATH: Final = "/callback"
_LARGEST: Final = 16 * 1024
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mcp-host</title>
<style>body {{ font: 1.1rem system-ui, sans-serif; margin: 4rem auto; max-width: 32rem; padding: 0 1rem }}</style>
</head><body><h1>{title}</h1><p>{text}</p></body></html>
"""


class Redirect:
    """Takes the answer that a browser brings back from the authorization server."""

    def __init__(self, port: int) -> None:
        self.uri = f"http://127.0.0.1:{port}{_PATH}"
        self.state = ""
        """The state of the request that is to be answered."""
        self._answered: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    async def answer(self) -> AuthorizationCodeResult:
        """Return the answer.

        Raises:
            HostError: The login was refused, or the answer belongs to another login.
        """
        return await self._answered

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of the browser."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            status, page = self._respond(head)
            body = page.encode()
            lines = [
                f"HTTP/1.1 {status}",
                "Content-Type: text/html; charset=utf-8",
                f"Content-Length: {len(body)}",
                "Cache-Control: no-store",
                "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
                "Referrer-Policy: no-referrer",
                "Connection: close",
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return  # No browser sends this.
        finally:
            writer.close()

    def _respond(self, head: bytes) -> tuple[str, str]:
        method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        target = urlsplit(rest.partition(" ")[0])
        if method != "GET" or target.path != _PATH:
            return "404 Not Found", _page("Nothing is here", "This server only ends a login of mcp-host.")
        given = {name: values[0] for name, values in parse_qs(target.query).items()}
        code, error, state = given.get("code"), given.get("error"), given.get("state")
        if not code and not error:
            return "400 Bad Request", _page("The answer is incomplete", "It has no code. Please log in again.")
        if not self.state or state != self.state:
            self._fail("the browser's answer does not belong to this login: its state is another one")
            return "400 Bad Request", _page("This login is not the one that mcp-host waits for", "Please log in again.")
        if error:
            why = shown_error(error, given.get("error_description"))
            self._fail(f"the login was refused: {why}")
            return "200 OK", _page("The login was refused", f"{why}. You can close this window.")
        assert code is not None
        if not self._answered.done():
            self._answered.set_result(AuthorizationCodeResult(code=code, state=state, iss=given.get("iss")))
        return "200 OK", _page("The login is complete", "mcp-host goes on. You can close this window.")

    def _fail(self, what: str) -> None:
        if not self._answered.done():
            self._answered.set_exception(HostError(what))
            self._answered.exception()  # It is raised where the answer is awaited, if it is.


def _page(title: str, text: str) -> str:
    return _PAGE.format(title=html.escape(title), text=html.escape(text))


@asynccontextmanager
async def redirects(port: int | None) -> AsyncIterator[Redirect]:
    """Listen on 127.0.0.1 for the block, on a free port if none is given.

    Raises:
        HostError: The port is in use.
    """
    found: list[Redirect] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found[0].serve(reader, writer)

    try:
        server = await asyncio.start_server(serve, "127.0.0.1", port or 0, limit=_LARGEST)
    except OSError as error:
        what = f"the browser cannot return to port {port} of this machine: {error.strerror}"
        raise HostError(what, hint="choose another `auth.redirect_port`") from None
    async with server:
        found.append(Redirect(server.sockets[0].getsockname()[1]))
        yield found[0]
