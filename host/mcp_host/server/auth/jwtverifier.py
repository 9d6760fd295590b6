"""Checks JWT access tokens (RFC 9068) as a resource server must, and logs why a token is refused."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, Final

import jwt
from mcp.server.auth.provider import AccessToken

from mcp_host.server.auth.jwks import SigningKeys

logger = logging.getLogger(__name__)

LEEWAY: Final = 30
"""How far the issuer's clock and this one may differ, in seconds."""
LONGEST_TOKEN: Final = 16 * 1024
"""The most characters of a token. A longer one is refused."""

_TYPES: Final = {"jwt", "at+jwt", "application/at+jwt"}
_ACCESS: Final = {"access", "bearer", "at+jwt"}

_JWT: Final = jwt.PyJWT(options={"enforce_minimum_key_length": True})


class RefusedTokenError(Exception):
    """The token is refused. The text has the reason and no part of the token."""


class JWTVerifier:
    """A `TokenVerifier` that accepts JWTs that `issuer` signed for `audience`.

    `resource` is this server's URL. It becomes the resource of an accepted token.
    """

    def __init__(
        self, keys: SigningKeys, *, issuer: str, audience: str | None, resource: str, algorithms: Collection[str]
    ) -> None:
        self.keys = keys
        self._issuer = issuer
        self._resource = resource
        # A URL without a path has two spellings, with and without a slash. A configured audience has one.
        bare = resource.removesuffix("/")
        self._audiences = [audience] if audience is not None else [bare, f"{bare}/"]
        self._algorithms = list(algorithms)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the client, user and scopes of the token, or None if it is refused.

        Raises:
            KeysUnavailableError: The token cannot be checked at the moment.
        """
        try:
            return self._access(token, await self._claims(token))
        except RefusedTokenError as error:
            logger.info("a bearer token is refused: %s", error)
            return None

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST_TOKEN:
            raise RefusedTokenError(f"it is longer than {LONGEST_TOKEN} characters")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise RefusedTokenError("it is not a JWT") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise RefusedTokenError(f"it is not signed with any of {', '.join(self._algorithms)}")
        if str(header.get("typ", "jwt")).lower() not in _TYPES:
            raise RefusedTokenError("its header's typ is not that of an access token")
        key = await self.keys.find(kid, algorithm)
        if key is None:
            raise RefusedTokenError(f"{self._issuer} has no such {algorithm} key")
        claims = self._verified(token, key)
        _refuse_other_tokens(claims)
        return claims

    def _verified(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        try:
            return _JWT.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audiences,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            reason = "it has expired"
        except jwt.ImmatureSignatureError:
            reason = "it is not valid yet"
        except jwt.InvalidAudienceError:
            reason = f"its audience is not {self._audiences[0]}"
        except jwt.InvalidIssuerError:
            reason = f"its issuer is not {self._issuer}"
        except jwt.MissingRequiredClaimError as error:
            reason = f"it has no claim {error.claim}"
        except jwt.InvalidSignatureError:
            reason = "its signature is wrong"
        except jwt.InvalidKeyError:
            reason = "the issuer's key is too short to be trusted"
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError):
            reason = "it is not a JWT that can be read"
        raise RefusedTokenError(reason)

    def _access(self, token: str, claims: Mapping[str, Any]) -> AccessToken:
        names = (claims.get(name) for name in ("client_id", "azp", "sub"))
        client = next((name for name in names if isinstance(name, str) and name), None)
        if client is None:
            raise RefusedTokenError("it names no client: it has no client_id, azp or sub")
        return AccessToken(
            token=token,
            client_id=client,
            scopes=_scopes(claims),
            # The SDK checks the time again, without leeway.
            expires_at=int(claims["exp"]) + LEEWAY,
            resource=self._resource,
            subject=claims.get("sub"),
            claims=dict(claims),
        )


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Return the scopes from `scope` (RFC 9068) or `scp`. Either is a list or a text with spaces between the scopes."""
    value = claims.get("scope", claims.get("scp", ""))
    names = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _refuse_other_tokens(claims: Mapping[str, Any]) -> None:
    """Refuse tokens that are not access tokens, and access tokens that need a proof of possession."""
    # ID tokens have at_hash and c_hash (OpenID Connect Core 3.1.3.6, 3.3.2.11). Keycloak uses typ, Cognito token_use.
    kinds = [str(claims[name]).lower() for name in ("typ", "token_use") if name in claims]
    if any(kind not in _ACCESS for kind in kinds) or "at_hash" in claims or "c_hash" in claims:
        raise RefusedTokenError("it is not an access token")
    if "cnf" in claims:
        # RFC 9449, section 7.2; RFC 8705, section 3.
        raise RefusedTokenError("it is bound to a key, and a bearer token does not prove that key")
