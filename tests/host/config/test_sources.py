"""Where a plugin comes from: the sources of a table, and the keys that fit them."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_host.config import PluginSection, parse_config
from mcp_host.config.references import is_reference
from mcp_host.errors import InvalidConfigError


def section(table: str) -> PluginSection:
    return parse_config(f"[plugins.it]\n{table}", source="mcp-host.toml", environ={}).plugins["it"]


@pytest.mark.parametrize(
    ("table", "source", "place"),
    [
        ("", "entry point", None),
        ('object = "package.module:attribute"', "object", "package.module:attribute"),
        ('object = "servers/my server.py:mcp"', "object", "servers/my server.py:mcp"),
        ('command = ["uvx", "a server"]', "command", "uvx 'a server'"),
        ("command = 'uvx \"a server\"'", "command", "uvx 'a server'"),
        ('command = ["x", { env = "DB", format = "postgres://me:{}@h/db" }]', "command", "x postgres://me:***@h/db"),
        ('command = ["x", "--token", "5ec7e7", "--key=abc", "a b"]', "command", "x --token *** --key=*** 'a b'"),
        ('url = { env = "KEY", format = "https://h/mcp?key={}" }', "url", "https://h/mcp?key=***"),
        ('url = { file = "url.txt" }', "url", "***"),
        ('url = "https://me:5ec7e7@h/mcp?api_key=abc&x=1"', "url", "https://me:***@h/mcp?api_key=***&x=1"),
        ('url = "https://example.com/mcp"', "url", "https://example.com/mcp"),
        ('isolation = "process"', "process", None),
        ('isolation = "process"\nobject = "a:b"', "process", "a:b"),
    ],
)
def test_the_source_of_a_table(table: str, source: str, place: str | None) -> None:
    assert (section(table).source, section(table).place) == (source, place)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ('command = ["x"]\nurl = "https://example.com"', "has command and url"),
        ('object = "a:b"\ncommand = ["x"]', "has object and command"),
        ('url = { env = "U" }\nauth = "oauth"', "has auth and a secret in `url`"),
        ('url = "https://example.com"\nisolation = "process"', "has isolation and url"),
        ('env.A = "1"', "env does not fit this plugin, which comes from an installed distribution"),
        ('url = "https://example.com"\ncwd = "x"', "cwd does not fit this plugin, which comes from a URL"),
        ('command = ["x"]\nheaders.A = "1"', "headers does not fit this plugin, which comes from a command"),
        ('object = "a:b"\nrequirements = ["x"]', "requirements does not fit this plugin, which comes from an object"),
        ('start = "lazy"', "start does not fit"),
        ('command = ["x"]\nsettings.a = 1', "settings do not fit"),
        ("command = []", "must begin with the name of a program"),
        ('command = [""]', "must begin with the name of a program"),
        ('command = ["", "x"]', "must begin with the name of a program"),
        ('command = ["x", "a\\u0000b"]', "must be texts without NUL"),
        ('command = "x \'y"', "No closing quotation"),
        ('command = ["x", true]', "must be a text, or a secret"),
        ('command = ["x", { env = "A", format = "b" }]', "must be a text, or a secret"),
        ('url = { env = "A", format = "ftp://{}" }', "must be a URL"),
        ('url = { env = "A", secret = "b" }', "must be a URL, or a secret"),
        ("url = 1", "must be a URL, or a secret"),
        ('url = "example.com/mcp"', "must be a URL such as"),
        ('url = "ftp://example.com"', "must be a URL such as"),
        ('url = "ftp://example.com"', "must be a URL"),
        ('command = ["x"]\nenv.A = true', "must be a text, or a secret"),
        ('command = ["x"]\nenv.A = { env = "B", format = "no place" }', "must be a text, or a secret"),
        ('command = ["x"]\nenv."A=B" = "1"', "must be the name of a variable"),
        ('url = "https://example.com"\nheaders."A B" = "1"', "must be the name of an HTTP header"),
        ('object = "a/b"', "must have the form"),
        ('command = ["x"]\nera = "new"', "era"),
    ],
)
def test_what_does_not_fit(table: str, what: str) -> None:
    with pytest.raises(InvalidConfigError) as raised:
        section(table)
    assert what in str(raised.value)
    assert "mcp-host.toml:" in str(raised.value)


def test_a_number_is_a_text_for_a_program() -> None:
    assert section('command = ["x"]\nenv = { PORT = 80, RATE = 0.5 }').env == {"PORT": "80", "RATE": "0.5"}


def test_the_values_of_variables_and_headers_are_not_shown() -> None:
    assert "5ec7e7" not in repr(section('command = ["x"]\nenv.KEY = "5ec7e7"'))
    assert "5ec7e7" not in repr(section('url = "https://example.com"\nheaders.KEY = "5ec7e7"'))


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"env": "A"}, True),
        ({"file": "A"}, True),
        ({"env": "A", "format": "Bearer {}"}, True),
        ({"env": "A", "format": "{} {}"}, False),
        ({"env": "A", "format": "none"}, False),
        ({"env": "A", "file": "B"}, False),
        ({"format": "{}"}, False),
        ({"env": 1}, False),
        ("A", False),
    ],
)
def test_what_a_reference_is(value: Any, is_one: bool) -> None:
    assert is_reference(value) is is_one
