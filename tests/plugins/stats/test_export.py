from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import duckdb
import pytest
from mcp import Client
from mcp.types import CallToolResult

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


async def test_a_query_is_exported_only_into_the_folder_of_the_settings(
    served: Served, refused: Refused, folder: Path
) -> None:
    (folder / "out").mkdir()
    async with served(export_folder="out") as client:
        arguments = {"sql": "SELECT species, year FROM penguins"}
        for name in ("p.csv", "p.parquet"):
            result = await client.call_tool("export_query", arguments | {"file": name})
            assert result.structured_content == {"file": name, "rows": 344}
            with duckdb.connect(":memory:") as connection:
                assert connection.execute(f"SELECT count(*) FROM '{folder}/out/{name}'").fetchall() == [(344,)]
        assert "already a file p.csv" in refused(await client.call_tool("export_query", arguments | {"file": "p.csv"}))
        assert (await client.call_tool("export_query", arguments | {"file": "../p.csv"})).is_error
        stolen = {"sql": "SELECT * FROM '/etc/passwd'", "file": "x.csv"}
        assert "no data set" in refused(await client.call_tool("export_query", stolen))
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["p.csv", "p.parquet"]


async def test_there_is_no_export_without_the_setting(served: Served) -> None:
    async with served() as client:
        assert "export_query" not in {tool.name for tool in (await client.list_tools()).tools}
