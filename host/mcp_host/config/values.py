"""The types of values that the tables in mcp-host.toml share."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from mcp_host.config.references import SECRET_REFERENCE, is_reference

_UNIT_SECONDS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

PLUGIN_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*"

FIELD_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""RFC 9110 section 5.1: the name of a field in the header of an HTTP request is a token."""

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def parse_duration(value: object) -> float:
    """Return seconds from a number of seconds or a text such as `500ms`, `30s`, `2m` or `1h`.

    Raises `ValueError` if the value has another form, is not above zero, or is not finite.
    """
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h)", value)):
        seconds = float(match[1]) * _UNIT_SECONDS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        # tomllib reads whole numbers of any size. Some are larger than any float.
        seconds = float(value) if abs(value) < 1e300 else math.inf
    else:
        raise ValueError('must be a number of seconds, or a text such as "500ms", "30s", "2m" or "1h"')
    if not 0 < seconds < math.inf:
        raise ValueError("must be a duration above 0 and below infinity")
    return seconds


_DURATION_SCHEMA: Final[JsonSchemaValue] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "description": "Seconds."},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h)$", "examples": ["500ms", "30s", "2m", "1h"]},
    ]
}

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""A length of time in seconds."""


_SIZE_UNITS: Final[Mapping[str, int]] = {
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMG", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate(("k", "M", "G"), 1)},
}


def parse_size(value: object) -> int:
    """Return bytes from a whole number of bytes or a text such as `512MiB` or `1.5GB`.

    Raises `ValueError` if the value has another form.
    """
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([kKMG]i?B)", value)):
        if (unit := _SIZE_UNITS.get(match[2])) is not None:
            return int(float(match[1]) * unit)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError('must be a whole number of bytes, or a text such as "512MiB", "2GiB" or "500MB"')


_SIZE_SCHEMA: Final[JsonSchemaValue] = {
    "anyOf": [
        {"type": "integer", "description": "Bytes."},
        {
            "type": "string",
            "pattern": r"^[0-9]{1,15}(\.[0-9]{1,15})? ?(KiB|MiB|GiB|kB|MB|GB)$",
            "examples": ["512MiB", "2GiB", "500MB"],
        },
    ]
}

SMALLEST_MEMORY: Final = 16 * 1024 * 1024
"""A program with less memory does not even start."""


def _enough_memory(size: int) -> int:
    # Above 2**62, the system takes no number; and no machine has so much.
    if not SMALLEST_MEMORY <= size <= 2**62:
        raise ValueError("must be at least 16 MiB and at most 4 EiB")
    return size


def _seconds_of_cpu(seconds: float) -> float:
    if seconds > 2**31:
        raise ValueError("must be at most 68 years")
    return seconds


@dataclass(frozen=True)
class Form:
    """The form that a text must have: a pattern for the whole text, and the error message for another form."""

    pattern: str
    message: str

    def check(self, text: str) -> str:
        """Return the text, or raise `ValueError` if it has another form."""
        if not re.fullmatch(self.pattern, text):
            raise ValueError(self.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the form after pydantic has checked the type."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the form as a pattern."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}


def _none(value: object) -> object:
    return None if value == "none" else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _short_kind(value: object) -> object:
    return "http" if value == "streamable-http" else value


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("must be a path whose `~` names a known home directory") from None


FilePath = Annotated[Path, AfterValidator(_expanded)]
"""A path, with `~` expanded."""

PluginName = Annotated[
    str, Form(PLUGIN_NAME, "must be a plugin's name: letters, digits, `.`, `_` and `-`, not starting with `.` or `-`")
]

_HOST_NAME: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]"


def _valid_host_and_port(value: str) -> str:
    address, _, port = value.rpartition("//")[2].rpartition("]")
    port = port.rpartition(":")[2]
    if port.isdecimal() and int(port) > 65535 and ":" in value.rpartition("//")[2]:
        raise ValueError("must have a port of at most 65535")
    if address:
        try:
            ipaddress.IPv6Address(address.removeprefix("["))
        except ValueError:
            raise ValueError('must have an IPv6 address in its brackets, such as "[::1]"') from None
    return value


Authority = Annotated[
    str,
    Form(
        rf"(?:{_HOST_NAME})(?::(?:[0-9]{{1,5}}|\*))?",
        'must be a host as in a URL, such as "mcp.example.com", "mcp.example.com:8443" or "[::1]": '
        'name each one, without "*", scheme and path',
    ),
    AfterValidator(_valid_host_and_port),
]
"""A host name or address as in a URL. Without a port, or with `:*`, it stands for every port."""

Origin = Annotated[
    str,
    Form(
        rf"(?:null|https?://(?:{_HOST_NAME})(?::[0-9]{{1,5}})?|(?!https?:)[A-Za-z][A-Za-z0-9+.-]*://[^/\s*]+)",
        'must be an origin as browsers send it, such as "https://example.com": name each one, without "*" and path',
    ),
    AfterValidator(_valid_host_and_port),
]


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValueError('must be an IP address, or a network such as "10.0.0.0/8"') from None
        raise ValueError(f'must be the first address of its network: "{network}"') from None
    return value


Network = Annotated[str, AfterValidator(_network)]
"""An IP address, or a network of them."""

URL: Final = Form(r"https?://[^/\s]\S*", 'must be a URL such as "https://example.com"')

HttpUrl = Annotated[str, URL]

SigningAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""How a token may be signed: with a private key (RFC 7518, RFC 8037). Shared secrets and "none" are not allowed."""

ObjectName = Annotated[
    str,
    Form(
        r"([^\W\d]\w*(\.[^\W\d]\w*)*|([A-Za-z]:)?[^:\x00]+\.py)(:[^\W\d]\w*(\.[^\W\d]\w*)*)?",
        'must have the form "package.module:attribute" or "file.py:attribute"; without an attribute, the module itself',
    ),
]
"""An object of a module that can be imported, or of a file relative to the TOML. It may be the module itself."""


def split_object(value: str) -> tuple[str, str]:
    """Split "package.module:attribute [extra]" or "file.py:attribute" at the colon. The attribute may be ""."""
    whole = value.partition("[")[0].strip()
    module, colon, attribute = whole.rpartition(":")
    if not colon or whole.endswith(".py"):  # the colon may be that of a drive
        return whole, ""
    return module.strip(), attribute.strip()


def _url_or_secret(value: object) -> object:
    if not is_reference(value):
        if not isinstance(value, str):
            raise ValueError('must be a URL, or a secret such as { env = "NAME", format = "https://example.com/{}" }')
        return URL.check(value)
    assert isinstance(value, Mapping)
    text = value.get("format", "{}")
    # The secret may be the whole URL, or its beginning.
    if not text.startswith("{}"):
        URL.check(text.replace("{}", "x"))
    return value


UrlOrSecret = Annotated[
    Any,
    BeforeValidator(_url_or_secret),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^{URL.pattern}$"}, SECRET_REFERENCE]}),
]
"""A URL. A reference stays one until it is used: the secret is a part of the URL, or all of it."""


def _text_or_secret(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) and not is_reference(value):
        raise ValueError(
            'must be a text, or a secret: { env = "NAME" } or { file = "PATH" }, with format = "...{}..." or not'
        )
    return value


TextOrSecret = Annotated[
    Any,
    BeforeValidator(_text_or_secret),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, SECRET_REFERENCE]}),
]
"""A text for another program or server. A number is written as a text; a reference stays one until it is used."""

OptionalDuration = Annotated[
    Duration | None,
    BeforeValidator(_none),
    WithJsonSchema({"anyOf": [*_DURATION_SCHEMA["anyOf"], {"const": "none"}]}),
]

OptionalMemory = Annotated[
    Annotated[int, BeforeValidator(parse_size), AfterValidator(_enough_memory)] | None,
    BeforeValidator(_none),
    WithJsonSchema({"anyOf": [*_SIZE_SCHEMA["anyOf"], {"const": "none"}]}),
]
"""A size of memory in bytes."""

OptionalCpuTime = Annotated[
    Annotated[Duration, AfterValidator(_seconds_of_cpu)] | None,
    BeforeValidator(_none),
    WithJsonSchema({"anyOf": [*_DURATION_SCHEMA["anyOf"], {"const": "none"}]}),
]

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    BeforeValidator(_lower),
    WithJsonSchema(
        {
            "type": "string",
            # Editors offer the names in `enum`. The pattern accepts them in any case.
            "anyOf": [
                {"enum": list(_LEVELS)},
                {"pattern": f"^({'|'.join(''.join(f'[{c.upper()}{c}]' for c in name) for name in _LEVELS)})$"},
            ],
        }
    ),
]

TransportKind = Annotated[
    Literal["stdio", "http"],
    BeforeValidator(_short_kind),
    WithJsonSchema({"type": "string", "enum": ["stdio", "http", "streamable-http"]}),
]


def is_loopback(host: str) -> bool:
    """Return whether an address or a name can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_safe_to_fetch(url: str) -> bool:
    """Return whether nobody can change the response on its way: the URL is https, or on this machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        )
    except ValueError:
        return False


class Section(BaseModel):
    """A table of the file. Its keys are fixed, and it cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


PROCESS_LIMITS: Final = frozenset({"memory", "cpu_time"})
"""The limits that the system enforces, on a process. Plugins in the host's own process do not have them."""


class Limits(Section):
    """`[host.limits]` and `[plugins.NAME.limits]`: how much of the host one plugin may use."""

    calls: StrictInt = Field(default=64, ge=1, description="Calls of one plugin that run at the same time.")
    queue: StrictInt = Field(
        default=32, ge=0, description='Calls of one plugin that wait for a place; more calls are refused as "busy".'
    )
    threads: StrictInt = Field(
        default=40, ge=1, description="Worker threads for the plain (not async) functions of one plugin."
    )
    argument_size: StrictInt = Field(
        default=4 * 1024 * 1024, ge=1, description="Largest arguments of one call, in bytes."
    )
    argument_depth: StrictInt = Field(default=64, ge=1, description="Deepest nesting of one call's arguments.")
    result_size: StrictInt = Field(
        default=8 * 1024 * 1024,
        ge=1,
        description="Largest result, in bytes; a longer text is cut, a longer structured result refused.",
    )
    failures: StrictInt = Field(
        default=10, ge=0, description="Crashes and timeouts in a row after which a plugin is paused; 0 for never."
    )
    cooldown: Duration = Field(default=30.0, description="How long a plugin is paused before one call tries it again.")
    answer_timeout: Duration = Field(
        default=600.0,
        description="How long a call may wait for a client's answer; this does not count as the call's own time.",
    )
    progress_extends: StrictBool = Field(
        default=False, description="Start a call's timeout again whenever the call reports progress."
    )
    memory: OptionalMemory = Field(
        default=None,
        description="Most memory that a plugin's own process may take, in bytes or as a text such as `512MiB`, for "
        "`command` and `isolation`; a process that needs more fails or ends. Only Linux enforces it.",
    )
    cpu_time: OptionalCpuTime = Field(
        default=None,
        description="Most processor time that a plugin's own process may use before it is ended, in whole seconds "
        "(rounded up), for `command` and `isolation`; not on Windows.",
    )

    def overridden(self, by: Limits) -> Limits:
        """Return these limits with the ones that `by` sets expressly."""
        return self.model_copy(update={key: getattr(by, key) for key in by.model_fields_set})
