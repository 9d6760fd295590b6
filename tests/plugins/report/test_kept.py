from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.types import CallToolResult, ResourceTemplateReference

from plugins.report.results import read, report_of

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


async def make(client: Client, source: str = "orders") -> str:
    return report_of(await client.call_tool("generate_report", {"source": source, "columns": None})).id


async def test_a_report_is_kept_as_figures_page_and_markdown_after_a_restart(served: Served) -> None:
    async with served() as client:
        result = await client.call_tool("generate_report", {"source": "orders", "title": "Kept"})
    report = report_of(result)
    async with served() as client:
        (entry,) = json.loads(await read(client, "report://reports"))
        assert (entry["id"], entry["title"], entry["source"]) == (report.id, "Kept", "sql/orders")
        assert json.loads(await read(client, entry["uri"])) == result.structured_content
        assert "<h1>Kept</h1>" in await read(client, entry["html_uri"])
        assert (await read(client, entry["markdown_uri"])).startswith("# Kept\n")
        (page,) = (await client.read_resource(entry["html_uri"])).contents
        assert page.mime_type == "text/html"


async def test_the_oldest_reports_over_the_limit_are_removed(served: Served, kept: Path) -> None:
    kept.mkdir(parents=True)
    async with served(keep=2) as client:
        first = await make(client)
        # A report of yesterday, and a file that is not a report.
        text = (kept / f"{first}.json").read_text(encoding="utf-8")
        old = "20200101-000000-orders-aaaaaa"
        (kept / f"{old}.json").write_text(text.replace(first, old), encoding="utf-8")
        (kept / "notes.json").write_text("{}", encoding="utf-8")
        second = await make(client)
    assert {file.stem for file in kept.iterdir()} == {first, second, "notes"}


async def test_of_simultaneous_reports_the_last_one_is_kept(served: Served, kept: Path) -> None:
    async with served(keep=1) as client:
        for source in ("stats/penguins", "orders", "returns"):
            last = await make(client, source)
            assert [file.stem for file in kept.iterdir()] == [last]


async def test_a_damaged_file_is_logged_and_left_out_of_the_list(served: Served, kept: Path) -> None:
    damaged = "20250101-000000-x-aaaaaa"
    async with served() as client:
        whole = await make(client)
        (kept / f"{damaged}.json").write_text('{"id": 1}', encoding="utf-8")
        assert [entry["id"] for entry in json.loads(await read(client, "report://reports"))] == [whole]
        with pytest.raises(MCPError, match="its file does not contain a report"):
            await read(client, f"report://reports/{damaged}")


@pytest.mark.parametrize("report_id", ["nothing", "20250101-000000-x-bbbbbb", "..", "%2e%2e%2fx", "A" * 200])
async def test_an_unknown_id_is_a_resource_not_found_error(served: Served, report_id: str) -> None:
    async with served() as client:
        for path in ("", "/html", "/markdown"):
            with pytest.raises(MCPError) as caught:
                await read(client, f"report://reports/{report_id}{path}")
            assert caught.value.code == -32602


async def test_ids_are_completed_the_newest_first(served: Served) -> None:
    async with served() as client:
        made = {await make(client), await make(client, "stats/penguins")}
        for template in ("report://reports/{id}", "report://reports/{id}/html", "report://reports/{id}/markdown"):
            ref = ResourceTemplateReference(type="ref/resource", uri=template)
            found = (await client.complete(ref, {"name": "id", "value": ""})).completion.values
            assert found == sorted(made, reverse=True)
            found = (await client.complete(ref, {"name": "id", "value": "Peng"})).completion.values
            assert [value.split("-")[2] for value in found] == ["penguins"]


async def test_a_report_is_deleted(served: Served, refused: Refused, kept: Path) -> None:
    async with served() as client:
        report_id = await make(client)
        result = await client.call_tool("delete_report", {"id": report_id})
        assert result.structured_content == {"id": report_id, "title": "Report on orders"}
        assert list(kept.iterdir()) == []
        text = refused(await client.call_tool("delete_report", {"id": report_id}))
        assert text == f"No report {report_id!r} is kept. There are none yet."
        assert "No report '../x' is kept." in refused(await client.call_tool("delete_report", {"id": "../x"}))


async def test_subscribers_of_the_list_are_notified_of_a_new_report(served: Served) -> None:
    async with served(mode="auto") as client, client.listen(resource_subscriptions=["report://reports"]) as events:
        await make(client)
        with anyio.fail_after(30):
            async for event in events:
                assert getattr(event, "uri", None) == "report://reports"
                break


async def test_a_folder_that_cannot_be_written_is_reported(served: Served, refused: Refused, kept: Path) -> None:
    kept.parent.mkdir(parents=True)
    kept.write_text("a file in the place of the folder", encoding="utf-8")
    async with served() as client:
        text = refused(await client.call_tool("generate_report", {"source": "orders"}))
    assert text == "The report cannot be kept: File exists."


def caller(client: str, subject: str | None, issuer: str = "https://issuer.test") -> AuthenticatedUser:
    claims = {"iss": issuer}
    return AuthenticatedUser(AccessToken(token="t", client_id=client, scopes=[], subject=subject, claims=claims))


async def test_a_report_belongs_to_its_caller(served: Served, refused: Refused) -> None:
    ann, bob = caller("app", "ann"), caller("app", "bob")
    robot, imposter = caller("ann", None), caller("app", "ann", "https://other.test")
    made: dict[str, str] = {}

    async def listed(user: AuthenticatedUser | None) -> list[str]:
        token = auth_context_var.set(user)
        try:
            async with served() as client:
                return [entry["id"] for entry in json.loads(await read(client, "report://reports"))]
        finally:
            auth_context_var.reset(token)

    for name, user in (("ann", ann), ("nobody", None)):
        token = auth_context_var.set(user)
        async with served() as client:
            made[name] = await make(client)
        auth_context_var.reset(token)
    assert await listed(ann) == [made["ann"]]
    assert await listed(caller("another app", "ann")) == [made["ann"]]
    assert await listed(None) == [made["nobody"]]
    for other in (bob, robot, imposter):
        assert await listed(other) == []
        token = auth_context_var.set(other)
        async with served() as client:
            for path in ("", "/html", "/markdown"):
                with pytest.raises(MCPError, match=r"is kept\. There are none yet\."):
                    await read(client, f"report://reports/{made['ann']}{path}")
            ref = ResourceTemplateReference(type="ref/resource", uri="report://reports/{id}")
            assert (await client.complete(ref, {"name": "id", "value": ""})).completion.values == []
            assert "is kept" in refused(await client.call_tool("delete_report", {"id": made["ann"]}))
        auth_context_var.reset(token)
    assert await listed(ann) == [made["ann"]]
