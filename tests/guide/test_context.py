"""5. A large file in chunks, and a tool that reads a resource."""

from __future__ import annotations

from pathlib import Path

import pytest

from guide.servers import datasets, library
from guide.talking import refusal, structured
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio


def options(folder: Path) -> dict[str, object]:
    return {"plugins": {name: {"settings": {"folder": str(folder)}} for name in ("datasets", "library")}}


PLUGINS = {"datasets": datasets.plugin, "library": library.plugin}


async def test_a_large_file_is_worked_through_in_chunks(mode: str, folder: Path) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def seeing(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with connect(PLUGINS, mode=mode, options=options(folder)) as client:
        result = await client.call_tool(
            "process_large_dataset", {"dataset_name": "sales", "chunk_size": 1000}, progress_callback=seeing
        )
        assert result.structured_content == {"result": "2500 items, sum 5000"}
        assert (
            "There is no dataset '../sales'"
            in await refusal(client, "process_large_dataset", dataset_name="../sales", chunk_size=1)
            or (folder.parent / "sales.csv").exists()
        )
    assert seen == [
        (1000, 2500, "Processed 1000/2500 items"),
        (2000, 2500, "Processed 2000/2500 items"),
        (2500, 2500, "Processed 2500/2500 items"),
    ]


async def test_a_tool_reads_the_resource_of_another_plugin(mode: str, folder: Path) -> None:
    async with connect(PLUGINS, mode=mode, options=options(folder)) as client:
        said = await structured(client, "read_and_analyze_resource", resource_uri="file://documents/readme")
        again = await structured(client, "read_and_analyze_resource", resource_uri="file://documents/readme")
    assert (said["content_length"], said["word_count"], said["line_count"]) == (31, 6, 3)
    assert said["request_id"] != again["request_id"]
    assert said["client_id"] is None, "nobody asks for tokens here; test_authentication.py has a client's id"


async def test_a_missing_resource_is_an_error_for_the_model(mode: str, folder: Path) -> None:
    async with connect(PLUGINS, mode=mode, options=options(folder)) as client:
        said = await refusal(client, "read_and_analyze_resource", resource_uri="file://documents/nothing")
        assert said == "Document 'nothing' not found"
        said = await refusal(client, "read_and_analyze_resource", resource_uri="config://setings")
        assert said == "Unknown resource: config://setings (did you mean 'config://settings'?)"
