"""The tools, one file per question: `READING` is always contributed, `WRITING` where a root is writable."""

from mcp_plugin_files.tools.edit import EDIT_FILE
from mcp_plugin_files.tools.listing import LIST_FILES
from mcp_plugin_files.tools.read import READ_FILE
from mcp_plugin_files.tools.search import SEARCH_FILES
from mcp_plugin_files.tools.write import WRITE_FILE

READING = (LIST_FILES, READ_FILE, SEARCH_FILES)
WRITING = (WRITE_FILE, EDIT_FILE)

__all__ = ["READING", "WRITING"]
