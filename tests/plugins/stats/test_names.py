from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_host.testing import connect
from mcp_plugin_stats import plugin

Parquet = Callable[[Path, str], None]

HARD_NAMES = [
    'say "hi"',
    "it's",
    "select",
    "a b",
    "naïve 体重 🐧",
    "x",
    "a",
    "b",
    "bin",
    "c1",
    "data",
    "#1",
    "%s",
    "$1",
    "--",
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.sampled_from(HARD_NAMES)
        | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
        min_size=2,
        max_size=4,
        unique_by=str.casefold,
    )
)
def test_a_column_may_have_any_name(
    names: list[str], parquet: Parquet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("names")
    columns = ", ".join('range AS "' + name.replace('"', '""') + '"' for name in names)
    parquet(folder / "t.parquet", f"SELECT {columns} FROM range(5)")

    async def ask() -> None:
        async with connect(plugin, settings={"datasets": {"t": str(folder / "t.parquet")}}) as client:
            described = await client.call_tool("describe_dataset", {"dataset": "t"})
            assert described.structured_content is not None, described.content
            assert [column["name"] for column in described.structured_content["columns"]] == names
            calls: list[tuple[str, dict[str, Any]]] = [
                ("correlate", {"columns": names}),
                ("correlate", {"columns": names, "method": "spearman"}),
                ("group_by", {"by": names, "column": names[0], "aggregate": "median"}),
                ("histogram", {"column": names[0]}),
                ("chart", {"kind": "scatter", "x": names[0], "y": names[1:]}),
                ("chart", {"kind": "bar", "x": names[0], "y": names[1], "group": names[0]}),
            ]
            for tool, arguments in calls:
                result = await client.call_tool(tool, {"dataset": "t", **arguments})
                assert not result.is_error, result.content

    anyio.run(ask)
