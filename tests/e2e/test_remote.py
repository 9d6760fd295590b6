"""`--url` of `inspect`, `call`, `read` and `prompt`: other servers, lists in pages, and servers that refuse."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from mcp.server.lowlevel import Server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    Prompt,
    Resource,
    ResourceTemplate,
    TextContent,
    Tool,
)

from support.issuer import serving_issuer

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli

NAMES = [f"item{number}" for number in range(5)]
SECRET = "s3cr3t-of-the-test"


def page(params: PaginatedRequestParams | None, pages: int) -> tuple[str, str | None]:
    """Return the name on the page asked for, and the cursor of the next one."""
    number = int(params.cursor) if params is not None and params.cursor is not None else 0
    return f"item{number}", str(number + 1) if number + 1 < pages else None


@contextmanager
def paginating(pages: int) -> Iterator[str]:
    """Serve lists of one item a page."""

    async def tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        name, cursor = page(params, pages)
        return ListToolsResult(tools=[Tool(name=name, input_schema={"type": "object"})], next_cursor=cursor)

    async def resources(_: Any, params: PaginatedRequestParams | None) -> ListResourcesResult:
        name, cursor = page(params, pages)
        return ListResourcesResult(resources=[Resource(name=name, uri=f"r://{name}")], next_cursor=cursor)

    async def templates(_: Any, params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        name, cursor = page(params, pages)
        found = ResourceTemplate(name=name, uri_template=f"t://{name}/{{x}}")
        return ListResourceTemplatesResult(resource_templates=[found], next_cursor=cursor)

    async def prompts(_: Any, params: PaginatedRequestParams | None) -> ListPromptsResult:
        name, cursor = page(params, pages)
        return ListPromptsResult(prompts=[Prompt(name=name)], next_cursor=cursor)

    async def called(_: Any, params: CallToolRequestParams) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text=f"called {params.name}")])

    server: Server[Any] = Server(
        "pages",
        on_list_tools=tools,
        on_list_resources=resources,
        on_list_resource_templates=templates,
        on_list_prompts=prompts,
        on_call_tool=called,
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        web = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_config=None, ws="none"))
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            web.should_exit = True
            thread.join()


def test_every_page_of_another_servers_lists_is_read(invoke: Invoke) -> None:
    with paginating(len(NAMES)) as url:
        data = invoke("inspect", "--url", url, "--json").json
        for kind in ("tools", "resources", "templates", "prompts"):
            assert [item["name"] for item in data[kind]] == NAMES
        assert invoke("call", "item4", "--url", url).out == "called item4\n"
        assert "(did you mean 'item4'?)" in invoke("call", "itm4", "--url", url).err


def test_a_list_without_an_end_is_an_error(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_host.cli.client.MOST_PAGES", 4)
    with paginating(4) as url:
        assert invoke("inspect", "--url", url).code == 0
    with paginating(10**9) as url:
        done = invoke("inspect", "--url", url)
        assert done.code == 2
        assert "error: the server's list has more than 4 pages" in done.err


def test_a_server_that_requires_a_token_is_reached_with_one(
    cli: Cli, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_issuer() as issuer:
        cli.config(
            f"""
            [auth]
            issuer = "{issuer.url}"
            resource = "http://127.0.0.1/mcp"
            [plugins.good]
            """
        )
        token = issuer.token()
        monkeypatch.setenv("THE_TOKEN", token)
        with cli.serve() as process:
            for sent in (["--token-env", "THE_TOKEN"], ["--header", f"Authorization: Bearer {token}"]):
                at = ["--url", process.url, *sent]
                assert invoke("call", "add", "a=1", "b=2", *at).out == "3\n"
                assert invoke("read", "note://today", *at).out == "buy milk\n"
                assert "Review cats" in invoke("prompt", "review", "topic=cats", *at).out
                assert "greet" in invoke("inspect", *at).out
            done = invoke("inspect", "--url", process.url)
            assert done.code == 2
            assert "401" in done.err
            assert "hint:  --token-env VARIABLE" in done.err
            monkeypatch.setenv("THE_TOKEN", SECRET)
            done = invoke("inspect", "--url", process.url, "--token-env", "THE_TOKEN")
            assert done.code == 2
            assert SECRET not in done.out + done.err


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--header", f"X: {SECRET}"], "--header needs --url"),
        (["--token-env", "THE_TOKEN"], "--token-env needs --url"),
        (["--url", "http://x/mcp", "--token-env", "NO_TOKEN"], "NO_TOKEN is not set"),
        (
            ["--url", "http://x/mcp", "--token-env", "BAD_TOKEN"],
            "BAD_TOKEN contains characters",
        ),
        (["--url", "http://x/mcp", "--header", SECRET], "not NAME: VALUE"),
        (["--url", "http://x/mcp", "--header", f"X: {SECRET}\r\nY: 1"], "not NAME: VALUE"),
        (["--url", "http://x/mcp", "--header", f"a b: {SECRET}"], "not NAME: VALUE"),
        (["--url", "http://x/mcp", "--token-env", "THE_TOKEN", "--header", f"authorization: {SECRET}"], "two tokens"),
    ],
)
def test_what_cannot_be_sent_is_an_error_that_does_not_show_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, options: list[str], error: str
) -> None:
    monkeypatch.setenv("THE_TOKEN", SECRET)
    monkeypatch.setenv("BAD_TOKEN", f"{SECRET}\n{SECRET}")
    monkeypatch.delenv("NO_TOKEN", raising=False)
    for command in (["inspect"], ["call", "add"], ["read", "note://today"], ["prompt", "review"]):
        done = invoke(*command, *options)
        assert (done.code, done.out) == (2, "")
        assert f"error: {error}" in done.err
        assert SECRET not in done.err
