"""Reads a database URL: the kind of database, the driver and the address, with the password kept separately."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlencode

from mcp_host import HostError

SECRET: Final = frozenset(("password", "passwd"))
"""The options of a URL that are a password."""

DatabaseKind = Literal["sqlite", "postgresql", "mysql"]

SCHEMES: Final[Mapping[str, DatabaseKind]] = MappingProxyType(
    {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
)

DRIVERS: Final[Mapping[DatabaseKind, tuple[str, ...]]] = MappingProxyType(
    {"sqlite": ("aiosqlite",), "postgresql": ("psycopg", "asyncpg"), "mysql": ("aiomysql",)}
)
"""The supported drivers, the preferred one first."""

EXTRAS: Final = MappingProxyType({"psycopg": "postgres", "asyncpg": "asyncpg", "aiomysql": "mysql"})
"""The extra of this distribution that installs each driver."""

_URL = re.compile(
    r"(?P<kind>\w+)(?:\+(?P<driver>\w+))?://"
    # As in SQLAlchemy, a password may contain anything but an @.
    r"(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<host>\[[^\]]*\]|[^/:?]*)(?::(?P<port>\d+))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_FORMS: Final = "a path, sqlite:///path, postgresql://user@host/database or mysql://user@host/database"


class MissingDriverError(HostError):
    """The driver for this kind of database is not installed."""


@dataclass(frozen=True)
class Parsed:
    """The parts of a database URL. `url` is without the password. For SQLite, `database` is the file's path."""

    url: str
    kind: DatabaseKind
    database: str
    driver: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """A short description of the database without secrets."""
        if self.kind == "sqlite":
            return self.database
        port = f":{self.port}" if self.port else ""
        return f"{self.host or self.query.get('host', 'localhost')}{port}/{self.database}"


def parse_url(text: str) -> Parsed:
    """Read a URL or the path of a SQLite file. Raises ValueError with a text that contains nothing of the URL."""
    if "://" not in text:
        return Parsed(text, "sqlite", _file(text))
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError(f"this is not a database URL: write {_FORMS}")
    kind = SCHEMES.get(match["kind"])
    if kind is None:
        raise ValueError(f"this kind of database is not known: write {_FORMS}")
    driver = match["driver"]
    if driver is not None and driver not in DRIVERS[kind]:
        known = " or ".join(f"{match['kind']}+{name}://" for name in DRIVERS[kind])
        raise ValueError(f"this driver is not supported: write {known}, or leave it out")
    if kind == "sqlite":
        if match["host"] or match["query"] or match["user"]:
            raise ValueError("a SQLite URL is only sqlite:///path, or sqlite:////path for an absolute path")
        return Parsed(text, kind, _file(match["database"] or ""))
    pairs = parse_qsl(match["query"] or "", keep_blank_values=True)
    passwords = [value for key, value in pairs if key in SECRET]
    query = {key: value for key, value in pairs if key not in SECRET}
    password = unquote(match["password"]) if match["password"] is not None else None
    return Parsed(
        url=_without_password(match, query),
        kind=kind,
        driver=driver,
        user=unquote(match["user"]) if match["user"] else None,
        password=passwords[0] if passwords else password,
        host=(match["host"] or "").strip("[]") or None,
        port=int(match["port"]) if match["port"] else None,
        database=unquote(match["database"] or ""),
        query=query,
    )


def driver_of(parsed: Parsed) -> str:
    """Return the driver in the URL, else the first driver that is installed.

    Raises:
        MissingDriverError: The driver is not installed. The hint is the command that installs it.
    """
    candidates = (parsed.driver,) if parsed.driver else DRIVERS[parsed.kind]
    for driver in candidates:
        if importlib.util.find_spec(driver) is not None:
            return driver
    extra = EXTRAS.get(candidates[0])
    wanted = f"'mcp-plugin-sql[{extra}]'" if extra else candidates[0]
    names = " or ".join(candidates)
    raise MissingDriverError(
        f"{parsed.kind} needs the driver {names}, which is not installed", hint=f"pip install {wanted}"
    )


def file_of(parsed: Parsed, base_dir: Path) -> Path:
    """Return the absolute path of the SQLite file."""
    return (base_dir / Path(parsed.database).expanduser()).absolute()


def _file(path: str) -> str:
    if path in ("", ":memory:") or path.startswith("file:"):
        raise ValueError("name a SQLite file: a path or sqlite:///path (a database in memory would be empty)")
    return path


def _without_password(match: re.Match[str], query: Mapping[str, str]) -> str:
    driver = f"+{match['driver']}" if match["driver"] else ""
    user = f"{match['user']}@" if match["user"] else ""
    port = f":{match['port']}" if match["port"] else ""
    database = f"/{match['database']}" if match["database"] is not None else ""
    options = f"?{urlencode(query)}" if query else ""
    return f"{match['kind']}{driver}://{user}{match['host']}{port}{database}{options}"
