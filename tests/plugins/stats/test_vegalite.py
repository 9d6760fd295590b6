"""The Vega-Lite specifications: valid by the official schema, and drawn by Vega itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import vl_convert
from jsonschema import Draft7Validator
from mcp import Client

from plugins.stats.charts import chart_of

Served = Callable[..., AbstractAsyncContextManager[Client]]
Parquet = Callable[[Path, str], None]

pytestmark = pytest.mark.anyio

SCHEMA = Draft7Validator(
    json.loads((files("altair") / "vegalite" / "v6" / "schema" / "vega-lite-schema.json").read_text(encoding="utf-8"))
)

VERSIONS = ("5.21", "6.4")
"""The versions of Vega-Lite that must draw a specification."""

ODD = ["a.b[0]", 'it\'s "x"', "$x_1$ {{}} <b>", "datum['y']", "体重 \\ \n"]
"""Names of columns that mean something to Vega, to HTML or to JSON."""


def drawn(specification: dict[str, Any]) -> list[ElementTree.Element]:
    """Check the specification, and return the marks and texts of the drawing."""
    SCHEMA.validate(specification)
    pictures = [vl_convert.vegalite_to_svg(specification, vl_version=version) for version in VERSIONS]
    for picture in pictures:
        assert "NaN" not in picture
        assert "undefined" not in picture
    return list(ElementTree.fromstring(pictures[-1]).iter())


def texts(elements: list[ElementTree.Element]) -> list[str]:
    return [element.text or "" for element in elements if element.tag.endswith("}text")]


def marks(elements: list[ElementTree.Element], kind: str) -> int:
    """Count the marks that Vega describes as this kind."""
    return sum(1 for element in elements if element.get("aria-roledescription") == kind)


async def test_a_bar_is_drawn_for_every_category_with_its_label(served: Served) -> None:
    async with served() as client:
        chart = await chart_of(client, dataset="penguins", kind="bar", x="species", title="Penguins")
        stacked = await chart_of(client, dataset="penguins", kind="bar", x="island", group="species")
        beside = await chart_of(client, dataset="penguins", kind="bar", x="island", group="sex", y="body_mass_g")
    elements = drawn(chart.vega_lite)
    assert marks(elements, "bar") == 3
    assert {"Adelie", "Gentoo", "Chinstrap", "Penguins", "species", "rows"} <= set(texts(elements))
    elements = drawn(stacked.vega_lite)
    assert marks(elements, "bar") == 5
    assert {"Biscoe", "Dream", "Torgersen", "Adelie", "Gentoo", "Chinstrap"} <= set(texts(elements))
    assert marks(drawn(beside.vega_lite), "bar") == 9


async def test_dates_are_drawn_in_utc_whatever_the_zone_of_the_reader(served: Served, folder: Path) -> None:
    (folder / "t.csv").write_text("d,v\n1899-12-31,1\n1900-01-31,5\n1900-02-28,3\n")
    async with served(datasets={"t": "t.csv"}) as client:
        line = await chart_of(client, dataset="t", kind="line", x="d", y="v", period="month")
        scatter = await chart_of(client, dataset="t", kind="scatter", x="d", y="v")
        bars = await chart_of(client, dataset="t", kind="bar", x="d", y="v", period="month")
    elements = drawn(line.vega_lite)
    assert [text for text in texts(elements) if re.fullmatch(r"\d{4}-\d\d", text)] == ["1899-12", "1900-01", "1900-02"]
    assert marks(elements, "point") == 3
    assert [tick.label for tick in scatter.x.ticks] == [
        text for text in texts(drawn(scatter.vega_lite)) if re.fullmatch(r"\d{4}-\d\d-\d\d", text)
    ]
    assert marks(drawn(bars.vega_lite), "bar") == 3


async def test_boxes_have_whiskers_a_median_and_their_outliers(served: Served) -> None:
    async with served() as client:
        chart = await chart_of(client, dataset="penguins", kind="box", x="species", y="body_mass_g", group="sex")
        alone = await chart_of(client, dataset="penguins", kind="box", y="body_mass_g")
    elements = drawn(chart.vega_lite)
    assert marks(elements, "bar") == marks(elements, "rule mark") == marks(elements, "tick") == len(chart.boxes) == 8
    assert marks(elements, "point") == sum(len(box.outliers) for box in chart.boxes) == 3
    assert marks(drawn(alone.vega_lite), "bar") == 1


@pytest.mark.parametrize("kind", ["line", "bar", "scatter", "box"])
async def test_names_of_columns_are_only_titles(served: Served, folder: Path, parquet: Parquet, kind: str) -> None:
    x, y, group, *_ = (name.replace('"', '""') for name in (ODD if kind in ("line", "box") else ODD[::-1]))
    value = "CAST(n AS DOUBLE)" if kind == "scatter" else "'v.' || n % 3 || '[\"]'"
    parquet(
        folder / "t.parquet",
        f'SELECT {value} AS "{x}", n % 5 AS "{y}", \'g.\' || n % 2 AS "{group}" FROM range(60) t(n)',
    )
    names = [name.replace('""', '"') for name in (x, y, group)]
    async with served(datasets={"t": "t.parquet"}) as client:
        chart = await chart_of(client, dataset="t", kind=kind, x=names[0], y=names[1], group=names[2])
        result = await client.call_tool(
            "chart", {"dataset": "t", "kind": kind, "x": names[0], "y": names[1], "group": names[2]}
        )
    assert [content.type for content in result.content] == ["text", "image"]
    elements = drawn(chart.vega_lite)
    assert {"g.0", "g.1"} <= set(texts(elements))
    assert any(name.strip() in text for name in names for text in texts(elements))
    if kind in ("bar", "box"):
        assert marks(elements, "bar") == 6
        assert {'v.0["]', 'v.1["]', 'v.2["]'} <= set(texts(elements))
    if kind == "scatter":
        assert marks(elements, "point") >= 60


async def test_extreme_dates_and_numbers_are_drawn(served: Served, folder: Path, parquet: Parquet) -> None:
    rows = "(DATE '0001-01-01', 9007199254740993), (DATE '9999-12-31', -9007199254740993)"
    parquet(folder / "t.parquet", f"SELECT * FROM (VALUES {rows}) t(d, v)")
    (folder / "one.csv").write_text("d,v\n2024-02-29 12:00:00,5\n")
    async with served(datasets={"t": "t.parquet", "one": "one.csv"}) as client:
        for dataset in ("t", "one"):
            for kind in ("line", "bar", "scatter", "box"):
                chart = await chart_of(client, dataset=dataset, kind=kind, x="d", y="v")
                drawn(chart.vega_lite)
                arguments = {"dataset": dataset, "kind": kind, "x": "d", "y": "v"}
                assert not (await client.call_tool("chart", arguments)).is_error
