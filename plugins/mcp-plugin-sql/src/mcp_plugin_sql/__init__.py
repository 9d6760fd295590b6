"""A database for mcp-host: its schema and read-only SQL, over SQLite, PostgreSQL or MySQL, through SQLAlchemy.

`settings` what may be configured, `target` what its URL says · `app` the plugin and its lifespan · `tools/`,
`resources`, `prompts`, `checks` what is served, `models` their results · `database` the pools, and one statement on its
way · `backends/` one file per kind of database · `bounded` how a statement is stopped · `catalog` tables and columns ·
`statement`, `values`, `collecting`, `failures` what goes in and comes out.
"""

from mcp_plugin_sql import checks, prompts, resources, tools
from mcp_plugin_sql.app import plugin
from mcp_plugin_sql.settings import Settings

__all__ = ["Settings", "checks", "plugin", "prompts", "resources", "tools"]
