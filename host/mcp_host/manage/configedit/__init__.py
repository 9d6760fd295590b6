"""Changes `mcp-host.toml`: one statement at a time, every other byte as it was, and the file whole at every moment.

tomlkit alone is not enough: it puts a new key below the comment that is about the next table, moves tables that are
not side by side, and does not give back the bytes of before when a plugin is disabled and enabled again.

A change is a function from the text to the new text (`plugins`, `requires`). What it touches is edited as a statement
of its own (`statements`; tomlkit, where a value has parts), the rest is copied; then both texts are read, and a change
that did more or less than asked is refused (`document`). `editing` does a change to a file, `newfile` writes a first
one, and `showing` is what a person sees of either.
"""

from mcp_host.manage.configedit.editing import Change, Edit, edit_file, write_new
from mcp_host.manage.configedit.newfile import new_config
from mcp_host.manage.configedit.plugins import disable_plugin, enable_plugin, remove_plugin
from mcp_host.manage.configedit.requires import set_requires
from mcp_host.manage.configedit.showing import diff, masked

__all__ = [
    "Change",
    "Edit",
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
