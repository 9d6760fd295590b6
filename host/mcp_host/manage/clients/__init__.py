"""The MCP clients that `install` knows, and their configuration files."""
