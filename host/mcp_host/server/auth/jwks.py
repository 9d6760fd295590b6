"""An issuer's signing keys: finds their address in its metadata, fetches them over HTTP, and keeps them while fresh.

PyJWT's `PyJWKClient` is not used, for four reasons: it reads answers of any size; it asks an issuer that is down again
for each token; it drops its keys when they expire during that time; and it uses an RSA key that names no algorithm for
RS256 only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import httpx2
import jwt

from mcp_host.config import is_safe_to_fetch

logger = logging.getLogger(__name__)

FRESH: Final = 600.0
"""Seconds for which fetched keys are used before they are fetched again."""
KEPT: Final = 3600.0
"""Seconds for which fetched keys are used while the issuer does not answer."""
PAUSE: Final = 10.0
"""The fewest seconds between two fetches while there are keys, even if many tokens name an unknown key."""
PAUSE_WITHOUT: Final = 1.0
"""The fewest seconds between two fetches while there are no keys."""
LONGEST: Final = 10.0
"""The most seconds that finding and fetching the keys may take together."""
LARGEST: Final = 256 * 1024
"""The most bytes that one answer of the issuer may have."""

Fetch = Callable[[str], Awaitable[Mapping[str, Any]]]


class KeysUnavailableError(Exception):
    """There are no keys to check a token with. The text is the reason, for the log."""


async def fetch_json(url: str) -> Mapping[str, Any]:
    """Return the JSON object at a URL, without following redirects.

    Raises:
        KeysUnavailableError: It does not exist, is not JSON, is too large, or its URL is not an https one.
    """
    if not is_safe_to_fetch(url):
        raise KeysUnavailableError(f"{url} is not an https:// URL")
    # Not compressed, so that the cap is the number of bytes in memory.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    body = bytearray()
    try:
        async with (
            httpx2.AsyncClient(timeout=LONGEST / 2, headers=headers) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise KeysUnavailableError(f"{url} answered {response.status_code}")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LARGEST:
                    raise KeysUnavailableError(f"{url} answered more than {LARGEST} bytes")
        found = json.loads(body)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise KeysUnavailableError(f"{url} cannot be fetched: {type(error).__name__} {error}") from error
    except (ValueError, RecursionError) as error:
        raise KeysUnavailableError(f"{url} did not answer JSON") from error
    if not isinstance(found, dict):
        raise KeysUnavailableError(f"{url} did not answer a JSON object")
    return found


class SigningKeys:
    """The keys of one issuer, by id and algorithm.

    `url` is the JWKS address, or None to find it through the issuer's metadata (RFC 8414, OpenID Connect Discovery).
    The keys are fetched again when they are older than `FRESH`, and when a token names an unknown key, as after a
    rotation. `clock` returns seconds.
    """

    def __init__(
        self,
        issuer: str,
        url: str | None,
        algorithms: Collection[str],
        *,
        fetch: Fetch = fetch_json,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._url = url
        self._allowed = frozenset(algorithms)
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[tuple[str | None, str], list[jwt.PyJWK]] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._problem = "they are being fetched"
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that a token names, or the only one for the algorithm when it names none.

        Raises:
            KeysUnavailableError: There are no keys, or they are older than `KEPT`.
        """
        key = self._pick(kid, algorithm)
        if key is None or not self._newer_than(FRESH):
            # One request fetches the keys. Meanwhile the others use the ones that are there.
            if key is None or not self._newer_than(KEPT) or not self._lock.locked():
                await self.refresh()
            key = self._pick(kid, algorithm)
        if not self._newer_than(KEPT):
            raise KeysUnavailableError(self._problem)
        return key

    async def refresh(self) -> None:
        """Fetch the keys, unless the last try was a moment ago. A failure is logged, and the old keys stay."""
        asked = self._clock()
        async with self._lock:
            pause = PAUSE if self._newer_than(KEPT) else PAUSE_WITHOUT
            if self._tried is not None and (self._tried > asked or self._clock() - self._tried < pause):
                return
            self._tried = self._clock()
            try:
                with anyio.fail_after(LONGEST):
                    self._keys = self._index(await self._fetch(self._url or await self._discover()))
            except (KeysUnavailableError, TimeoutError) as error:
                self._problem = str(error) or f"the issuer did not answer within {LONGEST:g} s"
                then = (
                    "the old ones are still used"
                    if self._newer_than(KEPT)
                    else "tokens cannot be checked until there are some; [auth] issuer and jwks set their address"
                )
                logger.warning("no signing keys of %s: %s; %s", self._issuer, self._problem, then)
            else:
                self._fetched = self._clock()

    def _newer_than(self, seconds: float) -> bool:
        return self._fetched is not None and self._clock() - self._fetched < seconds

    def _pick(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        keys = self._keys.get((kid, algorithm), [])
        if kid is None:
            keys = [key for (_, name), found in self._keys.items() if name == algorithm for key in found]
            return keys[0] if len(keys) == 1 else None
        return keys[0] if keys else None

    async def _discover(self) -> str:
        """Return the JWKS address in the issuer's metadata.

        Raises:
            KeysUnavailableError: There is no metadata, or it names another issuer (RFC 8414, section 3.3).
        """
        problems = []
        for url in metadata_urls(self._issuer):
            try:
                metadata = await self._fetch(url)
            except KeysUnavailableError as error:
                problems.append(str(error))
                continue
            if metadata.get("issuer") != self._issuer:
                raise KeysUnavailableError(f"{url} is the metadata of another issuer, {metadata.get('issuer')!r:.200}")
            found = metadata.get("jwks_uri")
            if not isinstance(found, str):
                raise KeysUnavailableError(f"{url} names no jwks_uri")
            return found
        raise KeysUnavailableError("; ".join(problems))

    def _index(self, document: Mapping[str, Any]) -> dict[tuple[str | None, str], list[jwt.PyJWK]]:
        keys = document.get("keys")
        if not isinstance(keys, list):
            raise KeysUnavailableError("what was fetched is not a JWKS: it has no list of keys")
        found: dict[tuple[str | None, str], list[jwt.PyJWK]] = {}
        for key in keys:
            for algorithm in _algorithms(key):
                if algorithm not in self._allowed:
                    continue
                try:
                    made = jwt.PyJWK(key, algorithm)
                except (jwt.PyJWTError, ValueError, TypeError) as error:
                    logger.warning("a key of %s cannot be used: %s", self._issuer, type(error).__name__)
                    break
                found.setdefault((key.get("kid"), algorithm), []).append(made)
        if not found:
            raise KeysUnavailableError("the JWKS has no key that fits the allowed algorithms")
        return found


def metadata_urls(issuer: str) -> Iterator[str]:
    """Yield the URLs of an issuer's metadata (RFC 8414, sections 3.1 and 5; OpenID Connect Discovery, section 4)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    root = f"{parts.scheme}://{parts.netloc}"
    yield f"{root}/.well-known/oauth-authorization-server{path}"
    if path:
        yield f"{root}/.well-known/openid-configuration{path}"
    yield f"{root}{path}/.well-known/openid-configuration"


_CURVES: Final = {"P-256": ["ES256"], "P-384": ["ES384"], "P-521": ["ES512"], "Ed25519": ["EdDSA"], "Ed448": ["EdDSA"]}
_RSA: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]


def _algorithms(key: Any) -> Collection[str]:
    """Return a JWK's algorithms for verifying (RFC 7517). Secrets, private and encryption keys have none."""
    if not isinstance(key, dict) or "d" in key or "k" in key or key.get("use", "sig") != "sig":
        return ()
    operations = key.get("key_ops", ["verify"])
    if not isinstance(key.get("kid"), str | None) or not isinstance(operations, list) or "verify" not in operations:
        return ()
    fitting = _RSA if key.get("kty") == "RSA" else _CURVES.get(str(key.get("crv")), [])
    return [name for name in fitting if key.get("alg", name) == name]
