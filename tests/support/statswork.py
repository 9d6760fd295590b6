"""Work for the worker of the stats plugin. The worker imports it, so it is in a module of its own."""

from __future__ import annotations

from pathlib import Path

import duckdb

from mcp_plugin_stats.worker.session import Session

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b"


def fail_inside(session: Session) -> None:
    """Fail as DuckDB does when it has an error of its own."""
    raise duckdb.InternalException("out of order")


def endless(session: Session, began: Path, ended: Path) -> None:
    """Work without end. Files appear when it begins, and when it ends because it was interrupted."""
    began.touch()
    try:
        session.value(ENDLESS)
    except duckdb.InterruptException:
        ended.touch()
        raise


def held(session: Session, began: Path, gate: Path) -> int:
    """Work until something is written into the FIFO `gate`. The file `began` appears before."""
    began.touch()
    with gate.open("rb") as file:
        file.read()
    return 7


def exhaust(session: Session) -> None:
    """Fail as Python does without enough memory."""
    raise MemoryError


def unsendable(session: Session) -> object:
    """Return what cannot be sent to another process."""
    return lambda: None
