"""Other MCP servers as plugins: child processes, remote servers, and server objects of this process."""
