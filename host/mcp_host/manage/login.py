"""`mcp-host login`: a person logs in to a remote server, and the tokens are kept."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs, urlsplit

import typer

from mcp_host.cli import completion
from mcp_host.cli.common import ConfigOption, JsonOption, read_config
from mcp_host.cli.output import print_json, write
from mcp_host.errors import ConfigError, ErrorCode, HostError, did_you_mean
from mcp_host.system.texts import one_line, printable

if TYPE_CHECKING:
    from mcp.shared.auth import AuthorizationCodeResult

    from mcp_host.config import HostConfig
    from mcp_host.manage.redirect import Redirect
    from mcp_host.upstream.authorizing import DeviceCode
    from mcp_host.upstream.oauthclient import Login
    from mcp_host.upstream.tokenstore import KeptTokens, TokenStore


def login(
    name: Annotated[
        str, typer.Argument(metavar="PLUGIN", help="The plugin.", autocompletion=completion.enabled_plugins)
    ],
    config: ConfigOption = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address of the page, and open no browser.")
    ] = False,
    device: Annotated[
        bool, typer.Option("--device", help="Log in on another device, with a code to enter there.")
    ] = False,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", "-s", help="Ask for this scope, too, besides those of the last login. May be repeated."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for the login.")] = 300.0,
    as_json: JsonOption = False,
) -> None:
    """Log in to the remote server of a plugin.

    The server names the page to log in, which opens in the browser. Without a terminal, its address is printed to
    stderr. The tokens are kept in the system's keyring, or in a file that only you may read. A host that is running
    takes them by itself.
    """
    from mcp_host.config.secrets import Redactor
    from mcp_host.system.logs import configure_logging

    found = read_config(config)
    about = login_of(name, found)
    if about.section.grant == "client_credentials":
        raise HostError(
            f"nobody logs in to {name}: the host gets its tokens by itself (client_credentials)",
            where=found.where("plugins", name, "auth"),
            hint="mcp-host check",
        )
    configure_logging("error", Redactor(filter(None, [about.secret])))
    store = store_of(found, name, about.url)
    about = with_scopes(about, scopes or (), store)
    tokens = asyncio.run(_logged_in(about, timeout, browser=not no_browser and sys.stderr.isatty(), device=device))
    place = store.save(tokens)
    scopes = tokens.scope.split() if tokens.scope else []
    if as_json:
        renews = tokens.refresh_token is not None
        print_json(
            {
                "plugin": name,
                "url": about.url,
                "issuer": tokens.issuer,
                "scopes": scopes,
                "renews": renews,
                "kept_in": place,
            }
        )
        return
    write(printable(f"Logged in to {about.url} for the plugin {name}."))
    write(printable(f"The tokens are kept in {place}."))
    if tokens.refresh_token is None and tokens.renew_at is not None:
        write("The server gave no token to renew the login with, so it ends when the token expires.")


def with_scopes(about: Login, scopes: Sequence[str], store: TokenStore) -> Login:
    """Return the login that asks for these scopes, too, and for those that the tokens have now.

    Raises:
        HostError: One of them is not a scope.
    """
    from pydantic import TypeAdapter, ValidationError

    from mcp_host.config.oauthsection import Scope

    if not scopes:
        return about
    for scope in scopes:
        try:
            TypeAdapter(Scope).validate_python(scope)
        except ValidationError:
            where = "command line: --scope"
            raise HostError(f"{scope!r} is not one scope", where=where, hint="--scope A --scope B") from None
    try:
        kept = store.load()
    except HostError:
        kept = None
    had = kept.scope.split() if kept is not None and kept.scope else []
    return replace(about, more_scopes=tuple(dict.fromkeys([*had, *scopes])))


def login_of(name: str, config: HostConfig) -> Login:
    """Return what the configuration says about the login of a plugin.

    Raises:
        HostError: There is no such plugin, or it needs no login.
    """
    from mcp_host.config.secrets import resolve_secrets
    from mcp_host.upstream.oauthclient import Login

    section = config.plugins.get(name)
    if section is None:
        raise HostError(
            f"there is no plugin {name!r}{did_you_mean(name, config.plugins)}",
            where=str(config.path or "mcp-host.toml"),
            hint="mcp-host plugins   (lists them)",
            code=ErrorCode.UNKNOWN_NAME,
        )
    if section.url is None or section.auth is None:
        what = f"the plugin {name!r} has no `url`, so there is nothing to log in to"
        if section.url is not None:
            what = f"the table of the plugin {name!r} has no `auth`"
        hint = 'auth = "oauth"' if section.url is not None else ""
        raise ConfigError(what, where=config.where("plugins", name), hint=hint)
    resolved = resolve_secrets(
        section.auth.secrets,
        base_dir=config.base_dir,
        environ=os.environ,
        where=lambda keys: config.where("plugins", name, "auth", *keys),
    )
    return Login(name, section.url, section.auth, resolved.values.get("client_secret"))


def store_of(config: HostConfig, name: str, url: str) -> TokenStore:
    """Return where the tokens of a plugin are kept."""
    from mcp_host.upstream.tokenstore import TokenStore

    return TokenStore(config.data_dir / name, name, url)


async def _logged_in(about: Login, timeout: float, *, browser: bool, device: bool) -> KeptTokens:
    from mcp_host.manage.redirect import redirects
    from mcp_host.upstream.authorizing import new_tokens

    try:
        async with asyncio.timeout(timeout), redirects(about.section.redirect_port) as redirect:
            return await new_tokens(about, _Person(redirect, about, browser=browser, device=device))
    except TimeoutError:
        raise HostError(f"nobody has logged in within {timeout:g} s", hint=about.command) from None


class _Person:
    """The person at this terminal."""

    def __init__(self, redirect: Redirect, about: Login, *, browser: bool, device: bool) -> None:
        self._redirect = redirect
        self._about = about
        self._wants_browser = browser
        self._wants_device = device

    @property
    def redirect_uri(self) -> str:
        return self._redirect.uri

    def wants_device_code(self, *, offered: bool) -> bool:
        return self._wants_device or (offered and self._wants_browser and _browser() is None)

    async def visit(self, url: str) -> None:
        self._redirect.state = parse_qs(urlsplit(url).query)["state"][0]
        browser = _browser() if self._wants_browser else None
        if browser is not None and await asyncio.to_thread(browser.open, url):
            _note(f"The page to log in to {self._about.url} is open in your browser. If it is not, open:\n\n  {url}\n")
        else:
            _note(f"To log in to {self._about.url}, open this page in a browser of this machine:\n\n  {url}\n")

    async def answer(self) -> AuthorizationCodeResult:
        return await self._redirect.answer()

    async def enter(self, code: DeviceCode) -> None:
        _note(f"To log in to {self._about.url}, open this page on any device:\n\n  {one_line(code.url)}\n")
        _note(f"and enter the code {one_line(code.user_code)} there.")
        if code.complete_url is not None:
            _note(f"This address has the code in it: {one_line(code.complete_url)}")


def _note(text: str) -> None:
    write(printable(text), sys.stderr)
    sys.stderr.flush()


def _browser() -> Any | None:
    """Return the browser of this machine, if it has a screen. A browser for terminals would take this one."""
    if sys.platform not in ("win32", "darwin") and not os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}:
        return None
    try:
        return webbrowser.get()
    except webbrowser.Error:
        return None
