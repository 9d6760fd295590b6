"""6. A database and an HTTP client that live as long as the server, typed in the context."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guide.servers.users import plugin
from guide.talking import refusal, structured
from mcp_host.errors import HostError
from mcp_host.testing import connect
from support.issuer import Issuer, serving_issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
def api() -> Iterator[Issuer]:
    """A real HTTP endpoint that knows user 1."""
    with serving_issuer() as server:
        server.documents["/users/1"] = {"city": "Bern"}
        yield server


def settings(folder: Path, api: Issuer) -> dict[str, Any]:
    return {"database": str(folder / "users.db"), "api": api.root}


async def test_a_tool_uses_the_database_and_the_http_client_of_the_lifespan(
    mode: str, folder: Path, api: Issuer
) -> None:
    async with connect(plugin, mode=mode, settings=settings(folder, api)) as client:
        said = await structured(client, "fetch_user_data", user_id=1)
    assert said == {"user_id": 1, "database_data": {"id": 1, "name": "Ann"}, "external_data": {"city": "Bern"}}


async def test_a_missing_user_or_a_silent_service_is_an_error_for_the_model(
    mode: str, folder: Path, api: Issuer
) -> None:
    async with connect(plugin, mode=mode, settings=settings(folder, api)) as client:
        assert await refusal(client, "fetch_user_data", user_id=3) == "There is no user 3."
        assert "404" in await refusal(client, "fetch_user_data", user_id=2)


async def test_the_lifespan_starts_once_for_all_requests_and_ends(
    mode: str, folder: Path, api: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connect(plugin, mode=mode, settings=settings(folder, api)) as client:
        for _ in range(3):
            await structured(client, "fetch_user_data", user_id=1)
        assert caplog.text.count("connected to") == 1
        assert "disconnected" not in caplog.text
    assert caplog.text.count("disconnected") == 1


async def test_a_failing_lifespan_is_reported_before_anything_is_served(folder: Path, api: Issuer) -> None:
    nowhere = {**settings(folder, api), "database": str(folder / "no" / "such.db")}
    with pytest.raises(HostError, match="unable to open database file"):
        async with connect(plugin, settings=nowhere):
            raise AssertionError("served without a database")
