"""Database servers for tests: each has its own folder, listens on a free port of loopback, and is stopped by its id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

SECONDS_TO_START = 60.0
PASSWORD = "s3cr3t/p@ss:word"
"""With every character that a URL must quote."""
QUOTED_PASSWORD = "s3cr3t%2Fp%40ss%3Aword"


def program(name: str, *folders: str) -> str | None:
    """Return the path of a program: the newest one in the folders, which may have a *, else the one on PATH."""
    for pattern in folders:
        found = sorted(Path("/").glob(pattern.lstrip("/") + "/" + name), reverse=True)
        if found:
            return str(found[0])
    return shutil.which(name)


INITDB = program("initdb", "/usr/lib/postgresql/*/bin")
POSTGRES = program("postgres", "/usr/lib/postgresql/*/bin")
MARIADBD = program("mariadbd", "/usr/sbin")
PGBOUNCER = program("pgbouncer", "/usr/sbin")
MARIADB_TABLES = Path("/usr/share/mysql")
MARIADB_FILES = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")

no_postgres = "PostgreSQL is not installed (Debian: postgresql)"
no_pgbouncer = "PgBouncer is not installed (Debian: pgbouncer)"
no_mariadb = "MariaDB is not installed (Debian: mariadb-server-core)"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _unprivileged() -> dict[str, Any]:
    """Database servers refuse to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder that an unprivileged server may write to. Its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sql-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.getuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        yield folder


@dataclass
class Server:
    """A database server; `url` is of a superuser, with the password."""

    folder: Path
    url: str
    port: int
    command: Sequence[str]
    greets: bytes
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True, **_unprivileged()
            )
        end = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.folder / "log").read_text(errors="replace"))
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server and its children, like a crash of the machine."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Stop the server by its id."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if self.greets == b"R" else signal.SIGTERM)
            try:
                self.process.wait(SECONDS_TO_START)
            except subprocess.TimeoutExpired:
                self.kill()

    def _answers(self) -> bool:
        """Return whether the server accepts connections. PostgreSQL answers R, not E; MySQL sends a greeting."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                if self.greets == b"R":
                    parameters = b"user\0tester\0database\0postgres\0\0"
                    connection.sendall(
                        (8 + len(parameters)).to_bytes(4, "big") + (196608).to_bytes(4, "big") + parameters
                    )
                    return connection.recv(1) == b"R"
                return len(connection.recv(5)) == 5
        except OSError:
            return False


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server with the superuser tester."""
    assert INITDB is not None
    assert POSTGRES is not None
    with server_folder() as folder:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if os.getuid() == 0:
            shutil.chown(secret, "nobody")
        data = folder / "data"
        options = ["-U", "tester", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run([INITDB, "-D", data, *options], cwd=folder, check=True, capture_output=True, **_unprivileged())
        port = free_port()
        settings = ["fsync=off", f"unix_socket_directories={folder}", "max_connections=40", "restart_after_crash=on"]
        flags = [part for setting in settings for part in ("-c", setting)]
        command = [POSTGRES, "-D", str(data), "-h", "127.0.0.1", "-p", str(port), *flags]
        url = f"postgresql://tester:{QUOTED_PASSWORD}@127.0.0.1:{port}/postgres"
        yield from _running(Server(folder, url, port, command, b"R"))


@contextmanager
def mariadb_server(certificate: trustme.LeafCert | None = None) -> Iterator[Server]:
    """A MariaDB server with the superuser tester. With a certificate, it offers TLS."""
    assert MARIADBD is not None
    with server_folder() as folder:
        data = folder / "data"
        common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={folder}"]
        data.mkdir()
        if os.getuid() == 0:
            shutil.chown(data, "nobody", "nogroup")
        # The same as mariadb-install-db, which needs programs from the client's package.
        system = "".join(MARIADB_TABLES.joinpath(name).read_text(encoding="utf-8") for name in MARIADB_FILES)
        bootstrap = subprocess.run(
            [MARIADBD, *common, "--bootstrap", "--innodb-log-file-size=8M", "--innodb-use-native-aio=0"],
            input=f"CREATE DATABASE mysql;\nUSE mysql;\n{system}".encode(),
            cwd=folder,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **_unprivileged(),
        )
        if bootstrap.returncode:
            raise RuntimeError(bootstrap.stdout.decode(errors="replace"))
        first = folder / "first.sql"
        quoted = PASSWORD.replace("'", "''")
        first.write_text(
            f"CREATE USER IF NOT EXISTS tester@'%' IDENTIFIED BY '{quoted}';\n"
            "GRANT ALL ON *.* TO tester@'%' WITH GRANT OPTION;\nCREATE DATABASE IF NOT EXISTS shop;\n"
        )
        port = free_port()
        command = [
            MARIADBD,
            *common,
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={folder / 'sock'}",
            f"--pid-file={folder / 'pid'}",
            f"--init-file={first}",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=8M",
            "--innodb-use-native-aio=0",
        ]
        if certificate is None:
            command.append("--skip-ssl")
        else:
            files = {"key": folder / "key.pem", "cert": folder / "cert.pem"}
            certificate.private_key_pem.write_to_path(files["key"])
            certificate.cert_chain_pems[0].write_to_path(files["cert"])
            for kind, file in files.items():
                if os.getuid() == 0:
                    shutil.chown(file, "nobody", "nogroup")
                command.append(f"--ssl-{kind}={file}")
        url = f"mysql://tester:{QUOTED_PASSWORD}@127.0.0.1:{port}/shop"
        yield from _running(Server(folder, url, port, command, b""))


@contextmanager
def pooler(server: Server, mode: str) -> Iterator[Server]:
    """A PgBouncer with this pool_mode in front of a PostgreSQL server."""
    assert PGBOUNCER is not None
    with server_folder() as folder:
        port = free_port()
        (folder / "users").write_text(f'"tester" "{PASSWORD}"\n')
        (folder / "ini").write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={server.port} user=tester password='{PASSWORD}'\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\n"
            f"auth_file = {folder / 'users'}\npool_mode = {mode}\nunix_socket_dir =\ndefault_pool_size = 2\n"
        )
        url = f"postgresql://tester@127.0.0.1:{port}/postgres"
        yield from _running(Server(folder, url, port, [PGBOUNCER, str(folder / "ini")], b"R"))


def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()
