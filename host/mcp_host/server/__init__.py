"""The MCP server that serves a host's catalog. SDK internals that a minor release could move are used only in here."""
