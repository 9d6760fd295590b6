"""`[auth]`: the SDK's settings, and the verifier that checks the bearer token of every HTTP request."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_host.config import AuthSection
from mcp_host.errors import HostError
from mcp_host.server.host import Host

if TYPE_CHECKING:
    from mcp_host.server.auth.jwks import SigningKeys

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Auth:
    """The settings and the verifier for `[auth]`. `keys` are the issuer's keys if the host itself checks tokens."""

    settings: AuthSettings
    verifier: TokenVerifier
    keys: SigningKeys | None = None


def auth_of(host: Host) -> Auth | None:
    """Return the settings and the verifier for the configuration's `[auth]`, or None without this table.

    Raises:
        HostError: The plugin that it names is missing or has no verifier. The host never serves without that check.
    """
    section = host.config.auth
    if section is None:
        return None
    # Validated from text: a URL object would end in a slash, and the issuer's own name does not.
    settings = AuthSettings.model_validate(
        {
            "issuer_url": section.issuer,
            "resource_server_url": section.resource,
            "required_scopes": list(section.required_scopes) or None,
            "validate_token_resource": True,
        }
    )
    if section.verifier is not None:
        return Auth(settings, _verifier_of(host, section.verifier.removeprefix("plugin:")))
    return _own(section, settings)


def _own(section: AuthSection, settings: AuthSettings) -> Auth:
    from mcp_host.server.auth.jwks import SigningKeys
    from mcp_host.server.auth.jwtverifier import JWTVerifier

    keys = SigningKeys(section.issuer, section.jwks, section.algorithms)
    verifier = JWTVerifier(
        keys,
        issuer=section.issuer,
        audience=section.audience,
        resource=section.resource,
        algorithms=section.algorithms,
    )
    return Auth(settings, verifier, keys)


def _verifier_of(host: Host, name: str) -> TokenVerifier:
    verifier = next((p.contributions.token_verifier for p in host.plugins if p.name == name and p.alive), None)
    if verifier is not None:
        return verifier
    record = next((record for record in host.records if record.name == name), None)
    if record is None:
        what, hint = f"there is no plugin {name!r}", f"[plugins.{name}]"
    elif record.problem is not None:
        what, hint = f"plugin {name!r} failed: {record.problem.what}", record.problem.hint
    else:
        what, hint = f"plugin {name!r} has no mcp_token_verifier hook", "name a plugin with this hook"
    raise HostError(what, where=host.config.where("auth", "verifier"), hint=hint)


class AnswerUnavailable:
    """ASGI middleware that answers 503 while there are no keys, because the token cannot be checked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from mcp_host.server.auth.jwks import PAUSE_WITHOUT, KeysUnavailableError

        try:
            await self.app(scope, receive, send)
        except KeysUnavailableError as error:
            logger.warning("a request is answered 503, because its token cannot be checked: %s", error)
            body = {"error": "temporarily_unavailable", "error_description": "Tokens cannot be checked at the moment"}
            headers = {"Retry-After": f"{PAUSE_WITHOUT:.0f}"}
            await JSONResponse(body, status_code=503, headers=headers)(scope, receive, send)
