"""Changes `mcp-host.toml` one statement at a time. All other bytes stay the same, and the file is replaced as a whole.

tomlkit alone is not enough: it puts a new key below the comment about the next table, it moves tables that are not side
by side, and the bytes of the file are not the same after a plugin is disabled and enabled again.

A change is a function from the text to the new text (`plugins`, `requires`). It edits single statements (`statements`;
with tomlkit, if a value has parts) and copies the rest. Then both texts are parsed, and a change that did more or less
than requested is refused (`document`). `editing` changes a file, `newfile` makes the first text, and `showing` makes
the texts that a person sees.
"""

from mcp_host.manage.configedit.editing import Change, Edit, edit_file, write_new
from mcp_host.manage.configedit.newfile import new_config
from mcp_host.manage.configedit.plugins import add_plugin, disable_plugin, enable_plugin, remove_plugin
from mcp_host.manage.configedit.requires import set_requires
from mcp_host.manage.configedit.showing import diff, masked

__all__ = [
    "Change",
    "Edit",
    "add_plugin",
    "diff",
    "disable_plugin",
    "edit_file",
    "enable_plugin",
    "masked",
    "new_config",
    "remove_plugin",
    "set_requires",
    "write_new",
]
