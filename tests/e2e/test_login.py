"""`mcp-host login` and `logout`, and a host whose remote servers require tokens: each as a process."""

from __future__ import annotations

import json
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.oauthserver import Remote, authorization_server, browse, remote_server

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli, Process

each_era = pytest.mark.parametrize("era", ["auto", "legacy"])


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the keyring of whoever runs the tests alone."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


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


PAGE = Path(__file__).parents[2] / "docs" / "guide" / "remote-servers.md"


def shown_on_the_page(cli: Cli, remote: Remote, text: str) -> bool:
    """Return whether the page of the guide shows this text, with its own names, in one of its blocks."""
    text = text.replace(str(cli.folder / "data"), "/home/you/.local/share/mcp-host")
    text = text.replace("remote", "tracker").replace(remote.auth.url, "https://tracker.example.com")
    text = re.sub(r"(?<=redirect_uri=)http\S+", "", text)
    blocks = re.findall(r"```text\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return re.sub(r"\n+", "\n", text.strip()) in [
        re.sub(r"\n+", "\n", re.sub(r"(?<=redirect_uri=)http\S+", "", block)) for block in blocks
    ]


def tokens_file(cli: Cli, name: str = "remote") -> Path:
    return cli.folder / "data" / name / "oauth.json"


def kept(cli: Cli, name: str = "remote") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tokens_file(cli, name).read_text(encoding="utf-8"))["tokens"]
    return found


@each_era
def test_after_a_login_the_tools_of_the_server_are_served(cli: Cli, remote: Remote, era: str) -> None:
    configure(cli, remote, era=era)
    out, err = log_in(cli)
    assert shown_on_the_page(cli, remote, err + out)
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


def test_a_login_with_more_scopes_keeps_those_of_the_last_one(cli: Cli, remote: Remote) -> None:
    configure(cli, remote, '{ scopes = ["read"] }')
    log_in(cli, "--scope", "write")
    log_in(cli, "--scope", "admin")
    assert kept(cli)["scope"] == "read write admin"
    done = cli.run("login", "remote", "--scope", "a b")
    assert (done.code, "'a b' is not one scope" in done.err) == (2, True)


def test_a_login_and_a_logout_as_json(cli: Cli, remote: Remote) -> None:
    configure(cli, remote, '{ scopes = ["read"] }')
    out, err = log_in(cli, "--json", "--no-browser")
    assert json.loads(out) == {
        "plugin": "remote",
        "url": remote.url,
        "issuer": remote.auth.url,
        "scopes": ["read"],
        "renews": True,
        "kept_in": str(tokens_file(cli)),
    }
    assert "open this page in a browser" in err
    assert stat.S_IMODE(tokens_file(cli).stat().st_mode) == 0o600
    done = cli.run("logout", "remote", "--json")
    gone = {"plugin": "remote", "url": remote.url, "removed": True, "revoked": True, "problem": None}
    assert done.json == gone
    assert not remote.auth.tokens
    assert not tokens_file(cli).exists()
    log_in(cli)
    assert shown_on_the_page(cli, remote, cli.run("logout", "remote").out)
    assert cli.run("logout", "remote").out == f"Nobody was logged in to {remote.url} for the plugin remote.\n"


def test_a_login_with_a_device_code(cli: Cli, remote: Remote) -> None:
    configure(cli, remote)
    with cli.start("login", "remote", "--device") as process:
        process.until_logged("This address has the code in it")
        browse(process.err.split("has the code in it: ")[1].split()[0])
        out = process.stdout.read()
        assert process.wait() == 0, process.err
        assert shown_on_the_page(cli, remote, process.err + out)
    assert kept(cli)["access_token"] in remote.auth.tokens


def test_an_authorization_server_at_another_private_address_is_one_error(cli: Cli) -> None:
    with authorization_server() as auth, remote_server(auth) as remote:
        configure(cli, remote)
        done = cli.run("login", "remote")
        assert done.code == 2
        assert done.err.splitlines() == [
            "error: the server names a private address: 127.0.0.1 is a loopback address, which is not allowed",
            '  hint:  if it is meant to, write its issuer: auth = { issuer = "https://..." }',
        ]
        assert auth.asked == []


def test_a_refused_login_keeps_nothing(cli: Cli, remote: Remote) -> None:
    configure(cli, remote)
    remote.auth.denies = True
    _, err = log_in(cli, code=2)
    assert "error: the login was refused: access_denied (Ann said <no>)" in err
    assert "Traceback" not in err
    assert not tokens_file(cli).exists()


def test_a_login_can_be_interrupted_and_has_a_time_limit(cli: Cli, remote: Remote) -> None:
    configure(cli, remote)
    with cli.start("login", "remote") as process:
        page_of(process)
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        assert "Traceback" not in process.err
    done = cli.run("login", "remote", "--timeout", "1")
    assert done.code == 2
    assert "error: nobody has logged in within 1 s" in done.err
    assert "hint:  mcp-host login remote" in done.err


def test_a_running_host_takes_a_later_login(cli: Cli, remote: Remote) -> None:
    configure(cli, remote)
    with cli.serve() as process:
        process.until_logged("mcp-host login remote")
        assert "nobody is logged in" in process.err
        assert remote.auth.asked == []
        log_in(cli)
        while cli.run("call", "whoami", "--url", process.url).out != "ann\n":
            assert process.alive


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ('url = "https://x.example/mcp"', "the table of the plugin 'remote' has no `auth`"),
        ('command = "x"', "the plugin 'remote' has no `url`, so there is nothing to log in to"),
        (
            'url = "https://x.example/mcp"\n'
            'auth = { grant = "client_credentials", client_id = "a", client_secret = "b" }',
            "nobody logs in to remote: the host gets its tokens by itself (client_credentials)",
        ),
        (
            'url = "https://x.example/mcp"\nauth = { client_id = "a", client_secret = { env = "NO_SUCH" } }',
            "the environment variable 'NO_SUCH' is not set",
        ),
    ],
)
def test_what_cannot_be_logged_in_to(invoke: Invoke, table: str, error: str) -> None:
    invoke.config(f"[plugins.remote]\n{table}\n")
    for command in ("login", "logout"):
        if command == "logout" and "client_credentials" in error:
            continue
        done = invoke(command, "remote")
        assert (done.code, done.out) == (2, "")
        assert f"error: {error}" in done.err
    assert "(did you mean 'remote'?)" in invoke("login", "remot").err
