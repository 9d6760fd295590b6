"""11. Input is checked before anything else happens, and callers get clear errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from guide.servers.reports import plugin
from guide.talking import refusal, structured
from mcp_host.testing import connect
from support.issuer import Issuer, serving_issuer

pytestmark = pytest.mark.anyio

SALES = {"sales": [{"day": f"2026-0{month}-15", "amount": month} for month in range(1, 6)]}


@pytest.fixture
def hooks() -> Iterator[Issuer]:
    """A real HTTP endpoint that accepts posts to `/done`."""
    with serving_issuer() as server:
        server.documents["/done"] = {}
        yield server


async def test_a_report_counts_the_rows_in_its_range(mode: str) -> None:
    async with connect(plugin, mode=mode, settings=SALES) as client:
        said = await structured(client, "generate_report", report_type="sales", first="2026-02-01", last="2026-03-31")
    assert said == {"report_type": "sales", "sales": 2, "total": 5.0}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"report_type": "magic", "first": "2026-01-01", "last": "2026-01-02"}, "report_type: Input should be 'sales'"),
        ({"report_type": "sales", "first": "soon", "last": "2026-01-02"}, "first: Input should be a valid date"),
        ({"report_type": "sales", "first": "2026-01-01"}, "last: Field required"),
        (
            {"report_type": "sales", "first": "2026-01-02", "last": "2026-01-01"},
            "The range ends on 2026-01-01, before it begins on 2026-01-02.",
        ),
    ],
)
async def test_a_report_that_makes_no_sense_is_an_error_for_the_model(
    mode: str, arguments: dict[str, str], says: str
) -> None:
    async with connect(plugin, mode=mode) as client:
        assert says in await refusal(client, "generate_report", **arguments)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"data": ""}, "request.data: String should have at least 1 character"),
        ({"data": "x", "priority": 9}, "request.priority: Input should be less than or equal to 5"),
        ({"data": "x", "callback_url": "ftp://secret"}, "request.callback_url: String should match pattern"),
        ({}, "request.data: Field required"),
    ],
)
async def test_every_wrong_field_is_named_without_its_value(mode: str, request_: dict[str, Any], says: str) -> None:
    async with connect(plugin, mode=mode) as client:
        said = await refusal(client, "process_data_with_validation", request=request_)
    assert says in said
    assert "secret" not in said
    assert "pydantic" not in said


async def test_valid_input_is_processed_and_an_enum_is_its_value(mode: str) -> None:
    async with connect(plugin, mode=mode) as client:
        said = await structured(client, "process_data_with_validation", request={"data": "x" * 60, "priority": 2})
    assert said["status"] == "completed"
    assert said["processed_data"] == f"Processed: {'x' * 50}"
    assert (said["priority"], said["callback_sent"]) == (2, False)
    assert said["request_id"]


async def test_a_callback_is_sent_only_to_an_allowed_url(mode: str, hooks: Issuer) -> None:
    request = {"data": "x", "callback_url": f"{hooks.root}/done"}
    async with connect(plugin, mode=mode) as client:
        said = await refusal(client, "process_data_with_validation", request=request)
        assert said == f"{hooks.root}/done is not among the URLs that may be called back."
    async with connect(plugin, mode=mode, settings={"callbacks": [f"{hooks.root}/done"]}) as client:
        assert (await structured(client, "process_data_with_validation", request=request))["callback_sent"]
    assert hooks.asked == ["POST /done"]


async def test_a_crash_is_an_id_for_the_caller_and_a_traceback_in_the_log(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "http://127.0.0.1:1/password=hunter2"
    caplog.set_level(logging.ERROR)
    async with connect(plugin, mode=mode, settings={"callbacks": [nowhere]}) as client:
        said = await refusal(client, "process_data_with_validation", request={"data": "x", "callback_url": nowhere})
    identifier = said.partition("(error ")[2].partition(";")[0]
    assert len(identifier) == 8
    assert "hunter2" not in said
    assert "ConnectError" not in said
    assert identifier in caplog.text
    assert "ConnectError" in caplog.text
