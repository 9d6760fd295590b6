"""`mcp-host new`: the project of a new plugin.

`naming` checks its name · `project` makes the texts of its files · `writing` writes all of them to the disk, or none ·
`templates/` has the files, with `{{placeholders}}` and with names that no tool treats as code.
"""
