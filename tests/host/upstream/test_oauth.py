"""Logins to remote servers, and what becomes of the tokens while a host runs: against a real authorization server."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import keyring
import keyring.backends.fail
import pytest
from mcp import Client
from mcp.shared.auth import AuthorizationCodeResult
from mcp.shared.exceptions import MCPError

from mcp_host.config.oauthsection import OAuthSection
from mcp_host.errors import HostError
from mcp_host.manage.login import with_scopes
from mcp_host.manage.redirect import Redirect, redirects
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import make_host
from mcp_host.upstream.authorizing import DeviceCode, new_tokens, wants_login
from mcp_host.upstream.oauthclient import Login, revoked
from mcp_host.upstream.tokenstore import KeptTokens, TokenStore
from support.filekeyring import FileKeyring
from support.oauthserver import Remote, authorization_server, browse, remote_server, state_of
from support.talking import refusal, text_of
from support.webservers import Reply, redirect, web_server

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[3] / "docs" / "guide" / "remote-servers.md"

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])
each_session = pytest.mark.parametrize("era", ["auto", "legacy"])


@pytest.fixture(autouse=True)
def no_keyring() -> Iterator[None]:
    """Leave the keyring of whoever runs the tests alone."""
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


@pytest.fixture
def remote() -> Iterator[Remote]:
    with remote_server() as remote:
        yield remote


class Person:
    """Somebody who opens each page at once. `pages` has what the browser showed at the end."""

    def __init__(self, redirect: Redirect, *, device: bool = False) -> None:
        self._redirect = redirect
        self._device = device
        self.pages: list[tuple[int, str]] = []
        self.codes: list[DeviceCode] = []

    @property
    def redirect_uri(self) -> str:
        return self._redirect.uri

    def wants_device_code(self, *, offered: bool) -> bool:
        return self._device

    async def visit(self, url: str) -> None:
        self._redirect.state = state_of(url)
        self.pages.append(await asyncio.to_thread(browse, url))

    async def answer(self) -> AuthorizationCodeResult:
        return await self._redirect.answer()

    async def enter(self, code: DeviceCode) -> None:
        self.codes.append(code)
        self.pages.append(await asyncio.to_thread(browse, code.complete_url or code.url))


def about(remote: Remote, *, plugin: str = "remote", secret: str | None = None, **section: Any) -> Login:
    return Login(plugin, remote.url, OAuthSection.model_validate(section), secret)


async def log_in(login: Login, *, device: bool = False) -> tuple[KeptTokens, Person]:
    with anyio.fail_after(60):
        async with redirects(None) as redirect:
            person = Person(redirect, device=device)
            return await new_tokens(login, person), person


async def failure(login: Login, *, device: bool = False) -> HostError:
    with pytest.raises(HostError) as raised:
        await log_in(login, device=device)
    assert "\n" not in raised.value.what
    return raised.value


def store_of(folder: Path, login: Login) -> TokenStore:
    return TokenStore(folder / "data" / login.plugin, login.plugin, login.url)


async def logged_in(folder: Path, remote: Remote, **section: Any) -> KeptTokens:
    login = about(remote, **section)
    tokens, _ = await log_in(login)
    store_of(folder, login).save(tokens)
    return tokens


def config(folder: Path, remote: Remote, auth: str = '"oauth"', era: str = "auto", more: str = "") -> Path:
    file = folder / "mcp-host.toml"
    table = f'[plugins.remote]\nurl = "{remote.url}"\nauth = {auth}\nera = "{era}"\n'
    file.write_text(f'[host]\ndata_dir = "data"\n\n{table}{more}\n', encoding="utf-8")
    return file


@asynccontextmanager
async def serving(file: Path, mode: str = "auto") -> AsyncIterator[tuple[Host, Client]]:
    """Serve a configuration in memory, also when its server is not there."""
    host = make_host(file)
    server = HostServer(host)
    with anyio.fail_after(120):
        async with host.running(), Client(server, mode=mode) as client:
            yield host, client


async def whoami(client: Client, tool: str = "whoami") -> str:
    result = await client.call_tool(tool, {})
    assert not result.is_error, text_of(result)
    return text_of(result)


async def until_served(client: Client, tool: str = "whoami") -> str:
    """Call the tool until it is there and works."""
    while True:
        if tool in [each.name for each in (await client.list_tools()).tools]:
            result = await client.call_tool(tool, {})
            if not result.is_error:
                return text_of(result)
        await asyncio.sleep(0.05)


def renewals(remote: Remote) -> list[str]:
    return [each for each in remote.auth.asked if each.startswith("token refresh_token")]


# Logging in


async def test_a_login_discovers_registers_and_proves_itself(remote: Remote) -> None:
    tokens, person = await log_in(about(remote))
    assert remote.auth.asked == [
        "metadata",
        "register authorization_code refresh_token",
        f"authorize None {remote.url}",
        f"token authorization_code {remote.url} None",
    ]
    assert person.pages == [(200, person.pages[0][1])]
    assert "You can close this window." in person.pages[0][1]
    assert remote.auth.accepts(tokens.access_token)
    assert tokens.issuer == remote.auth.url
    assert tokens.client_secret is None


async def test_the_metadata_is_found_without_a_hint_of_the_server(remote: Remote) -> None:
    remote.hides_metadata = True
    tokens, _ = await log_in(about(remote))
    assert remote.auth.accepts(tokens.access_token)


async def test_the_scopes_of_the_table_are_asked_for(remote: Remote) -> None:
    remote.metadata["scopes_supported"] = ["all", "others"]
    tokens, _ = await log_in(about(remote, scopes=["read", "write"]))
    assert tokens.scope == "read write"
    assert remote.auth.clients["client-1"]["scope"] == "read write"
    assert (await log_in(about(remote)))[0].scope == "all others"


async def test_a_registered_client_with_a_secret_is_used_and_its_secret_is_not_kept(remote: Remote) -> None:
    remote.auth.client("known", "its-secret-1")
    login = about(remote, client_id="known", client_secret="its-secret-1", secret="its-secret-1")
    for methods in (None, ["client_secret_post"], ["client_secret_basic"]):
        remote.auth.changes["token_endpoint_auth_methods_supported"] = methods
        tokens, _ = await log_in(login)
        assert remote.auth.tokens[tokens.access_token].client == "known"
        assert "its-secret-1" not in tokens.model_dump_json()
    assert not any("register" in each for each in remote.auth.asked)


async def test_a_client_that_gets_a_secret_at_its_registration_uses_it(tmp_path: Path, remote: Remote) -> None:
    remote.auth.changes["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    tokens = await logged_in(tmp_path, remote)
    assert tokens.client_secret is not None
    remote.auth.expire_all()
    async with serving(config(tmp_path, remote)) as (_, client):
        assert await whoami(client) == "ann"


async def test_a_client_metadata_document_is_the_client_where_that_is_supported(remote: Remote) -> None:
    url = "https://client.example/mcp-host.json"
    login = about(remote, client_metadata_url=url)
    tokens, _ = await log_in(login)
    assert tokens.client_id == "client-1"
    remote.auth.changes["client_id_metadata_document_supported"] = True
    tokens, _ = await log_in(login)
    assert tokens.client_id == url


async def test_a_login_on_another_device(remote: Remote) -> None:
    tokens, person = await log_in(about(remote, scopes=["read"]), device=True)
    (code,) = person.codes
    assert (code.user_code, code.url) == ("WXYZ-0", f"{remote.auth.url}/device")
    assert tokens.scope == "read"
    assert remote.auth.asked[1] == "register urn:ietf:params:oauth:grant-type:device_code refresh_token"
    assert not any(each.startswith("authorize") for each in remote.auth.asked)


async def test_a_refused_login_on_another_device(remote: Remote) -> None:
    remote.auth.denies = True
    error = await failure(about(remote), device=True)
    assert error.what == "the authorization server refused the login: access_denied"
    remote.auth.changes["device_authorization_endpoint"] = None
    error = await failure(about(remote), device=True)
    assert error.what == f"the authorization server {remote.auth.url} offers no login on another device"


async def test_what_goes_wrong_in_a_login_is_one_line(remote: Remote) -> None:
    remote.auth.denies = True
    async with redirects(None) as redirect:
        person = Person(redirect)
        with pytest.raises(HostError, match=r"^the login was refused: access_denied \(Ann said <no>\)"):
            await new_tokens(about(remote), person)
    assert "Ann said &lt;no&gt;" in person.pages[0][1]
    remote.auth.denies, remote.auth.wrong_state = False, True
    assert "its state is another one" in (await failure(about(remote))).what
    remote.auth.wrong_state, remote.auth.codes_expire = False, True
    error = await failure(about(remote))
    assert error.what == "the authorization server refused the login: invalid_grant (the code has expired)"
    remote.auth.codes_expire = False
    remote.auth.changes["registration_endpoint"] = None
    error = await failure(about(remote))
    assert error.what == f"the authorization server {remote.auth.url} registers no clients by itself"
    assert "client_id" in error.hint


async def test_an_answer_of_another_issuer_is_refused(remote: Remote) -> None:
    remote.auth.changes["issuer"] = "https://issuer.example"
    assert "issuer mismatch" in (await failure(about(remote))).what


async def test_a_server_that_wants_a_login_is_known_without_one(remote: Remote) -> None:
    assert await wants_login(remote.url)
    remote.hides_metadata = True
    assert await wants_login(remote.url)


@pytest.mark.parametrize("reply", [Reply(status=401), Reply(status=200), Reply(status=404)])
async def test_a_server_without_metadata_wants_no_login(reply: Reply) -> None:
    async with web_server({"/mcp": reply}) as server:
        assert not await wants_login(f"{server.url}/mcp")
    assert not await wants_login(f"{server.url}/mcp")
    assert not await wants_login("http://no-such-host.invalid/mcp")


async def test_a_server_without_metadata_is_explained() -> None:
    async with web_server({"/mcp": Reply(status=401)}) as server:
        login = Login("remote", f"{server.url}/mcp", OAuthSection())
        assert "it has no OAuth metadata" in (await failure(login)).what
    error = await failure(login)
    assert error.what.startswith(f"{server.url}/mcp cannot be reached")


async def test_the_page_that_ends_a_login_takes_one_answer_only() -> None:
    async with redirects(None) as ended:
        ended.state = "right"
        base = ended.uri.removesuffix("/callback")
        for path, status in (("/", 404), ("/callback", 400)):
            assert (await asyncio.to_thread(browse, f"{base}{path}"))[0] == status
        assert (await asyncio.to_thread(browse, f"{ended.uri}?code=good&state=right"))[0] == 200
        assert (await asyncio.to_thread(browse, f"{ended.uri}?code=evil&state=right"))[0] == 200
        assert (await ended.answer()).code == "good"


async def test_a_redirect_port_that_is_in_use_is_explained() -> None:
    async with redirects(None) as first:
        port = int(first.uri.split(":")[2].split("/")[0])
        with pytest.raises(HostError, match=f"cannot return to port {port} of this machine") as raised:
            async with redirects(port):
                pass
        assert "redirect_port" in raised.value.hint


# Where a login may lead to


async def test_a_private_authorization_server_has_to_be_named(tmp_path: Path) -> None:
    with authorization_server() as auth, remote_server(auth) as remote:
        error = await failure(about(remote))
        assert error.what == "the server names a private address: 127.0.0.1 is a loopback address, which is not allowed"
        assert "issuer" in error.hint
        assert auth.asked == []
        tokens = await logged_in(tmp_path, remote, issuer=auth.url)
        assert auth.accepts(tokens.access_token)
        auth.expire_all()
        async with serving(config(tmp_path, remote, f'{{ issuer = "{auth.url}" }}')) as (_, client):
            assert await whoami(client) == "ann"
        other = await failure(about(remote, issuer="https://issuer.example"))
        assert "does not name the issuer https://issuer.example" in other.what


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint", "registration_endpoint"])
async def test_no_endpoint_leads_to_another_private_address(remote: Remote, member: str) -> None:
    async with web_server({}) as other:
        remote.auth.changes[member] = f"{other.url}/secret"
        assert "a loopback address" in (await failure(about(remote))).what
        assert other.connections == 0


async def test_no_endpoint_is_reached_over_a_network_without_tls(remote: Remote) -> None:
    remote.auth.changes["token_endpoint"] = "http://issuer.example/token"
    assert "which is not https" in (await failure(about(remote))).what


async def test_no_redirect_leads_to_another_private_address(tmp_path: Path) -> None:
    async with web_server({}) as other:
        for status in (302, 307, 308):
            async with web_server({"/mcp": redirect(f"{other.url}/mcp", status)}) as server:
                file = tmp_path / "mcp-host.toml"
                file.write_text(f'[host]\ndata_dir = "data"\n[plugins.remote]\nurl = "{server.url}/mcp"\n')
                async with serving(file) as (host, _):
                    assert host.records[0].problem is not None
        assert other.connections == 0


# While a host runs


@each_era
@each_session
async def test_calls_carry_the_token(tmp_path: Path, remote: Remote, mode: str, era: str) -> None:
    await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote, era=era), mode) as (host, client):
        assert await whoami(client) == "ann"
        assert host.records[0].warnings == ()


@each_era
@each_session
async def test_without_tokens_nothing_is_sent_and_a_later_login_is_taken(
    tmp_path: Path, remote: Remote, mode: str, era: str
) -> None:
    async with serving(config(tmp_path, remote, era=era), mode) as (host, client):
        (record,) = host.records
        assert record.problem is None
        (warning,) = record.warnings
        assert (warning.what, warning.hint) == ("nobody is logged in", "mcp-host login remote")
        assert record.connection is not None
        assert (record.connection.state, record.connection.retry_in) == ("waiting", None)
        assert remote.auth.asked == []
        await logged_in(tmp_path, remote)
        assert await until_served(client) == "ann"
        assert host.records[0].warnings == ()


@each_era
@each_session
async def test_an_expired_token_is_renewed_in_the_middle(tmp_path: Path, remote: Remote, mode: str, era: str) -> None:
    before = await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote, era=era), mode) as (_, client):
        for _ in range(3):
            remote.auth.expire_all()
            assert await whoami(client) == "ann"
    after = store_of(tmp_path, about(remote)).load()
    assert after is not None
    assert after.access_token != before.access_token
    assert after.refresh_token != before.refresh_token
    assert remote.auth.refresh_tokens.keys() == {after.refresh_token}


async def test_a_token_is_renewed_shortly_before_it_expires(tmp_path: Path, remote: Remote) -> None:
    tokens = await logged_in(tmp_path, remote)
    store_of(tmp_path, about(remote)).save(tokens.model_copy(update={"renew_at": 1.0}))
    async with serving(config(tmp_path, remote)) as (_, client):
        assert await whoami(client) == "ann"
    assert renewals(remote) == [f"token refresh_token {remote.url} None"]


async def test_hosts_that_share_tokens_do_not_use_a_refresh_token_twice(tmp_path: Path, remote: Remote) -> None:
    await logged_in(tmp_path, remote)
    file = config(tmp_path, remote)
    async with serving(file) as (_, one), serving(file) as (_, two):
        assert await whoami(one) == await whoami(two) == "ann"
        for _ in range(3):
            remote.auth.expire_all()
            assert await asyncio.gather(*(whoami(client) for client in (one, two) * 3)) == ["ann"] * 6
    assert len(renewals(remote)) == 3
    assert remote.auth.refresh_tokens


async def test_calls_at_the_same_time_renew_once_and_do_not_wait_for_one_another(
    tmp_path: Path, remote: Remote
) -> None:
    await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote)) as (_, client):
        await whoami(client)
        waiting = asyncio.create_task(whoami(client, "wait"))
        await asyncio.to_thread(remote.waiting.wait, 60)
        remote.auth.expire_all()
        assert await asyncio.gather(*(whoami(client) for _ in range(5))) == ["ann"] * 5
        assert len(renewals(remote)) == 1
        remote.go_on.set()
        assert await waiting == "ann"


@each_session
async def test_a_caller_that_leaves_does_not_end_the_renewal(tmp_path: Path, remote: Remote, era: str) -> None:
    await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote, era=era)) as (_, client):
        await whoami(client)
        remote.auth.expire_all()
        remote.auth.held = threading.Event()
        leaving = asyncio.create_task(whoami(client))
        await asyncio.to_thread(remote.auth.reached.wait, 60)
        leaving.cancel()
        await asyncio.wait([leaving])
        remote.auth.held.set()
        assert await whoami(client) == "ann"
    assert len(renewals(remote)) == 1


@each_era
@each_session
async def test_a_login_that_was_revoked_is_reported_and_a_new_one_is_taken(
    tmp_path: Path, remote: Remote, mode: str, era: str
) -> None:
    await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote, era=era), mode) as (host, client):
        assert await whoami(client) == "ann"
        remote.auth.revoke_all()
        said = await refusal(client, "whoami")
        assert "the login has ended: invalid_grant (the refresh token is not known): mcp-host login remote" in said
        assert said.replace("remote", "tracker") in PAGE.read_text(encoding="utf-8")
        said = await refusal(client, "whoami")
        assert "mcp-host login remote" in said
        assert host.records[0].warnings[0].hint == "mcp-host login remote"
        assert len(renewals(remote)) == 1
        await logged_in(tmp_path, remote)
        assert await until_served(client) == "ann"
        assert host.records[0].warnings == ()


async def test_a_login_without_a_refresh_token_ends_with_its_token(tmp_path: Path, remote: Remote) -> None:
    remote.auth.gives_refresh_tokens = False
    await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote)) as (_, client):
        assert await whoami(client) == "ann"
        remote.auth.expire_all()
        assert "the login has expired: mcp-host login remote" in await refusal(client, "whoami")


async def test_an_authorization_server_that_is_down_is_tried_again(tmp_path: Path, remote: Remote) -> None:
    await logged_in(tmp_path, remote)
    remote.auth.expire_all()
    remote.auth.is_down = True
    async with serving(config(tmp_path, remote)) as (host, client):
        (warning,) = host.records[0].warnings
        assert "its token cannot be renewed now: it answered 503" in warning.what
        remote.auth.is_down = False
        assert await until_served(client) == "ann"


async def test_a_token_that_is_refused_although_it_is_new(tmp_path: Path, remote: Remote) -> None:
    await logged_in(tmp_path, remote)
    remote.auth.expires_in = -10
    remote.auth.expire_all()
    async with serving(config(tmp_path, remote)) as (host, _):
        (warning,) = host.records[0].warnings
        assert (warning.what, warning.hint) == ("the server refuses its token", "mcp-host login remote")


async def test_a_scope_that_is_missing_is_logged_once(
    tmp_path: Path, remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote)) as (_, client):
        await whoami(client)
        remote.auth.required_scope = "admin"
        for _ in range(2):
            await refusal_of_any_kind(client)
    logged = [each.getMessage() for each in caplog.records if "does not allow" in each.getMessage()]
    (line,) = logged
    assert "mcp-host login remote --scope admin" in line


@each_era
@each_session
async def test_a_scope_that_is_missing_is_named_with_the_command_and_a_later_login_is_used(
    tmp_path: Path, remote: Remote, mode: str, era: str
) -> None:
    await logged_in(tmp_path, remote, scopes=["read"])
    async with serving(config(tmp_path, remote, era=era), mode) as (_, client):
        assert await whoami(client) == "ann"
        remote.auth.required_scope = "admin write"
        with pytest.raises(MCPError) as raised:
            await client.call_tool("whoami", {})
        assert raised.value.error.message == (
            "remote: its token does not allow this request, which needs the scopes admin, write: "
            "mcp-host login remote --scope admin --scope write"
        )
        # The session stays, and what needs no such scope is still answered.
        remote.auth.required_scope = ""
        assert await whoami(client) == "ann"
        remote.auth.required_scope = "admin write"
        login = about(remote, scopes=["read"])
        store = store_of(tmp_path, login)
        wider = with_scopes(login, ["admin", "write"], store)
        store.save((await log_in(wider))[0])
        assert await whoami(client) == "ann"
    assert "authorize read admin write" in " ".join(remote.auth.asked)


@each_era
async def test_a_server_that_names_no_scope_is_explained(tmp_path: Path, remote: Remote, mode: str) -> None:
    await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote), mode) as (_, client):
        await whoami(client)
        remote.auth.required_scope = '"'
        with pytest.raises(MCPError, match=r"which needs more scopes: mcp-host login remote --scope \.\.\.$"):
            await client.call_tool("whoami", {})


async def test_a_scope_that_is_missing_at_the_start_is_in_the_record(tmp_path: Path, remote: Remote) -> None:
    await logged_in(tmp_path, remote)
    remote.auth.required_scope = "admin"
    async with serving(config(tmp_path, remote)) as (host, _):
        problem = host.records[0].problem
    assert problem is not None
    assert "mcp-host login remote --scope admin" in problem.what


@each_era
async def test_the_host_asks_for_more_scopes_itself_with_client_credentials(
    tmp_path: Path, remote: Remote, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.auth.client("nightly", "s3cret")
    monkeypatch.setenv("NIGHTLY", "s3cret")
    auth = (
        '{ grant = "client_credentials", client_id = "nightly", client_secret = { env = "NIGHTLY" }, scopes = ["a"] }'
    )
    async with serving(config(tmp_path, remote, auth), mode) as (_, client):
        assert await whoami(client) == "service"
        remote.auth.required_scope = "b"
        assert await asyncio.gather(*(whoami(client) for _ in range(3))) == ["service"] * 3
        asked = [each for each in remote.auth.asked if each.startswith("token")]
        assert asked == [f"token client_credentials {remote.url} a", f"token client_credentials {remote.url} a b"]
        remote.auth.gives = {"a", "b"}
        remote.auth.required_scope = "c"
        for _ in range(2):
            with pytest.raises(MCPError, match="the scopes c; its authorization server gives no token with them"):
                await client.call_tool("whoami", {})
        # It was asked for once, and a renewal does not ask for it.
        assert sum(each.endswith(" a b c") for each in remote.auth.asked) == 1
        remote.auth.required_scope = "b"
        remote.auth.expire_all()
        assert await whoami(client) == "service"
        assert remote.auth.asked[-1] == f"token client_credentials {remote.url} a b"


async def refusal_of_any_kind(client: Client) -> None:
    from mcp import MCPError

    try:
        assert (await client.call_tool("whoami", {})).is_error
    except MCPError:
        return


async def test_two_plugins_with_one_url_have_logins_of_their_own(tmp_path: Path, remote: Remote) -> None:
    more = f'prefix = "a_"\n[plugins.second]\nurl = "{remote.url}"\nauth = "oauth"\nprefix = "b_"'
    for plugin, subject in (("remote", "ann"), ("second", "bob")):
        remote.auth.subject = subject
        login = about(remote, plugin=plugin)
        tokens, _ = await log_in(login)
        store_of(tmp_path, login).save(tokens)
    async with serving(config(tmp_path, remote, more=more)) as (_, client):
        assert await whoami(client, "a_whoami") == "ann"
        assert await whoami(client, "b_whoami") == "bob"


async def test_the_host_gets_tokens_for_itself_with_client_credentials(tmp_path: Path, remote: Remote) -> None:
    remote.auth.client("robot", "robots-secret-1")
    remote.auth.changes["authorization_endpoint"] = None
    remote.auth.gives_refresh_tokens = False
    auth = '{ grant = "client_credentials", client_id = "robot", client_secret = "robots-secret-1", scopes = ["read"] }'
    async with serving(config(tmp_path, remote, auth)) as (_, client):
        assert await whoami(client) == "service"
        remote.auth.expire_all()
        assert await asyncio.gather(*(whoami(client) for _ in range(4))) == ["service"] * 4
    asked = [each for each in remote.auth.asked if each.startswith("token")]
    assert asked == [f"token client_credentials {remote.url} read"] * 2
    assert not store_of(tmp_path, about(remote)).file.exists()


async def test_refused_client_credentials_are_explained(tmp_path: Path, remote: Remote) -> None:
    remote.auth.client("robot", "another")
    auth = '{ grant = "client_credentials", client_id = "robot", client_secret = "robots-secret-1" }'
    async with serving(config(tmp_path, remote, auth)) as (host, _):
        problem = host.records[0].problem
        assert problem is not None
        assert "the authorization server refused the login: invalid_client" in problem.what


async def test_tokens_are_masked_in_the_log_and_in_results(tmp_path: Path, remote: Remote) -> None:
    tokens = await logged_in(tmp_path, remote)
    async with serving(config(tmp_path, remote)) as (host, client):
        await whoami(client)
        for secret in tokens.secrets:
            assert host.redactor.redact(f"x {secret} y") == "x *** y"
        remote.auth.expire_all()
        await whoami(client)
        for secret in remote.auth.tokens.keys() - {tokens.access_token}:
            assert host.redactor.redact(secret) == "***"
        for _ in range(20):
            remote.auth.expire_all()
            await whoami(client)
        assert host.redactor.redact(tokens.access_token) == tokens.access_token
        assert "of 16 secrets" in repr(host.redactor)
        assert not any(secret in repr(host.records) for secret in remote.auth.tokens)
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file() and file.name != "oauth.json":
            assert not any(secret in file.read_text(encoding="utf-8") for secret in remote.auth.tokens)


# Where tokens are kept


async def test_the_file_of_tokens_is_for_its_owner_only(tmp_path: Path, remote: Remote) -> None:
    await logged_in(tmp_path, remote)
    file = store_of(tmp_path, about(remote)).file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    async with serving(config(tmp_path, remote)) as (host, client):
        (warning,) = host.records[0].warnings
        assert warning.what == f"others may read its tokens: the mode of {file} is 0640"
        assert warning.hint == f"chmod 600 {file}"
        file.chmod(0o600)
        assert await until_served(client) == "ann"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 9}', '{"format": 1}', "\x00"])
async def test_a_file_that_is_no_tokens_is_no_login(tmp_path: Path, remote: Remote, content: str) -> None:
    store = store_of(tmp_path, about(remote))
    store.file.parent.mkdir(parents=True)
    store.file.touch(0o600)
    store.file.write_text(content)
    assert store.load() is None


async def test_tokens_of_another_url_are_not_used(tmp_path: Path, remote: Remote) -> None:
    await logged_in(tmp_path, remote)
    other = TokenStore(tmp_path / "data" / "remote", "remote", "https://other.example/mcp")
    assert other.load() is None


async def test_a_file_with_wrong_members_is_an_error_that_shows_none(tmp_path: Path, remote: Remote) -> None:
    store = store_of(tmp_path, about(remote))
    store.file.parent.mkdir(parents=True)
    store.file.touch(0o600)
    store.file.write_text(json.dumps({"format": 1, "server": remote.url, "tokens": {"access_token": ["s3cr3t"]}}))
    with pytest.raises(HostError) as raised:
        store.load()
    assert "s3cr3t" not in str(raised.value)


@pytest.fixture
def keyring_file(tmp_path: Path, no_keyring: None) -> Path:
    """A keyring that keeps its secrets in this file."""
    file = tmp_path / "keyring.json"
    keyring.set_keyring(FileKeyring(file))
    return file


async def test_tokens_are_kept_in_the_keyring_where_there_is_one(
    tmp_path: Path, remote: Remote, keyring_file: Path
) -> None:
    login = about(remote)
    store = store_of(tmp_path, login)
    tokens, _ = await log_in(login)
    assert store.save(tokens) == "the keyring (FileKeyring of the tests)"
    assert store.load() == tokens
    assert tokens.access_token not in store.file.read_text(encoding="utf-8")
    assert list(json.loads(keyring_file.read_text(encoding="utf-8"))) == [f"mcp-host remote {remote.url}"]
    async with serving(config(tmp_path, remote)) as (_, client):
        remote.auth.expire_all()
        assert await whoami(client) == "ann"
    store.remove()
    assert json.loads(keyring_file.read_text(encoding="utf-8")) == {}
    assert store.load() is None
    store.remove()


async def test_a_keyring_that_fails_is_replaced_by_the_file(tmp_path: Path, remote: Remote, keyring_file: Path) -> None:
    store = store_of(tmp_path, about(remote))
    tokens, _ = await log_in(about(remote))
    store.save(tokens)
    keyring_file.write_text("locked", encoding="utf-8")
    with pytest.raises(HostError, match="the keyring cannot be read"):
        store.load()
    assert store.save(tokens) == str(store.file)
    assert store.load() == tokens


async def test_tokens_are_revoked_at_their_server(remote: Remote) -> None:
    login = about(remote)
    tokens, _ = await log_in(login)
    assert await revoked(login, tokens)
    assert not remote.auth.tokens
    assert not remote.auth.refresh_tokens
    assert not await revoked(login, tokens.model_copy(update={"revocation_endpoint": None}))
