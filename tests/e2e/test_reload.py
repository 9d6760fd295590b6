"""`mcp-host run` reloads an edited mcp-host.toml while it serves: on SIGHUP, and automatically with --reload."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from mcp import Client

if TYPE_CHECKING:
    from support.processes import Cli, Process

pytestmark = pytest.mark.anyio

ONE = "[plugins.good]\n"
RENAMED = '[plugins.good]\nprefix = "new_"\n'


async def names_after(process: Process, change: Callable[[], None]) -> set[str]:
    """Make a change, wait until the client is notified that the tools have changed, and list them."""
    async with Client(process.url) as client, client.listen(tools_list_changed=True) as events:
        change()
        with anyio.fail_after(30):
            async for _ in events:
                break
        return {tool.name for tool in (await client.list_tools()).tools}


async def test_sighup_applies_the_edited_file(cli: Cli) -> None:
    cli.config(ONE)
    with cli.serve() as process:

        def change() -> None:
            cli.config(RENAMED)
            process.signal(signal.SIGHUP)

        names = await names_after(process, change)
        assert names
        assert all(name.startswith("new_") for name in names)


@pytest.mark.parametrize("by_rename", [False, True])
async def test_with_reload_writing_the_file_is_enough(cli: Cli, by_rename: bool) -> None:
    cli.config(ONE)
    with cli.serve("--reload") as process:

        def change() -> None:
            if by_rename:
                cli.config(RENAMED, "mcp-host.toml.new").replace(cli.folder / "mcp-host.toml")
            else:
                cli.config(RENAMED)

        names = await names_after(process, change)
        assert names
        assert all(name.startswith("new_") for name in names)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names that are not UTF-8")
@pytest.mark.parametrize("together", [False, True])
async def test_a_file_name_that_is_not_utf_8_does_not_end_the_watch(cli: Cli, together: bool) -> None:
    """Written on its own before, or in one go with the configuration, whose change the broken watcher forgets."""
    cli.config(ONE)
    odd = os.fsencode(cli.folder) + b"/\xff\xfe.txt"
    with cli.serve("--reload") as process:

        def change() -> None:
            if not together:
                Path(os.fsdecode(odd)).touch()
                while "watching goes on" not in process.err:
                    assert process.alive
            cli.config(RENAMED)
            Path(os.fsdecode(odd)).touch()

        names = await names_after(process, change)
        assert names
        assert all(name.startswith("new_") for name in names)
        assert process.err.count("watching goes on after a file that cannot be named") == 1


async def test_a_file_that_cannot_be_served_does_not_change_the_server(cli: Cli) -> None:
    cli.config(ONE)
    with cli.serve("--reload") as process:
        async with Client(process.url) as client:
            before = [tool.name for tool in (await client.list_tools()).tools]
            cli.config("[plugins.good")
            process.signal(signal.SIGHUP)
            with anyio.fail_after(30):
                while (
                    '"reload_problem": {'
                    not in (await client.read_resource("mcp-host://plugins")).contents[0].model_dump()["text"]
                ):
                    await anyio.lowlevel.checkpoint()
            assert "invalid TOML" in process.err
            assert [tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools] == before


async def test_an_import_that_hangs_does_not_hold_up_calls_or_later_reloads(cli: Cli) -> None:
    head = '[host]\nstart_timeout = "500ms"\n'
    cli.config(head + ONE)
    with cli.serve() as process:
        cli.config(f"{head}{ONE}[plugins.hanging]\n")
        process.signal(signal.SIGHUP)
        process.until_logged("not reloaded, the old configuration is still served")
        assert "threading.Event().wait()" in process.err  # the stack

        def change() -> None:
            cli.config(head + RENAMED)
            process.signal(signal.SIGHUP)

        names = await names_after(process, change)
        assert names
        assert all(name.startswith("new_") for name in names)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
