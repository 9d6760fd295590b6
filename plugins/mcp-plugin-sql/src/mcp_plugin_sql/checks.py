"""What `mcp-host check` asks: whether the database answers, and whether the role it is asked as may do too much."""

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
    """Why it does not."""
    try:
        await _value(context, "SELECT 1")
    except ToolError as error:
        return str(error)
    return None


@plugin.check("the role has no powers that a read-only transaction cannot hold")
async def role_is_harmless(context: PluginContext[Settings]) -> str | None:
    """That the role is a superuser of PostgreSQL's, or may run programs or read and write files of the server."""
    settings = context.settings
    if settings.writable or parse_url(settings.url).kind != "postgresql":
        return None
    try:
        powerful = await _value(context, POWERFUL)
    except ToolError:
        return None  # The other check says so.
    return "it may run programs and read files on the server: use a role that may only SELECT" if powerful else None


async def _value(context: PluginContext[Settings], sql: str) -> object:
    database = Database(context.settings, context.host.base_dir, context.log)
    try:
        return (await database.query(sql, None)).rows[0][0]
    finally:
        await database.close()
