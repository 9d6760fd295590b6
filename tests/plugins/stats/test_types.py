from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import duckdb
import pytest
from mcp import Client

from mcp_plugin_stats.worker.session import Session

Served = Callable[..., AbstractAsyncContextManager[Client]]
Parquet = Callable[[Path, str], None]

COLUMNS = """
    SELECT i::TINYINT AS tiny, i::UTINYINT AS utiny, i::HUGEINT AS huge, i::FLOAT AS f, i::DECIMAL(9, 2) AS m,
           i > 1 AS yes, DATE '2020-01-01' + i::INT AS d, TIMESTAMPTZ '2020-01-01 00:00:00+00' AS tz,
           TIMESTAMP '2020-01-01 00:00:00' + INTERVAL (i) DAY AS ts, TIME '10:00:00' AS t, i::VARCHAR::BLOB AS b,
           uuid() AS u, ('a' || i) AS s, [i, NULL] AS l, {'a': i, 'b': {'c': 'x'}} AS st, MAP {i: 'v'} AS k,
           INTERVAL (i) MONTH AS p, NULL AS n
    FROM range(1, 4) r(i)
"""


def test_every_type_of_duckdb_becomes_json() -> None:
    with duckdb.connect(":memory:") as connection:
        table = Session(connection).run(lambda session: session.select("FROM test_all_types()", 10))
    assert len(table.columns) > 40
    text = json.dumps(table.rows, allow_nan=False)
    assert json.loads(text) == table.rows


@pytest.mark.anyio
async def test_columns_of_every_type_are_described_grouped_and_sampled(
    served: Served, folder: Path, parquet: Parquet
) -> None:
    parquet(folder / "t.parquet", COLUMNS)
    async with served(datasets={"t": "t.parquet"}) as client:
        described = await client.call_tool("describe_dataset", {"dataset": "t"})
        assert described.structured_content is not None, described.content
        columns = {column["name"]: column for column in described.structured_content["columns"]}
        for name in columns:
            grouped = await client.call_tool("group_by", {"dataset": "t", "by": name, "column": name})
            assert not grouped.is_error, grouped.content
        sample = await client.read_resource("stats://datasets/t/sample?rows=1")
    for name in ("tiny", "utiny", "huge", "f", "m"):
        assert (columns[name]["min"], columns[name]["max"], columns[name]["mean"]) == (1, 3, 2)
        assert columns[name]["stdev"] == 1
    assert (columns["d"]["min"], columns["d"]["max"]) == ("2020-01-02", "2020-01-04")
    assert columns["ts"]["max"] == "2020-01-04T00:00:00"
    (row,) = json.loads(getattr(sample.contents[0], "text", ""))["rows"]
    values = dict(zip(columns, row, strict=True))
    assert (values["l"], values["st"], values["k"]) == ([1, None], {"a": 1, "b": {"c": "x"}}, {"1": "v"})
    assert (values["yes"], values["t"], values["n"], values["m"]) == (False, "10:00:00", None, 1.0)
