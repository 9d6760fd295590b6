"""Discovers and loads plugins: from metadata to contributions, with a record and a bulkhead for each plugin."""
