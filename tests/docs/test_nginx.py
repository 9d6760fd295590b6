"""Runs the nginx of docs/howto/nginx.md: progress arrives while a call runs, and other hosts are refused."""

from __future__ import annotations

import datetime
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from docs.sandbox import Sandbox
from support.issuer import serving_issuer
from support.pages import DOCS, blocks

PAGE = DOCS / "howto" / "nginx.md"
NAME = "mcp.example.com"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx"),
]

SLOW = """
import asyncio
from mcp_host import Context, Plugin

plugin = Plugin()

@plugin.tool
async def slow(ctx: Context) -> str:
    for step in range(3):
        await ctx.report_progress(step, 3)
        await asyncio.sleep(0.4)
    return "done"
"""


def block(language: str) -> str:
    (found,) = [each for each in blocks(PAGE) if each.language == language]
    return found.text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "fullchain.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "privkey.pem").write_bytes(secret)
    return file


@contextmanager
def nginx(folder: Path, page: str, upstream: str, port: int) -> Iterator[None]:
    """Run nginx with the page's server, changed only in its port and certificates."""
    text = page.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}").replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("/etc/letsencrypt/live/mcp.example.com", str(folder))
    temp = "".join(
        f"{kind}_temp_path {folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off;\npid {folder / 'pid'};\nerror_log {folder / 'error.log'};\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temp}{text}\n}}\n"
    )
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while not answers(port):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def trusting(certificate: Path) -> httpx2.AsyncClient:
    """A client that trusts the certificate, and sends the name of the server instead of its address."""
    context = ssl.create_default_context(cafile=str(certificate))

    async def to_the_name(request: httpx2.Request) -> None:
        request.headers["Host"] = NAME
        request.extensions["sni_hostname"] = NAME

    return httpx2.AsyncClient(verify=context, event_hooks={"request": [to_the_name]}, timeout=20)


@contextmanager
def host_behind_nginx(folder: Path, page: str, more: str = "") -> Iterator[tuple[Path, int]]:
    """Serve the page's mcp-host.toml, with a slow tool and `more` in it; yield the certificate and nginx's port."""
    sandbox = Sandbox(folder)
    sandbox.write("slow.py", SLOW)
    sandbox.write("mcp-host.toml", block("toml") + '[plugins.slow]\nobject = "slow:plugin"\n' + more)
    sandbox.environ["PYTHONPATH"] = str(sandbox.home)
    certificate, port = write_certificate(folder), free_port()
    try:
        printed, code = sandbox.run("mcp-host run")
        assert code is None, printed
        with nginx(folder, page, sandbox.port, port):
            yield certificate, port
    finally:
        sandbox.close()


async def seconds_between_progress_and_end(certificate: Path, port: int, mode: str) -> float:
    first: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        first.append(time.monotonic())

    async with (
        trusting(certificate) as http,
        Client(streamable_http_client(f"https://127.0.0.1:{port}/mcp", http_client=http), mode=mode) as client,
    ):
        result = await client.call_tool("slow", {}, progress_callback=progress)
        assert result.structured_content == {"result": "done"}
        return time.monotonic() - first[0]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_progress_comes_through_while_a_call_runs(tmp_path: Path, mode: str) -> None:
    with host_behind_nginx(tmp_path, block("nginx")) as (certificate, port):
        assert await seconds_between_progress_and_end(certificate, port, mode) > 0.9


async def test_other_names_are_refused(tmp_path: Path) -> None:
    page = block("nginx").replace("proxy_set_header Host $host;", "")
    with host_behind_nginx(tmp_path, page) as (certificate, port):
        async with trusting(certificate) as client:
            # Without the line, nginx sends the upstream's name.
            assert (await client.get(f"https://127.0.0.1:{port}/mcp")).status_code == 421
        context = ssl.create_default_context(cafile=str(certificate))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            pytest.raises(ssl.SSLError),
            context.wrap_socket(plain, server_hostname="other.example.com"),
        ):
            pass


async def test_a_client_without_a_token_learns_who_issues_them(tmp_path: Path) -> None:
    with serving_issuer() as issuer:
        auth = f'[auth]\nissuer = "{issuer.url}"\nresource = "https://{NAME}/mcp"\n'
        with host_behind_nginx(tmp_path, block("nginx"), auth) as (certificate, port):
            async with trusting(certificate) as client:
                refused = await client.post(f"https://127.0.0.1:{port}/mcp", json={})
                assert refused.status_code == 401
                pointed = refused.headers["www-authenticate"].partition(f"https://{NAME}")[2].rstrip('"')
                metadata = (await client.get(f"https://127.0.0.1:{port}{pointed}")).json()
    assert metadata["authorization_servers"] == [issuer.url]
