"""A package index on loopback: the files of a folder, as HTML (PEP 503) and as JSON (PEP 691)."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from packaging.utils import canonicalize_name

_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class Index:
    """A running index. `asked` are the paths that were requested. `on_request` is called before a file is sent."""

    folder: Path
    url: str
    asked: list[str] = field(default_factory=list)
    on_request: dict[str, Callable[[], object]] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        """The variables with which pip and uv use this index and nothing else."""
        return {
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": self.url,
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PIP_CONSTRAINT": "",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
            "UV_NO_CONFIG": "1",
            "UV_DEFAULT_INDEX": self.url,
            "UV_CACHE_DIR": str(self.folder / ".uv"),
        }


@contextmanager
def serving(folder: Path) -> Iterator[Index]:
    """Serve the wheels and source distributions of a folder, which may change meanwhile."""
    asked: list[str] = []
    on_request: dict[str, Callable[[], object]] = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.path)
            kind, _, name = self.path.strip("/").partition("/")
            if kind == "files" and (folder / name).is_file():
                content = (folder / name).read_bytes()
                on_request.pop(name, lambda: None)()
                self._answer(content, "application/octet-stream")
            elif kind == "simple" and (files := _files_of(folder, name)):
                as_json = _JSON in self.headers.get("Accept", "")
                body = _as_json(name, files) if as_json else _as_html(files)
                self._answer(body.encode(), _JSON if as_json else "text/html")
            else:
                self.send_error(404)

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Index(folder, f"http://127.0.0.1:{server.server_port}/simple/", asked, on_request)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _files_of(folder: Path, name: str) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix in (".whl", ".gz"))
    return [path for path in files if canonicalize_name(path.name.partition("-")[0]) == name]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _as_json(name: str, files: list[Path]) -> str:
    listed = [
        {"filename": each.name, "url": f"/files/{each.name}", "hashes": {"sha256": _sha256(each)}} for each in files
    ]
    return json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": listed})


def _as_html(files: list[Path]) -> str:
    links = (f'<a href="/files/{each.name}#sha256={_sha256(each)}">{each.name}</a>' for each in files)
    return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"


def build_sdist(folder: Path, distribution: str, *, marker: Path, version: str = "1.0") -> Path:
    """Write a source distribution whose setup.py makes the file `marker` when it is run."""
    stem = f"{distribution.replace('-', '_')}-{version}"
    setup = (
        f"open({str(marker)!r}, 'w').close()\n"
        "from setuptools import setup\n"
        f"setup(name={distribution!r}, version={version!r}, py_modules=['it'], "
        "entry_points={'mcp.plugins': ['src = it:plugin']})\n"
    )
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        "setup.py": setup,
        "it.py": "from mcp_host import Plugin\nplugin = Plugin()\n",
    }
    path = folder / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path
