"""`mcp-host login` and `logout`, and a host whose remote servers require tokens: each as a process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.oauthserver import Remote, browse, remote_server

if TYPE_CHECKING:
    from support.processes import Cli, Process

each_era = pytest.mark.parametrize("era", ["auto", "legacy"])


@pytest.fixture
def remote() -> Iterator[Remote]:
    with remote_server() as remote:
        yield remote


def configure(cli: Cli, remote: Remote, auth: str = '"oauth"', more: str = "", era: str = "auto") -> None:
    cli.config(
        f"""
        [host]
        data_dir = "data"

        [plugins.remote]
        url = "{remote.url}"
        auth = {auth}
        era = "{era}"
        {more}
        """
    )


def page_of(process: Process) -> str:
    """Wait until the address of the page is printed, and return it."""
    process.until_logged("\n\n  http")
    process.until_logged("response_type=code")
    found = re.search(r"^  (http\S+)$", process.err, re.MULTILINE)
    assert found is not None
    return found[1]


def log_in(cli: Cli, *options: str, name: str = "remote", code: int = 0) -> tuple[str, str]:
    """Log in through the page, and return stdout and stderr."""
    with cli.start("login", name, *options) as process:
        browse(page_of(process))
        out = process.stdout.read()
        assert process.wait() == code, process.err
        return out, process.err


def call(cli: Cli, tool: str = "whoami") -> str:
    done = cli.run("call", tool)
    return done.out.strip() if done.code == 0 else f"{done.code}: {done.err}"


def tokens_file(cli: Cli, name: str = "remote") -> Path:
    return cli.folder / "data" / name / "oauth.json"


def kept(cli: Cli, name: str = "remote") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tokens_file(cli, name).read_text(encoding="utf-8"))["tokens"]
    return found


@each_era
def test_after_a_login_the_tools_of_the_server_are_served(cli: Cli, remote: Remote, era: str) -> None:
    configure(cli, remote, era=era)
    out, err = log_in(cli)
    assert f"Logged in to {remote.url} for the plugin remote." in out
    assert f"The tokens are kept in {tokens_file(cli)}." in out
    assert call(cli) == "ann"
    assert remote.auth.asked[1:3] == [
        "register authorization_code refresh_token",
        f"authorize None {remote.url}",
    ]
    tokens = kept(cli)
    shown = out + err + cli.run("check", "--json").out + cli.run("inspect", "--json").out
    for secret in (tokens["access_token"], tokens["refresh_token"]):
        assert secret not in shown
        assert secret not in (cli.folder / "data/remote/definitions.json").read_text(encoding="utf-8")
