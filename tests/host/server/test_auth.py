"""`[auth]`: JWTs are checked with an issuer's keys, errors in both, and which addresses need `[auth]`."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import get_access_token

from mcp_host import Context, Event, Plugin, RequestEnded
from mcp_host.asgi import HostApp, create_app
from mcp_host.config import parse_config
from mcp_host.errors import HostError, InvalidConfigError
from mcp_host.server.auth.jwks import (
    FRESH,
    KEPT,
    LARGEST,
    PAUSE,
    PAUSE_WITHOUT,
    KeysUnavailableError,
    SigningKeys,
    metadata_urls,
)
from mcp_host.server.auth.jwtverifier import JWTVerifier
from mcp_host.server.http.headers import refuse_open
from mcp_host.testing import connect
from support.issuer import EC_KEY, OTHER_KEY, RSA_KEY, Issuer, jwk, serving_issuer

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])
ACCEPT = {"accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]

plugin = Plugin()


@plugin.tool
def who(ctx: Context) -> dict[str, Any]:
    """Return the caller."""
    token = get_access_token()
    assert token is not None
    return {"client": ctx.client_id, "subject": token.subject, "scopes": token.scopes, "claims": token.claims}


@plugin.tool(scopes=["admin"])
def wipe() -> str:
    """Require more scopes than the server."""
    return "wiped"


@plugin.tool(scopes=["admin", "audit"])
def audit() -> str:
    """Require two more scopes."""
    return "audited"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with serving_issuer() as served:
        yield served


@pytest.fixture
def own_issuer() -> Iterator[Issuer]:
    """An issuer whose answers the test may change."""
    with serving_issuer() as served:
        yield served


def app_of(issuer: Issuer, more: str = "") -> HostApp:
    text = f"""
        [auth]
        issuer = "{issuer.url}"
        resource = "http://127.0.0.1/mcp"
        required_scopes = ["mcp"]
        {more}
        [plugins.notes]
    """
    return create_app(parse_config(text, environ={}), objects={"notes": plugin})


def http(app: HostApp, token: str | None = None) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1", headers=headers, timeout=30
    )


async def answer(app: HostApp, token: str | None) -> httpx2.Response:
    async with http(app, token) as web:
        return await web.post("/mcp", json=INITIALIZE, headers=ACCEPT)


@asynccontextmanager
async def client_of(app: HostApp, mode: str, token: str) -> AsyncIterator[Client]:
    async with (
        http(app, token) as web,
        Client(streamable_http_client("http://127.0.0.1/mcp", http_client=web), mode=mode) as client,
    ):
        yield client


# Good tokens


@each_era
async def test_a_tokens_claims_name_the_caller_and_tools_require_their_scopes(issuer: Issuer, mode: str) -> None:
    app = app_of(issuer)
    async with app.running():
        async with client_of(app, mode, issuer.token(scope="mcp notes mcp")) as client:
            reply = (await client.call_tool("who", {})).structured_content
            assert reply is not None
            assert (reply["client"], reply["subject"], reply["scopes"]) == ("editor", "ann", ["mcp", "notes"])
            assert reply["claims"]["iss"] == issuer.url
            # The tool is listed but not allowed. The list is the same for every caller.
            assert {tool.name for tool in (await client.list_tools()).tools} == {"who", "wipe", "audit"}
            refused = await client.call_tool("wipe", {})
            assert refused.is_error
            assert "needs the scope admin" in refused.model_dump()["content"][0]["text"]
        async with client_of(app, mode, issuer.token(scope="mcp admin")) as client:
            assert (await client.call_tool("wipe", {})).structured_content == {"result": "wiped"}


@each_era
@pytest.mark.parametrize(
    ("scope", "missing"),
    [
        ("mcp", "admin, audit"),
        ("mcp admin", "audit"),
        ("mcp audit", "admin"),
        ("mcp Admin audit", "admin"),
        ("mcp adm audit", "admin"),
        ("mcp administrator audit", "admin"),
    ],
)
async def test_a_tool_needs_each_of_its_scopes(issuer: Issuer, mode: str, scope: str, missing: str) -> None:
    app = app_of(issuer)
    async with app.running():
        async with client_of(app, mode, issuer.token(scope=scope)) as client:
            refused = await client.call_tool("audit", {})
            assert refused.is_error
            assert f"needs the scope {missing}, which" in refused.model_dump()["content"][0]["text"]
        async with client_of(app, mode, issuer.token(scope="audit mcp admin")) as client:
            assert (await client.call_tool("audit", {})).structured_content == {"result": "audited"}


@each_era
async def test_without_an_auth_table_scopes_are_not_checked(mode: str) -> None:
    async with connect(plugin, mode=mode) as client:
        assert (await client.call_tool("audit", {})).structured_content == {"result": "audited"}


@each_era
async def test_observers_see_the_calls_and_the_requests_that_a_token_is_refused(issuer: Issuer, mode: str) -> None:
    app, events = app_of(issuer), list[Event]()
    app.host.observers.add(events.append)
    async with app.running(), client_of(app, mode, issuer.token(scope="mcp")) as client:
        await client.call_tool("wipe", {})
        await answer(app, None)
    ended = [event for event in events if isinstance(event, RequestEnded)]
    refused = [(event.method, event.name, event.plugin) for event in ended if event.reason == "denied"]
    assert refused == [("tools/call", "wipe", "notes"), ("http/POST", None, None)]


GOOD: dict[str, Callable[[Issuer], str]] = {
    "RS256, whose key does not say its algorithm": lambda i: i.token(key=RSA_KEY, algorithm="RS256", kid="rsa"),
    "PS256 with the same key": lambda i: i.token(key=RSA_KEY, algorithm="PS256", kid="rsa"),
    "no kid, and one key that fits": lambda i: i.token(kid=None),
    "an audience among several": lambda i: i.token(aud=["https://other.example", "http://127.0.0.1/mcp"]),
    "the audience with a slash": lambda i: i.token(aud="http://127.0.0.1/mcp/"),
    "scp as Entra writes it": lambda i: i.token(scope=None, scp="mcp notes"),
    "scp as Okta writes it": lambda i: i.token(scope=None, scp=["mcp"]),
    "azp in the place of client_id": lambda i: i.token(client_id=None, azp="editor"),
    "a subject and no client": lambda i: i.token(client_id=None),
    "the plain type": lambda i: i.token(header={"typ": "JWT"}),
    "the full type": lambda i: i.token(header={"typ": "application/at+jwt"}),
    "RFC 9068's type among the claims": lambda i: i.token(typ="at+JWT"),
    "Keycloak's type": lambda i: i.token(typ="Bearer"),
    "Cognito's type": lambda i: i.token(token_use="access"),
    "a clock that is a little ahead": lambda i: i.token(iat=int(time.time()) + 20, nbf=int(time.time()) + 20),
    "a clock that is a little behind": lambda i: i.token(exp=int(time.time()) - 10),
}


@each_era
@pytest.mark.parametrize(
    ("claims", "client"),
    [
        ({"azp": "other"}, "editor"),
        ({"client_id": None, "azp": "other"}, "other"),
        ({"client_id": "", "azp": "other"}, "other"),
        ({"client_id": 7, "azp": ""}, "ann"),
    ],
)
async def test_the_client_is_the_first_one_that_a_token_names(
    issuer: Issuer, mode: str, claims: dict[str, Any], client: str
) -> None:
    app = app_of(issuer)
    async with app.running(), client_of(app, mode, issuer.token(**claims)) as connected:
        reply = (await connected.call_tool("who", {})).structured_content
    assert reply is not None
    assert reply["client"] == client


async def test_the_audience_of_a_server_without_a_path_has_two_spellings(issuer: Issuer) -> None:
    for resource in ("https://tools.example", "https://tools.example/"):
        keys = keys_of(issuer, Clock())
        verifier = JWTVerifier(keys, issuer=issuer.url, audience=None, resource=resource, algorithms=ALGORITHMS)
        for audience, accepted in {
            "https://tools.example": True,
            "https://tools.example/": True,
            "https://tools.example//": False,
            "https://tools.example/x": False,
        }.items():
            token = await verifier.verify_token(issuer.token(aud=audience))
            assert (token is not None) is accepted, audience


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
async def test_a_valid_token_is_accepted(issuer: Issuer, make: Callable[[Issuer], str]) -> None:
    app = app_of(issuer)
    async with app.running():
        assert (await answer(app, make(issuer))).status_code == 200


# Bad tokens


def unsigned(issuer: Issuer) -> str:
    return jwt.encode(issuer.claims(), "", algorithm="none", headers={"kid": "ec", "typ": "at+jwt"})


def signed_with_the_public_key(issuer: Issuer) -> str:
    """A known attack: the public RSA key is used as the secret of an HMAC."""
    secret = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    first = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "rsa"}, issuer.claims()))
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(first.encode(), secret)
    return f"{first}.{b64(signature)}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def with_another_payload(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{b64(json.dumps(issuer.claims(scope='mcp admin')).encode())}.{signature}"


def nested(issuer: Issuer) -> str:
    return f"{b64(b'[' * 10_000)}.{b64(b'{}')}.x"


BAD: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "alg none": (unsigned, "it is not signed with any of RS256"),
    "HS256 with the public key": (signed_with_the_public_key, "it is not signed with any of RS256"),
    "another issuer": (lambda i: i.token(iss="https://evil.example"), "its issuer is not http://127.0.0.1:"),
    "an issuer with a slash more": (lambda i: i.token(iss=f"{i.url}/"), "its issuer is not"),
    "another audience": (lambda i: i.token(aud="https://other.example"), "its audience is not http://127.0.0.1/mcp"),
    "an audience that begins alike": (lambda i: i.token(aud="http://127.0.0.1/mcp/x"), "its audience is not"),
    "no audience": (lambda i: i.token(aud=None), "it has no claim aud"),
    "no issuer": (lambda i: i.token(iss=None), "it has no claim iss"),
    "an unknown key": (lambda i: i.token(kid="other"), "has no such ES256 key"),
    "an unknown key under a known id": (lambda i: i.token(key=OTHER_KEY), "its signature is wrong"),
    "a key of another kind": (lambda i: i.token(kid="rsa"), "has no such ES256 key"),
    "an algorithm that the key is not for": (
        lambda i: i.token(key=RSA_KEY, algorithm="RS256", kid="ec"),
        "has no such RS256 key",
    ),
    "another payload": (with_another_payload, "its signature is wrong"),
    "no signature": (lambda i: i.token().rpartition(".")[0] + ".", "its signature is wrong"),
    "expired": (lambda i: i.token(exp=int(time.time()) - 60), "it has expired"),
    "not yet valid": (lambda i: i.token(nbf=int(time.time()) + 120), "it is not valid yet"),
    "issued in the future": (lambda i: i.token(iat=int(time.time()) + 120), "it is not valid yet"),
    "no end": (lambda i: i.token(exp=None), "it has no claim exp"),
    "an end that is no number": (lambda i: i.token(exp="soon"), "it is not a JWT that can be read"),
    "an end beyond all numbers": (lambda i: i.token(exp=float("inf")), "it is not a JWT that can be read"),
    "an ID token": (lambda i: i.token(at_hash="x"), "it is not an access token"),
    "an ID token of the hybrid flow": (lambda i: i.token(c_hash="x"), "it is not an access token"),
    "Keycloak's ID token": (lambda i: i.token(typ="ID"), "it is not an access token"),
    "Keycloak's refresh token": (lambda i: i.token(typ="Refresh"), "it is not an access token"),
    "Cognito's ID token": (lambda i: i.token(token_use="id"), "it is not an access token"),
    "a logout token": (lambda i: i.token(header={"typ": "logout+jwt"}), "typ is not that of an access token"),
    "a token bound to a key": (lambda i: i.token(cnf={"jkt": "x"}), "it is bound to a key"),
    "nobody's token": (lambda i: i.token(client_id=None, sub=None), "it names no client"),
    "a subject that is no text": (lambda i: i.token(sub=7), "it is not a JWT that can be read"),
    "an extension nobody knows": (lambda i: i.token(header={"crit": ["x"], "x": 1}), "it is not a JWT"),
    "a key of the token's own": (
        lambda i: i.token(key=OTHER_KEY, kid="mine", header={"jwk": jwk(OTHER_KEY, "mine")}),
        "has no such ES256 key",
    ),
    "truncated": (lambda i: i.token()[:-40], "a bearer token is refused"),
    "truncated to its header": (lambda i: i.token().partition(".")[0], "it is not a JWT"),
    "not a JWT": (lambda i: "opaque", "it is not a JWT"),
    "a header of brackets": (nested, "it is not a JWT"),
    "huge": (lambda i: i.token(padding="x" * 20_000), "it is longer than 16384 characters"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
async def test_a_bad_token_is_refused_and_only_the_log_has_the_reason(
    issuer: Issuer, make: Callable[[Issuer], str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, token = app_of(issuer), make(issuer)
    caplog.set_level(logging.DEBUG)
    async with app.running():
        response = await answer(app, token)
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert "/.well-known/oauth-protected-resource/mcp" in response.headers["www-authenticate"]
    assert reason in caplog.text
    assert reason not in response.text
    assert token not in caplog.text


async def test_a_client_needs_each_scope_of_the_server(issuer: Issuer) -> None:
    text = f"""
        [auth]
        issuer = "{issuer.url}"
        resource = "http://127.0.0.1/mcp"
        required_scopes = ["mcp", "tools"]
        [plugins.notes]
    """
    app = create_app(parse_config(text, environ={}), objects={"notes": plugin})
    async with app.running():
        for scope, status in {"mcp": 403, "tools": 403, "mcp other": 403, "tools mcp": 200}.items():
            assert (await answer(app, issuer.token(scope=scope))).status_code == status, scope


async def test_a_missing_token_is_401_and_a_missing_scope_403(issuer: Issuer) -> None:
    app = app_of(issuer)
    async with app.running():
        assert (await answer(app, None)).status_code == 401
        for scope in (None, "", "notes", "mcp2", 7, [["mcp"]]):
            response = await answer(app, issuer.token(scope=scope))
            assert response.status_code == 403
            assert 'error="insufficient_scope"' in response.headers["www-authenticate"]


async def test_only_the_configured_algorithms_and_audience_are_accepted(issuer: Issuer) -> None:
    app = app_of(issuer, 'algorithms = ["RS256"]\naudience = "api://tools"')
    async with app.running():
        for key, algorithm, audience, status in (
            (RSA_KEY, "RS256", "api://tools", 200),
            (RSA_KEY, "RS256", "api://tools/", 401),
            (RSA_KEY, "RS256", "http://127.0.0.1/mcp", 401),
            (RSA_KEY, "PS256", "api://tools", 401),
            (EC_KEY, "ES256", "api://tools", 401),
        ):
            kid = "rsa" if key is RSA_KEY else "ec"
            token = issuer.token(key=key, algorithm=algorithm, kid=kid, aud=audience)
            assert (await answer(app, token)).status_code == status


async def test_a_key_that_is_too_short_is_not_trusted(own_issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    own_issuer.serve_keys(jwk(short, "short"))
    app = app_of(own_issuer)
    caplog.set_level(logging.INFO)
    async with app.running():
        with pytest.warns(jwt.InsecureKeyLengthWarning):
            token = own_issuer.token(key=short, algorithm="RS256", kid="short")
        assert (await answer(app, token)).status_code == 401
    assert "too short to be trusted" in caplog.text


async def test_the_metadata_names_the_issuer_as_configured(issuer: Issuer) -> None:
    app = app_of(issuer)
    async with app.running(), http(app) as web:
        found = (await web.get("/.well-known/oauth-protected-resource/mcp")).json()
    assert found["resource"] == "http://127.0.0.1/mcp"
    assert found["authorization_servers"] == [issuer.url]
    assert found["scopes_supported"] == ["mcp"]


# The issuer's keys


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def keys_of(issuer: Issuer, clock: Clock, *, url: str | None = "") -> SigningKeys:
    return SigningKeys(issuer.url, issuer.jwks_url if url == "" else url, ALGORITHMS, clock=clock)


async def test_keys_are_fetched_once_while_they_are_fresh(own_issuer: Issuer) -> None:
    clock = Clock()
    keys = keys_of(own_issuer, clock)
    for _ in range(5):
        assert await keys.find("ec", "ES256") is not None
    clock.now += FRESH - 1
    assert await keys.find("ec", "ES256") is not None
    assert own_issuer.asked == ["/jwks"]
    clock.now += 2
    assert await keys.find("ec", "ES256") is not None
    assert own_issuer.asked == ["/jwks"] * 2


async def test_a_rotated_key_is_found_and_unknown_keys_do_not_flood_the_issuer(own_issuer: Issuer) -> None:
    clock = Clock()
    keys = keys_of(own_issuer, clock)
    assert await keys.find("new", "ES256") is None
    own_issuer.serve_keys(jwk(OTHER_KEY, "new"))
    for _ in range(20):
        assert await keys.find("new", "ES256") is None
    assert len(own_issuer.asked) == 1
    clock.now += PAUSE
    assert await keys.find("new", "ES256") is not None
    assert await keys.find("ec", "ES256") is None, "what the issuer has withdrawn is good no more"
    assert len(own_issuer.asked) == 2


async def test_old_keys_are_used_for_a_limited_time_during_an_outage(
    own_issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    keys = keys_of(own_issuer, clock)
    assert await keys.find("ec", "ES256") is not None
    own_issuer.status = 503
    clock.now += KEPT - 1
    assert await keys.find("ec", "ES256") is not None
    assert "answered 503; the old ones are still used" in caplog.text
    clock.now += 2
    with pytest.raises(KeysUnavailableError, match="answered 503"):
        await keys.find("ec", "ES256")
    own_issuer.status = 200
    clock.now += PAUSE
    assert await keys.find("ec", "ES256") is not None


async def test_an_issuer_that_is_down_is_asked_again_after_a_pause(own_issuer: Issuer) -> None:
    clock = Clock()
    own_issuer.status = 500
    keys = keys_of(own_issuer, clock)
    for _ in range(5):
        with pytest.raises(KeysUnavailableError):
            await keys.find("ec", "ES256")
    assert len(own_issuer.asked) == 1
    own_issuer.status = 200
    clock.now += PAUSE_WITHOUT
    assert await keys.find("ec", "ES256") is not None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"<html>", "did not answer JSON"),
        (b"[" * 100_000, "did not answer JSON"),
        (b"[]", "did not answer a JSON object"),
        (b" " * (LARGEST + 1), f"answered more than {LARGEST} bytes"),
        ({"keys": 3}, "it has no list of keys"),
        ({"keys": []}, "no key that fits"),
        ({"keys": [3, {"kty": "oct", "k": "c2VjcmV0", "kid": "ec", "alg": "HS256"}]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec", use="enc")]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec", key_ops=["sign"])]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec", key_ops=7)]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec", x=7)]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec", crv=["P-256"])]}, "no key that fits"),
        ({"keys": [{**jwk(RSA_KEY, "rsa"), "n": 7}]}, "no key that fits"),
        ({"keys": [{**jwk(RSA_KEY, "rsa"), "n": ""}]}, "no key that fits"),
        ({"keys": [{"kty": "RSA", "kid": "rsa"}]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec", alg="ES384")]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec", d=ECAlgorithm.to_jwk(EC_KEY, as_dict=True)["d"])]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec", x="!")]}, "no key that fits"),
        ({"keys": [jwk(EC_KEY, "ec") | {"kid": 7}]}, "no key that fits"),
    ],
)
async def test_a_document_that_is_not_a_jwks_gives_no_keys(own_issuer: Issuer, document: Any, reason: str) -> None:
    own_issuer.documents["/jwks"] = document
    with pytest.raises(KeysUnavailableError, match=reason):
        await keys_of(own_issuer, Clock()).find("ec", "ES256")


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (ec.generate_private_key(ec.SECP256R1()), ["ES256"]),
        (ec.generate_private_key(ec.SECP384R1()), ["ES384"]),
        (ec.generate_private_key(ec.SECP521R1()), ["ES512"]),
        (ed25519.Ed25519PrivateKey.generate(), ["EdDSA"]),
        (ed448.Ed448PrivateKey.generate(), ["EdDSA"]),
        (RSA_KEY, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
    ],
    ids=["P-256", "P-384", "P-521", "Ed25519", "Ed448", "RSA"],
)
async def test_a_key_is_for_the_algorithms_of_its_kind(own_issuer: Issuer, key: Any, algorithms: list[str]) -> None:
    every = ["ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    own_issuer.serve_keys(jwk(key, "k"))
    found = []
    for algorithm in every:
        keys = SigningKeys(own_issuer.url, own_issuer.jwks_url, every)
        if await keys.find("k", algorithm) is not None:
            found.append(algorithm)
    assert found == algorithms


async def test_one_bad_key_does_not_affect_the_others(own_issuer: Issuer) -> None:
    edwards = ed25519.Ed25519PrivateKey.generate()
    own_issuer.serve_keys(jwk(EC_KEY, "bad", y="!"), jwk(edwards, "ed"), jwk(EC_KEY, "ec"))
    keys = keys_of(own_issuer, Clock())
    assert await keys.find("ed", "EdDSA") is not None
    assert await keys.find("ec", "ES256") is not None
    assert await keys.find("bad", "ES256") is None


async def test_without_a_kid_two_matching_keys_are_ambiguous(own_issuer: Issuer) -> None:
    own_issuer.serve_keys(jwk(EC_KEY, "ec"), jwk(OTHER_KEY, "other"))
    assert await keys_of(own_issuer, Clock()).find(None, "ES256") is None


async def test_redirects_are_not_followed_and_no_answer_is_an_outage(own_issuer: Issuer) -> None:
    own_issuer.status = 302
    with pytest.raises(KeysUnavailableError, match="answered 302"):
        await keys_of(own_issuer, Clock()).find("ec", "ES256")
    with pytest.raises(KeysUnavailableError, match="cannot be fetched: ConnectError"):
        await keys_of(own_issuer, Clock(), url="http://127.0.0.1:1/jwks").find("ec", "ES256")


def test_metadata_is_searched_at_the_urls_of_the_rfcs() -> None:
    assert list(metadata_urls("https://a.example")) == [
        "https://a.example/.well-known/oauth-authorization-server",
        "https://a.example/.well-known/openid-configuration",
    ]
    assert list(metadata_urls("https://a.example/realms/x/")) == [
        "https://a.example/.well-known/oauth-authorization-server/realms/x",
        "https://a.example/.well-known/openid-configuration/realms/x",
        "https://a.example/realms/x/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize("place", range(3))
async def test_keys_are_found_through_each_form_of_metadata(place: int) -> None:
    with serving_issuer("/realms/x") as issuer:
        (document,) = (issuer.documents.pop(path) for path in list(issuer.documents) if ".well-known" in path)
        url = list(metadata_urls(issuer.url))[place]
        issuer.documents[url.removeprefix(issuer.root)] = document
        assert await keys_of(issuer, Clock(), url=None).find("ec", "ES256") is not None
        assert len(issuer.asked) == place + 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"issuer": "https://evil.example"}, "is the metadata of another issuer, 'https://evil.example'"),
        ({"jwks_uri": None}, "names no jwks_uri"),
        ({"jwks_uri": "http://keys.example/jwks"}, "http://keys.example/jwks is not an https:// URL"),
        ({"jwks_uri": "file:///etc/passwd"}, "is not an https:// URL"),
        ({"jwks_uri": "http://[::1/"}, "is not an https:// URL"),
    ],
)
async def test_metadata_of_another_issuer_is_not_used(own_issuer: Issuer, change: dict[str, Any], reason: str) -> None:
    own_issuer.documents["/.well-known/oauth-authorization-server"].update(change)
    with pytest.raises(KeysUnavailableError, match=reason):
        await keys_of(own_issuer, Clock(), url=None).find("ec", "ES256")


async def test_the_error_for_an_issuer_without_metadata_lists_the_searched_urls(own_issuer: Issuer) -> None:
    own_issuer.documents.clear()
    with pytest.raises(KeysUnavailableError, match=r"oauth-authorization-server answered 404; .*openid-configuration"):
        await keys_of(own_issuer, Clock(), url=None).find("ec", "ES256")


async def test_a_host_whose_issuer_is_down_starts_answers_503_and_recovers(
    own_issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    own_issuer.status = 500
    app, token, clock = app_of(own_issuer), own_issuer.token(), Clock()
    authorization = app.server.authorization
    assert authorization is not None
    assert authorization.keys is not None
    authorization.keys._clock = clock
    async with app.running():
        assert "no signing keys of http://127.0.0.1:" in caplog.text
        assert "[auth] issuer and jwks set their address" in caplog.text
        response = await answer(app, token)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert response.json()["error"] == "temporarily_unavailable"
        assert (await answer(app, None)).status_code == 401, "without a token there is nothing to check"
        own_issuer.status = 200
        clock.now += PAUSE_WITHOUT
        assert (await answer(app, token)).status_code == 200


# The configuration


@pytest.mark.parametrize(
    ("lines", "where", "what"),
    [
        ('verifier = "plugin:a"\njwks = "https://i.example/k"', "auth.jwks", "'jwks' may not be used with `verifier`"),
        ('verifier = "plugin:a"\naudience = "x"', "auth.audience", "'audience' may not be used with `verifier`"),
        ('verifier = "plugin:a"\nalgorithms = ["RS256"]', "auth.algorithms", "may not be used with `verifier`"),
        ('jwks = "http://keys.example/k"', "auth.jwks", "'jwks' must be an https:// URL"),
        ('algorithms = ["none"]', "auth.algorithms[0]", "must be 'RS256'"),
        ('algorithms = ["HS256"]', "auth.algorithms[0]", "not 'HS256'"),
        ("algorithms = []", "auth.algorithms", "at least 1 item"),
        ('audience = ""', "auth.audience", "at least 1 character"),
    ],
)
def test_an_auth_table_that_makes_no_sense_is_an_error_with_its_place(lines: str, where: str, what: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(f'[auth]\nissuer = "https://i.example"\nresource = "https://r.example/mcp"\n{lines}\n', environ={})
    (problem,) = caught.value.problems
    assert where in problem.where
    assert what in problem.what


def test_an_issuer_whose_keys_are_fetched_needs_a_safe_url() -> None:
    text = '[auth]\nissuer = "http://i.example"\nresource = "https://r.example/mcp"\n'
    with pytest.raises(InvalidConfigError, match="'issuer' must be an https:// URL"):
        parse_config(text, environ={})
    for line in ('jwks = "https://i.example/keys"', 'jwks = "http://[::1]:8080/keys"', 'verifier = "plugin:a"'):
        assert parse_config(text + line, environ={}).auth is not None


# Addresses beyond this machine

AUTH = '[auth]\nissuer = "https://i.example"\nresource = "https://r.example/mcp"\n'


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.168.1.7", "mcp.example.com"])
def test_an_address_beyond_this_machine_needs_auth_or_insecure(bind: str) -> None:
    text = f'[transport]\nhost = "{bind}"\nallowed_hosts = ["mcp.example.com"]\n'
    with pytest.raises(HostError, match="without \\[auth\\] would let everyone") as caught:
        refuse_open(parse_config(text, environ={}))
    assert caught.value.hint.startswith("[transport] insecure = true")
    assert caught.value.where == "mcp-host.toml:2: transport.host"
    refuse_open(parse_config(text + "insecure = true\n", environ={}))
    refuse_open(parse_config(text + AUTH, environ={}))


@pytest.mark.parametrize("bind", ["127.0.0.1", "localhost", "::1"])
def test_this_machines_own_addresses_need_neither(bind: str) -> None:
    refuse_open(parse_config(f'[transport]\nhost = "{bind}"\n', environ={}))


def test_insecure_does_not_replace_allowed_hosts() -> None:
    with pytest.raises(HostError, match="DNS rebinding"):
        refuse_open(parse_config('[transport]\nhost = "0.0.0.0"\ninsecure = true\n' + AUTH, environ={}))
