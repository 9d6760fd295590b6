"""Changes on disk reach the clients that subscribed. Every test waits for what it expects to be announced."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server.subscriptions import ResourceUpdated

import mcp_plugin_files
from mcp_host.testing import connect
from mcp_plugin_files import watching
from mcp_plugin_files.roots import Roots
from mcp_plugin_files.served import Files
from mcp_plugin_files.settings import Settings
from mcp_plugin_files.watching import Watcher

pytestmark = [
    pytest.mark.anyio,
    # The handshake versions' methods are deprecated in the client, but they are still served.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


class Heard:
    """What was announced, and a way to wait for more."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self._more = anyio.Event()

    async def announce(self, uri: str) -> None:
        self.uris.append(uri)
        self._more.set()
        self._more = anyio.Event()

    async def until(self, *uris: str) -> None:
        with anyio.fail_after(60):
            while not set(uris) <= set(self.uris):
                await self._more.wait()

    def forget(self) -> None:
        self.uris.clear()


Watching = Callable[..., AbstractAsyncContextManager[Heard]]


@pytest.fixture
def watched(folder: Path, log: logging.Logger) -> Watching:
    """A running watcher of the root `docs`, or of the given roots."""

    @asynccontextmanager
    async def watch(**given: Any) -> AsyncIterator[Heard]:
        settings = Settings.model_validate({"roots": {"docs": "docs"}, **given})
        heard = Heard()
        watcher = Watcher(Files.of(settings, Roots(settings, folder.parent)), heard.announce, log)
        async with anyio.create_task_group() as tasks:
            await tasks.start(watcher.run)
            yield heard
            tasks.cancel_scope.cancel()

    return watch


async def test_a_subscribed_client_is_notified_of_a_changed_file_and_its_listing(mode: str, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/a b.md").write_text("old")
    heard = Heard()
    uris = ["files://docs/sub/a%20b.md", "files://docs/sub", "files://docs"]

    async def handle(message: Any) -> None:
        if message.method == "notifications/resources/updated":
            await heard.announce(str(message.params.uri))

    given = {"roots": {"docs": "docs"}}
    async with (
        connect(mcp_plugin_files, name="files", settings=given, mode=mode, message_handler=handle) as client,
        anyio.create_task_group() as tasks,
    ):
        if mode == "legacy":
            for uri in uris:
                await client.subscribe_resource(uri)
        else:

            async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
                async with client.listen(resource_subscriptions=uris) as subscription:
                    task_status.started()
                    async for event in subscription:
                        assert isinstance(event, ResourceUpdated)
                        await heard.announce(event.uri)

            await tasks.start(listen)
        (folder / "sub/a b.md").write_text("new")
        await heard.until(*uris[:2])
        (folder / "other").write_text("unsubscribed, but in a listing")
        await heard.until("files://docs")
        assert set(heard.uris) == set(uris)
        tasks.cancel_scope.cancel()


async def test_new_changed_renamed_and_deleted_files_are_announced(watched: Watching, folder: Path) -> None:
    (folder / "old").write_text("x")
    async with watched() as heard:
        (folder / "new").write_text("x")
        await heard.until("files://docs/new", "files://docs")
        heard.forget()
        with (folder / "old").open("a") as file:
            file.write("y")
        await heard.until("files://docs/old")
        heard.forget()
        (folder / "old").rename(folder / "renamed")
        await heard.until("files://docs/old", "files://docs/renamed")
        heard.forget()
        (folder / "new").unlink()
        await heard.until("files://docs/new", "files://docs")


async def test_new_folders_are_watched_with_the_files_already_in_them(watched: Watching, folder: Path) -> None:
    prepared = folder.parent / "prepared"
    (prepared / "deep").mkdir(parents=True)
    (prepared / "deep/a").write_text("a")
    os.utime(prepared / "deep/a", (0, 0))
    async with watched() as heard:
        (folder / "sub").mkdir()
        (folder / "sub/first").write_text("x")
        await heard.until("files://docs/sub", "files://docs/sub/first")
        prepared.rename(folder / "moved")
        await heard.until("files://docs/moved/deep/a")
        heard.forget()
        (folder / "moved/deep/a").write_text("changed")
        await heard.until("files://docs/moved/deep/a")
        heard.forget()
        shutil.rmtree(folder / "moved")
        await heard.until("files://docs/moved", "files://docs")
        (folder / "sub/second").write_text("x")
        await heard.until("files://docs/sub/second")


async def test_link_targets_and_unserved_files_are_not_announced(watched: Watching, folder: Path) -> None:
    outside = folder.parent / "outside"
    (folder / "out").symlink_to("../outside")
    for name in (".git", "node_modules", "sub"):
        (folder / name).mkdir()
    async with watched() as heard:
        (outside / "secret.txt").write_text("changed")
        (outside / "new").write_text("x")
        (folder / ".env").write_text("x")
        (folder / ".git/config").write_text("x")
        (folder / "node_modules/x.js").write_text("x")
        (folder / ".mcp-files-0123").write_text("x")
        (folder / "sub/end").write_text("x")
        await heard.until("files://docs/sub/end")
        assert set(heard.uris) == {"files://docs/sub", "files://docs/sub/end"}
        # After a watched folder has become a link, it announces nothing.
        heard.forget()
        (folder / "sub").rename(folder.parent / "away")
        (folder / "sub").symlink_to("../away")
        await heard.until("files://docs/sub")
        (folder.parent / "away/outside-now").write_text("x")
        (folder / "end").write_text("x")
        await heard.until("files://docs/end")
        assert "files://docs/sub/outside-now" not in heard.uris


async def test_a_change_behind_a_folder_that_became_a_link_is_not_announced(folder: Path) -> None:
    (folder / "sub").symlink_to("../outside")
    settings = Settings.model_validate({"roots": {"docs": "docs"}})
    root = Roots(settings, folder.parent).get("docs")
    places = watching._Places({str(folder / "sub"): [(root, ("sub",))]}, missing=False)
    assert watching._changes([str(folder / "sub/secret.txt")], places) == (set(), True)


async def test_a_name_that_is_not_utf_8_does_not_end_the_watch(
    watched: Watching, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "AGAIN", 0.05)
    (folder / "a").write_text("x")
    async with watched() as heard:
        for number in range(3):
            with open(os.fsencode(folder) + b"/\xff%d" % number, "w"):
                pass
            heard.forget()
            (folder / "a").write_text(str(number))
            await heard.until("files://docs/a")


async def test_a_file_in_two_roots_is_announced_in_both(watched: Watching, folder: Path) -> None:
    (folder / "sub").mkdir()
    async with watched(roots={"docs": "docs", "inner": "docs/sub"}) as heard:
        (folder / "sub/a").write_text("x")
        await heard.until("files://docs/sub/a", "files://inner/a", "files://docs/sub", "files://inner")


async def test_a_missing_root_is_watched_when_it_appears(
    watched: Watching, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "AGAIN", 0.05)
    late = folder.parent / "late"
    async with watched(roots={"docs": "docs", "late": "late"}) as heard:
        late.mkdir()
        (late / "a").write_text("x")
        await heard.until("files://late/a")
        heard.forget()
        shutil.rmtree(late)
        await heard.until("files://late")
        heard.forget()
        late.mkdir()
        (late / "b").write_text("x")
        await heard.until("files://late/b")


async def test_a_written_file_is_announced_and_its_draft_is_not(folder: Path) -> None:
    heard = Heard()

    async def handle(message: Any) -> None:
        if message.method == "notifications/resources/updated":
            await heard.announce(str(message.params.uri))

    given = {"roots": {"docs": {"path": "docs", "writable": True}}}
    async with connect(mcp_plugin_files, name="files", settings=given, mode="legacy", message_handler=handle) as client:
        await client.subscribe_resource("files://docs/a")
        written = await client.call_tool("write_file", {"path": "a", "text": "x"})
        await heard.until("files://docs/a")
        heard.forget()
        assert written.structured_content is not None
        arguments = {"path": "a", "old_text": "x", "new_text": "y", "expected_hash": written.structured_content["hash"]}
        assert not (await client.call_tool("edit_file", arguments)).is_error
        await heard.until("files://docs/a")


async def test_a_failing_watcher_is_logged_and_the_plugin_keeps_serving(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "no watches are left")

    monkeypatch.setattr("watchfiles.awatch", fail)
    (folder / "a").write_text("x")
    async with connect(mcp_plugin_files, name="files", settings={"roots": {"docs": "docs"}}) as client:
        assert not (await client.call_tool("read_file", {"path": "a"})).is_error
    assert "changes of files are not announced any more" in caplog.text
