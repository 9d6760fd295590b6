"""The options of a database URL: each one reaches the driver, or is refused by its name."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from mcp_host import HostError

_ASYNCPG: Final = frozenset(
    (
        *("host", "port", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
    )
)
"""The options of libpq that asyncpg reads from a URL itself."""

_NO_CHANNEL_BINDING: Final = frozenset(("prefer", "disable"))

_WORD: Final = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)
_SETTING: Final = re.compile(r"(?:-c|--)?(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.*)", re.DOTALL)

_TRUE: Final = frozenset(("", "1", "true", "yes", "on"))
_FALSE: Final = frozenset(("0", "false", "no", "off"))
TLS_MODES: Final = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
"""MySQL's --ssl-mode, from the weakest to the strongest."""

_MYSQL_TLS: Final = (
    *("ssl_mode", "ssl", "ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_check_hostname", "ssl_verify_cert"),
    "ssl_verify_identity",
)
_MYSQL: Final = frozenset((*_MYSQL_TLS, "unix_socket", "socket", "charset", "connect_timeout"))
_UTF_8: Final = frozenset(("utf8mb4", "utf8", "utf8mb3", "utf-8"))


def _refuse(name: str, why: str, hint: str = "remove it from the URL") -> NoReturn:
    raise HostError(f"the option {name} of the database's URL {why}", hint=hint)


@dataclass(frozen=True)
class PostgresOptions:
    """What a URL asks for: `driver` for the driver's connect function, `session` to be set in each transaction."""

    driver: Mapping[str, str]
    session: Mapping[str, str] = field(default_factory=dict)
    connect_timeout: float | None = None
    application_name: str = "mcp-plugin-sql"


def postgres_options(query: Mapping[str, str], driver: str) -> PostgresOptions:
    """Return what the options of a PostgreSQL URL mean.

    `options=-c name=value` is set in each transaction and not when connecting, because PgBouncer refuses it there.

    Raises:
        HostError: The driver does not know an option, or cannot do what it asks for. The message has its name.
    """
    rest = dict(query)
    session = _session(rest.pop("options", ""))
    timeout = _seconds("connect_timeout", rest.pop("connect_timeout", None))
    name = rest.pop("application_name", None) or rest.pop("fallback_application_name", None) or "mcp-plugin-sql"
    if driver == "asyncpg":
        binding = rest.pop("channel_binding", "prefer")
        if binding not in _NO_CHANNEL_BINDING:
            _refuse(f"channel_binding={binding}", "cannot be kept by asyncpg", "use postgresql+psycopg://")
        for option in rest:
            if option not in _ASYNCPG:
                _refuse(option, "is not known to asyncpg", "remove it, or use postgresql+psycopg://")
    else:
        _check_libpq(rest)
    return PostgresOptions(rest, session, timeout, name)


def _check_libpq(options: Mapping[str, str]) -> None:
    from psycopg import pq

    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    for option in options:
        if option not in known:
            _refuse(option, "is not known to PostgreSQL's client library")


def _session(text: str) -> dict[str, str]:
    """Return the settings in `options` (libpq's documentation: `-c name=value` or `--name=value`, spaces escaped)."""
    words = _WORD.findall(text)
    found: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word += words.pop(0)
        match = _SETTING.fullmatch(word) if word.startswith(("-c", "--")) else None
        if match is None:
            _refuse("options", "has a part that is not -c name=value", "write options=-c%20name%3Dvalue")
        found[match["name"].replace("-", "_")] = re.sub(r"\\(.)", r"\1", match["value"], flags=re.DOTALL)
    return found


def _seconds(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        _refuse(name, f"is {text!r}, which is not a number", "write a number of seconds")
    return seconds if seconds > 0 else None


@dataclass(frozen=True)
class MySQLOptions:
    """What a URL asks for. `tls` is the context for TLS, or None. With `requires_tls`, nothing is sent without it."""

    tls: ssl.SSLContext | None
    requires_tls: bool
    unix_socket: str | None
    connect_timeout: float | None


def mysql_options(query: Mapping[str, str]) -> MySQLOptions:
    """Return what the options of a MySQL URL mean. Names may have - or _, as in MySQL's own programs.

    Without an option, TLS is used if the server offers it, and its certificate is not checked (PREFERRED, the default
    of MySQL's own client).

    Raises:
        HostError: An option is not known, or its value is not. The message has its name.
    """
    options = {name.lower().replace("-", "_"): value for name, value in query.items()}
    written = dict(zip(options, query, strict=False))
    for name in options:
        if name not in _MYSQL:
            _refuse(written[name], "is not known", f"known options: {', '.join(sorted(_MYSQL))}")
    if options.get("charset", "utf8mb4").lower() not in _UTF_8:
        _refuse("charset", "is not utf8mb4, which this plugin always uses")
    mode = _tls_mode(options)
    unix_socket = options.get("unix_socket") or options.get("socket")
    if unix_socket and mode in TLS_MODES[2:]:
        _refuse("unix_socket", "and TLS cannot be used together", "remove the options for TLS: a socket is local")
    return MySQLOptions(
        tls=None if mode == "DISABLED" or unix_socket else _context(mode, options),
        requires_tls=mode in TLS_MODES[2:],
        unix_socket=unix_socket,
        connect_timeout=_seconds("connect_timeout", options.get("connect_timeout")),
    )


def _tls_mode(options: Mapping[str, str]) -> str:
    mode = options.get("ssl_mode", "").upper()
    if mode and mode not in TLS_MODES:
        _refuse("ssl-mode", f"is {mode}", f"use one of {', '.join(TLS_MODES)}")
    wanted = [mode] if mode else []
    if "ssl" in options:
        wanted.append("REQUIRED" if _flag("ssl", options) else "DISABLED")
    if _given(options, ("ssl_ca", "ssl_capath")) or _flag("ssl_verify_cert", options):
        wanted.append("VERIFY_CA")
    if _given(options, ("ssl_cert", "ssl_key")):
        wanted.append("REQUIRED")
    if _flag("ssl_verify_identity", options) or _flag("ssl_check_hostname", options):
        wanted.append("VERIFY_IDENTITY")
    if len(wanted) > 1 and "DISABLED" in wanted:
        _refuse("ssl-mode=DISABLED", "contradicts the other options for TLS")
    return max(wanted, key=TLS_MODES.index, default="PREFERRED")


def _flag(name: str, options: Mapping[str, str]) -> bool:
    value = options.get(name, "false").lower()
    if value not in _TRUE | _FALSE:
        _refuse(name, f"is {value!r}", "write true or false")
    return value in _TRUE


def _given(options: Mapping[str, str], names: Iterable[str]) -> bool:
    return any(options.get(name) for name in names)


def _context(mode: str, options: Mapping[str, str]) -> ssl.SSLContext:
    files: dict[str, Any] = {"cafile": options.get("ssl_ca") or None, "capath": options.get("ssl_capath") or None}
    try:
        context = ssl.create_default_context(**files)
        if options.get("ssl_cert"):
            context.load_cert_chain(options["ssl_cert"], options.get("ssl_key") or None)
    except OSError as error:
        raise HostError(
            f"a file for TLS in the database's URL cannot be used: {error.strerror or error}",
            hint="check the paths of ssl-ca, ssl-cert and ssl-key",
        ) from None
    context.check_hostname = mode == "VERIFY_IDENTITY"
    if mode not in ("VERIFY_CA", "VERIFY_IDENTITY"):
        context.verify_mode = ssl.CERT_NONE
    return context
