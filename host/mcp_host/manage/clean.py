"""`mcp-host clean`: removes the environments of plugins' own processes that nobody has used for a while."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from mcp_host.cli.common import ConfigOption, JsonOption, read_config
from mcp_host.cli.live import status
from mcp_host.cli.output import print_json
from mcp_host.manage.editedfile import DryRunOption, say

_DAY = 86_400


def clean(
    days: Annotated[
        float, typer.Option("--unused-for", metavar="DAYS", min=0, help="Keep what was used within so many days.")
    ] = 30.0,
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the environments that nobody has used for a while.

    `requirements` in a plugin's table make an environment in the data folder, which stays when the table changes. One
    that a running host uses is never removed, and one that a table asks for again is made again.
    """
    from mcp_host.upstream.environments import remove_unused

    cache = read_config(config).data_dir / "environments"
    with status(f"Looking for environments in {cache} ..."):
        found = remove_unused(cache, unused_for=days * _DAY, dry_run=dry_run)
    if as_json:
        rows = [
            {"folder": str(each.folder), "requirements": list(each.requirements), "last_used": each.last_used}
            for each in found
        ]
        print_json({"dry_run": dry_run, "removed": rows})
        return
    for each in found:
        used = time.strftime("%Y-%m-%d", time.localtime(each.last_used))
        say(f"{each.folder.name}  last used {used}  {', '.join(each.requirements) or 'incomplete'}")
    count = "1 environment" if len(found) == 1 else f"{len(found)} environments"
    say(f"{'Would remove' if dry_run else 'Removed'} {count}." if found else "Nothing to remove.")
