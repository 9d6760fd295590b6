"""An OAuth issuer on loopback: real keys, metadata and JWKS over HTTP, and signed tokens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(private: PrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    """Return the public half of a key as RFC 7517 has it."""
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        made = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        made = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        made = OKPAlgorithm.to_jwk(public, as_dict=True)
    made = {name: value for name, value in made.items() if name != "key_ops"}
    return {**made, "kid": kid, "use": "sig", **more}


@dataclass
class Issuer:
    """A running issuer. A test may change its `documents` (by path) and the `status` of all answers."""

    url: str
    root: str
    documents: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)

    @property
    def jwks_url(self) -> str:
        return f"{self.root}/jwks"

    def serve_keys(self, *keys: dict[str, Any]) -> None:
        self.documents["/jwks"] = {"keys": list(keys)}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token for `http://127.0.0.1/mcp`; a claim that is changed to None is left out."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": "http://127.0.0.1/mcp",
            "sub": "ann",
            "client_id": "editor",
            "scope": "mcp notes",
            "iat": now,
            "exp": now + 300,
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(
        self,
        *,
        key: PrivateKey = EC_KEY,
        algorithm: str = "ES256",
        kid: str | None = "ec",
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Sign a token; `changes` are those of `claims`."""
        named = {"typ": "at+jwt", **({"kid": kid} if kid is not None else {}), **(header or {})}
        return jwt.encode(self.claims(**changes), key, algorithm, headers=named)


@contextmanager
def serving_issuer(path: str = "") -> Iterator[Issuer]:
    """Serve an issuer, whose identifier may have a path, with the keys `ec` and `rsa`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Grant client credentials (RFC 6749, section 4.4) for the resource asked for (RFC 8707)."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/token":
                issuer.asked.append(f"POST {self.path}")
                self.answer(200 if self.path in issuer.documents else 404, {})
                return
            form = dict(parse_qsl(body.decode()))
            issuer.asked.append(f"{self.path} {form.get('grant_type')} {form.get('resource')} {form.get('scope')}")
            token = issuer.token(aud=form["resource"], scope=form.get("scope", ""))
            self.answer(200, {"access_token": token, "token_type": "Bearer", "scope": form.get("scope", "")})

        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            found = issuer.documents.get(self.path)
            self.answer(issuer.status if found is not None else 404, found)

        def answer(self, status: int, found: Any) -> None:
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status in (301, 302):
                self.send_header("Location", issuer.jwks_url)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: `asked` is the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    root = f"http://127.0.0.1:{server.server_address[1]}"
    issuer = Issuer(f"{root}{path}", root)
    issuer.documents[f"/.well-known/oauth-authorization-server{path}"] = {
        "issuer": issuer.url,
        "jwks_uri": issuer.jwks_url,
        "authorization_endpoint": f"{root}/authorize",
        "token_endpoint": f"{root}/token",
    }
    issuer.serve_keys(jwk(EC_KEY, "ec", alg="ES256"), jwk(RSA_KEY, "rsa"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
