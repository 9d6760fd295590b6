"""Computes figures from samples and prints them: as a table, or as JSON with facts about the machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table


def percentile(samples: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of 100 samples do not exceed."""
    if len(samples) == 1:
        return samples[0]
    return statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]


def machine() -> dict[str, Any]:
    """Return facts about the machine. `load` is the average of the last minute, `cores` the number of cores."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "mcp": version("mcp"),
        "mcp-host": version("mcp-host"),
    }


def show(title: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print the rows, which all have the same keys."""
    if as_json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=2))
        return
    table = Table(title=title, caption=", ".join(f"{key} {value}" for key, value in machine().items()))
    for key in rows[0]:
        table.add_column(key, justify="right" if isinstance(rows[0][key], int | float) else "left")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    Console(width=120).print(table)
