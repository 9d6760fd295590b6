"""A database for mcp-host: its schema and read-only SQL, for SQLite, PostgreSQL or MySQL, with SQLAlchemy.

`settings` has the settings, `target` reads the database's URL · `app` has the plugin and its lifespan · `tools/`,
`resources`, `prompts` and `checks` are what is served, `models` has their results · `database` has the pools and runs
statements · `backends/` has one file for each driver · `bounded` stops a statement · `catalog` describes tables and
columns · `statement`, `values`, `collecting` and `failures` handle parameters, values, rows and errors.
"""

from mcp_plugin_sql import checks, prompts, resources, tools
from mcp_plugin_sql.app import plugin
from mcp_plugin_sql.settings import Settings

__all__ = ["Settings", "checks", "plugin", "prompts", "resources", "tools"]
