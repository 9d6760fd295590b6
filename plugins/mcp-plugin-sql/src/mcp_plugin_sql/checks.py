"""The checks for `mcp-host check`: the database answers, and its role does not have too many rights."""

from __future__ import annotations

from mcp_host import PluginContext, ToolError
from mcp_plugin_sql.app import plugin
from mcp_plugin_sql.database import Database
from mcp_plugin_sql.settings import Settings
from mcp_plugin_sql.target import parse_url

POWERFUL = """
SELECT bool_or(rolsuper) OR bool_or(rolname IN
('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_signal_backend'))
FROM pg_catalog.pg_roles WHERE pg_has_role(current_user, oid, 'USAGE')
"""


@plugin.check("the database answers")
async def database_answers(context: PluginContext[Settings]) -> str | None:
    """Return why the database does not answer, or None."""
    try:
        await _value(context, "SELECT 1")
    except ToolError as error:
        return str(error)
    return None


@plugin.check("the role has no rights that a read-only transaction does not limit")
async def role_is_limited(context: PluginContext[Settings]) -> str | None:
    """Report a PostgreSQL role that is a superuser, or may run programs or read and write files on the server."""
    settings = context.settings
    if settings.writable or parse_url(settings.url).kind != "postgresql":
        return None
    try:
        powerful = await _value(context, POWERFUL)
    except ToolError:
        return None  # The other check reports this error.
    return "it may run programs and read files on the server: use a role that may only SELECT" if powerful else None


async def _value(context: PluginContext[Settings], sql: str) -> object:
    database = Database(context.settings, context.host.base_dir, context.log)
    try:
        return (await database.query(sql, None)).rows[0][0]
    finally:
        await database.close()
