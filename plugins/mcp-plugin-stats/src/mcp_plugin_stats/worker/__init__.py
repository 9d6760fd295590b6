"""What runs in the worker: a process of its own in which DuckDB works with limited memory.

`__main__` is its entry · `process` starts it from the host's process and asks it · `desk` answers · `messages` is what
they send each other · `limits` bounds its memory · `sandbox`, `admission` and `session` limit what a query may do ·
`loading` makes the copies · `exporting` writes results · `describing`, `grouping`, `correlating`, `histograms` and
`charting` calculate · `chartrows`, `steps`, `extents` and `labels` are parts of a chart; `drawing`, `vegalite` and
`summary` write it as an image, for Vega-Lite and as text · `canvas` makes images.
No module here imports the MCP SDK.
"""
