"""`mcp-host new`: the project that a new plugin starts from.

`naming` what a plugin may be called · `project` a new plugin's facts, and the text of its files · `writing` those files
on disk, whole or not at all · `templates/` the files, with `{{placeholders}}` and a name that no tool takes for code.
"""
