"""The process's own descriptors and files: standard streams, atomic writes, and the log."""
