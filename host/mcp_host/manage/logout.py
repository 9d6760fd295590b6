"""`mcp-host logout`: revokes the tokens for a remote server, and removes them."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer

from mcp_host.cli import completion
from mcp_host.cli.common import ConfigOption, JsonOption, read_config
from mcp_host.cli.output import print_json, problem_text, write
from mcp_host.errors import HostError, Problem
from mcp_host.manage.login import login_of, store_of
from mcp_host.system.texts import printable


def logout(
    name: Annotated[
        str, typer.Argument(metavar="PLUGIN", help="The plugin.", autocompletion=completion.enabled_plugins)
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Log out of the remote server of a plugin.

    The tokens are revoked, if the authorization server offers that, and removed in any case.
    """
    from mcp_host.config.secrets import Redactor
    from mcp_host.system.logs import configure_logging

    found = read_config(config)
    about = login_of(name, found)
    configure_logging("error", Redactor(filter(None, [about.secret])))
    store = store_of(found, name, about.url)
    removed, revoked, problem = False, False, ""
    try:
        tokens = store.load()
    except HostError as error:
        tokens, problem = None, error.what
    if tokens is not None:
        from mcp_host.upstream.oauthclient import revoked as revoke

        try:
            revoked = asyncio.run(revoke(about, tokens))
        except HostError as error:
            problem = error.what
    if tokens is not None or problem or os.path.lexists(store.file):
        store.remove()
        removed = True
    if as_json:
        print_json(
            {"plugin": name, "url": about.url, "removed": removed, "revoked": revoked, "problem": problem or None}
        )
        return
    if problem:
        what = f"the tokens are not revoked: {problem}"
        write(problem_text(Problem(what, hint="revoke them at the server's own pages"), "warning"), sys.stderr)
    if not removed:
        write(printable(f"Nobody was logged in to {about.url} for the plugin {name}."))
        return
    how = "The tokens are revoked and removed." if revoked else "The tokens are removed here; they are not revoked."
    write(printable(f"Logged out of {about.url} for the plugin {name}. {how}"))
