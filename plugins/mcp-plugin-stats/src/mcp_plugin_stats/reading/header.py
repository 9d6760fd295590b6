"""Decides whether the first row of a table has the names of the columns, from the types of all other rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_plugin_stats.reading.cells import MISSING, Column

NUMBER = re.compile(r"[+-]?(\d[\d.,]*|\.\d+)([eE][+-]?\d+)?")
MOMENT = re.compile(r"\d[\d\-/.:TZ+ ]*")
YEARS = range(1000, 3000)


def is_header(first: Sequence[str], columns: Sequence[Column]) -> tuple[bool, str | None]:
    """Return whether the first row is the header, and a note if that is not certain."""
    typed = [(cell.strip(), column) for cell, column in zip(first, columns, strict=True) if column.type is not None]
    if not all(_fits(cell, str(column.type)) for cell, column in typed):
        return True, None
    if not typed:
        values = [cell.strip() for cell in first if NUMBER.fullmatch(cell.strip()) or MOMENT.fullmatch(cell.strip())]
        return True, _doubt(values) if values else None
    listed = ", ".join([cell for cell, _ in typed if cell][:5])
    corner = not first[0].strip() and all(cell.strip() for cell in first[1:]) and len(set(first)) == len(first) > 1
    if corner and not any(cell for cell, _ in typed):
        return True, None
    if corner or _are_names([cell for cell, _ in typed if cell]):
        return True, _doubt([cell for cell, _ in typed if cell])
    return False, (
        f"the first row ({listed}, ...) is read as data, because it fits the types of the other rows: header = true "
        "makes it the header"
    )


def _doubt(cells: Sequence[str]) -> str:
    return f"the first row is read as the header, though {', '.join(cells[:5])} could be data: header = false says so"


def _fits(cell: str, type_: str) -> bool:
    if cell.lower() in MISSING:
        return True
    if type_ == "BOOLEAN":
        return cell.lower() in ("true", "false")
    if type_.startswith(("DATE", "TIME")):
        return MOMENT.fullmatch(cell) is not None
    return NUMBER.fullmatch(cell) is not None


def _are_names(cells: Sequence[str]) -> bool:
    """Return whether numbers are rather names: different years, or 0, 1, 2 ... in order."""
    if not cells or len(set(cells)) < len(cells) or not all(re.fullmatch(r"\d{1,4}", cell) for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    return all(number in YEARS for number in numbers) or (len(numbers) > 1 and numbers == list(range(len(numbers))))
