"""Serves well-known servers, each by one `mcp-host add` or `mcp-host import` in a new folder, and prints the outcome.

`python tools/try_servers.py [PART OF A NAME ...]` installs from the package index and from npm, and starts what it
installed. It is run by hand; docs/performance.md has its last table. `npx` and `uvx` have to be on PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONGEST = 600.0
"""Seconds after which a command is given up."""


@dataclass(frozen=True)
class Try:
    """A server as its users name it. With variables, it is imported from a client's file, which is where they are."""

    source: str
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


TRIES = (
    Try("uvx:mcp-server-time"),
    Try("uvx:mcp-server-git"),
    Try("uvx:mcp-server-fetch"),
    Try("pypi:mcp-server-sqlite", ("--db-path", "data.sqlite")),
    Try("pypi:mcp-server-duckdb", ("--db-path", "data.duckdb")),
    Try("pypi:mcp-server-motherduck", ("--db-path", ":memory:", "--read-write")),
    Try("pypi:mcp-server-calculator"),
    Try("pypi:excel-mcp-server", ("stdio",)),
    Try("pypi:markitdown-mcp"),
    Try("pypi:arxiv-mcp-server"),
    Try("pypi:awslabs.aws-documentation-mcp-server"),
    Try("pypi:duckduckgo-mcp-server"),
    Try("pypi:wikipedia-mcp"),
    Try("pypi:office-word-mcp-server"),
    Try("pypi:mcp-pandoc"),
    Try("pypi:chroma-mcp"),
    Try("pypi:cli-mcp-server"),
    Try("uvx:mcp-alchemy", env={"DB_URL": "sqlite:///data.sqlite"}),
    Try("uvx:mcp-atlassian", env={"JIRA_URL": "https://example.atlassian.net", "JIRA_PERSONAL_TOKEN": "a-token"}),
    Try("uvx:mcp-clickhouse", env={"CLICKHOUSE_HOST": "localhost", "CLICKHOUSE_USER": "me", "CLICKHOUSE_PASSWORD": ""}),
    Try("uvx:minimax-mcp", env={"MINIMAX_API_KEY": "a-key", "MINIMAX_API_HOST": "https://example.com"}),
    Try("uvx:elevenlabs-mcp", env={"ELEVENLABS_API_KEY": "a-key"}),
    Try("npx:@modelcontextprotocol/server-everything"),
    Try("npx:@modelcontextprotocol/server-filesystem", (".",)),
    Try("npx:@modelcontextprotocol/server-memory"),
    Try("npx:@modelcontextprotocol/server-sequential-thinking"),
    Try("npx:@upstash/context7-mcp"),
    Try("npx:@playwright/mcp"),
    Try("npx:@notionhq/notion-mcp-server", env={"NOTION_TOKEN": "a-token"}),
    Try("npx:mcp-server-kubernetes"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only the servers whose names contain one of these")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each")
    options = parser.parse_args()
    for each in TRIES:
        if options.names and not any(name in each.source for name in options.names):
            continue
        try:
            row = tried(each)
        except subprocess.TimeoutExpired:
            row = {"command": each.source, "served": False, "why": "it took too long", "seconds": LONGEST}
        print(json.dumps(row) if options.json else _shown(row), flush=True)


def tried(each: Try) -> dict[str, Any]:
    """Serve one server in a folder of its own. Seconds are those of the first command, installation included."""
    with tempfile.TemporaryDirectory(prefix="mcp-host-try-") as folder:
        command = _command(each, Path(folder))
        env = {**os.environ, **each.env, "NO_COLOR": "1"}
        began = time.monotonic()
        added = _mcp_host(command, folder, env)
        seconds = time.monotonic() - began
        row = {"source": each.source, "command": f"mcp-host {' '.join(command)}", "seconds": round(seconds, 1)}
        if added.returncode != 0:
            return {**row, "served": False, "why": _last(added)}
        checked = _mcp_host(["check", "--json"], folder, env)
        try:
            report = json.loads(checked.stdout)
            (plugin,) = report["plugins"]
        except ValueError:
            return {**row, "served": False, "why": _last(checked)}
        if plugin["stage"] != "serving":
            return {**row, "served": False, "why": plugin["problem"]["what"]}
        server = plugin.get("connection") or {}
        return {
            **row,
            "served": True,
            "server": server.get("server"),
            "protocol": server.get("protocol_version"),
            "tools": len(plugin["contributed"]["tools"]),
        }


def _command(each: Try, folder: Path) -> list[str]:
    """Return what is typed, and write the client's file that it names."""
    if not each.env:
        return ["add", each.source, *(["--", *each.arguments] if each.arguments else [])]
    kind, _, package = each.source.partition(":")
    entry = {"command": kind, "args": [*(["-y"] if kind == "npx" else []), package, *each.arguments], "env": each.env}
    name = package.rpartition("/")[2]
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {name: entry}}), encoding="utf-8")
    return ["import", "mcp.json", "--yes"]


def _mcp_host(args: Sequence[str], folder: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcp_host", *args],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=LONGEST,
        check=False,
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip() or done.stdout.strip())[-600:]


def _shown(row: dict[str, Any]) -> str:
    what = f"{row['tools']} tools, {row['server']}, {row['protocol']}" if row["served"] else f"NOT SERVED: {row['why']}"
    return f"{row['command']}: {what} ({row['seconds']} s)"


if __name__ == "__main__":
    main()
