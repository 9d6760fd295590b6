"""The MCP server that serves a host's catalog. It may use internals of the SDK that a minor release could change."""
