"""Runs the code of plugins: its tasks and lifespans, its changes to the process, and its blocking of the event loop."""
