"""Resident memory during reloads that replace a plugin with a native library. A call after each reload opens it."""

from __future__ import annotations

import argparse
import asyncio

import psutil
from mcp import Client

from mcp_host.config import HostConfig, parse_config
from mcp_host.plugins.discovery import discover
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer


def config(number: int) -> HostConfig:
    """Return a configuration that differs from the previous one."""
    return parse_config(f"[plugins.stats]\nsettings.digits = {number % 10 + 1}", environ={})


async def measure(reloads: int) -> None:
    """Print the resident memory eight times, in MiB."""
    process = psutil.Process()
    host = Host(config(0), installed=discover(), adopt=adopt)
    server = HostServer(host, reloads=True)
    print("reloads  MiB  threads  descriptors")
    async with host.running():
        for number in range(1, reloads + 1):
            await host.reload(config(number), installed=discover())
            async with Client(server) as client:
                await client.call_tool("describe_dataset", {"dataset": "penguins"})
            if number % max(1, reloads // 8) == 0:
                mebibytes = process.memory_info().rss / 2**20
                print(f"{number:7} {mebibytes:6.1f} {process.num_threads():5} {process.num_fds():8}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=240)
    asyncio.run(measure(parser.parse_args().reloads))
