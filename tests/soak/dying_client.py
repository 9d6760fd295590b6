"""A client that calls a tool that never ends, prints "holding" and is then killed. Uses the standard library only."""

import http.client
import json
import sys
from urllib.parse import urlsplit

url = urlsplit(sys.argv[1])
meta = {
    "progressToken": 1,
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "dying", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
params = {"name": "hold", "arguments": {}, "_meta": meta}
connection = http.client.HTTPConnection(str(url.netloc))
connection.request(
    "POST",
    url.path,
    json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
    {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "hold",
    },
)
response = connection.getresponse()
while line := response.readline():
    if b"holding" in line:
        print("holding", flush=True)
