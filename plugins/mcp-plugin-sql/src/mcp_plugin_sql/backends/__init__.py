"""The databases and drivers, one file each: how it is opened, kept read-only and stopped, and its errors."""

from __future__ import annotations

from mcp_plugin_sql.backends.base import Backend, Place
from mcp_plugin_sql.target import driver_of

__all__ = ["Backend", "Place", "backend_of"]


def backend_of(place: Place) -> Backend:
    """Return the backend for a configured database. This opens nothing and does not import SQLAlchemy.

    Raises:
        MissingDriverError: The driver's package is not installed.
        HostError: The URL has an option that cannot be kept.
    """
    kind, driver = place.parsed.kind, driver_of(place.parsed)
    if kind == "sqlite":
        from mcp_plugin_sql.backends.sqlite import SQLite

        return SQLite(place)
    if kind == "mysql":
        from mcp_plugin_sql.backends.mysql import MySQL

        return MySQL(place)
    if driver == "psycopg":
        from mcp_plugin_sql.backends.psycopg import Psycopg

        return Psycopg(place)
    from mcp_plugin_sql.backends.asyncpg import Asyncpg

    return Asyncpg(place)
