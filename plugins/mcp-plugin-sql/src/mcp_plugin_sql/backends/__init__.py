"""The databases and drivers, one file each: how it is opened, kept read-only and stopped, and its errors."""

from __future__ import annotations

from pathlib import Path

from mcp_plugin_sql.backends.base import Backend
from mcp_plugin_sql.settings import Settings
from mcp_plugin_sql.target import driver_of, parse_url

__all__ = ["Backend", "backend_of"]


def backend_of(settings: Settings, base_dir: Path) -> Backend:
    """Return the backend for the configured database. This opens nothing and does not import SQLAlchemy.

    Raises:
        MissingDriverError: The driver's package is not installed.
    """
    parsed = parse_url(settings.url)
    driver = driver_of(parsed)
    if parsed.kind == "sqlite":
        from mcp_plugin_sql.backends.sqlite import SQLite

        return SQLite(parsed, settings, base_dir)
    if parsed.kind == "mysql":
        from mcp_plugin_sql.backends.mysql import MySQL

        return MySQL(parsed, settings, base_dir)
    if driver == "psycopg":
        from mcp_plugin_sql.backends.psycopg import Psycopg

        return Psycopg(parsed, settings, base_dir)
    from mcp_plugin_sql.backends.asyncpg import Asyncpg

    return Asyncpg(parsed, settings, base_dir)
