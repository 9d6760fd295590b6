"""What runs in the worker: a process of its own in which DuckDB works with limited memory.

`__main__` is its entry · `process` starts it from the host's process and asks it · `desk` answers · `messages` is what
they send each other · `limits` bounds its memory · `sandbox`, `admission` and `session` limit what a query may do ·
`loading` makes the copies · `exporting` writes results · `describing`, `grouping`, `correlating`, `charting` calculate.
No module here imports the MCP SDK.
"""
