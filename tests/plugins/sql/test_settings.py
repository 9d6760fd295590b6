from __future__ import annotations

import importlib.util
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mcp_host import HostFacts, PluginContext
from mcp_host.errors import HostError
from mcp_host.testing import connect
from mcp_plugin_sql import plugin
from mcp_plugin_sql.app import lifespan
from mcp_plugin_sql.checks import database_answers
from mcp_plugin_sql.settings import Settings
from mcp_plugin_sql.target import parse_url


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"uri": "x"}, "Extra inputs"),
        ({"url": ""}, "at least 1 character"),
        ({"url": ":memory:"}, "name a SQLite file"),
        ({"url": "sqlite://"}, "name a SQLite file"),
        ({"url": "sqlite:///x?mode=rwc"}, "sqlite:///path"),
        ({"url": "oracle://x"}, "this kind of database is not known"),
        ({"url": "postgresql+pg8000://x/y"}, "postgresql\\+psycopg:// or postgresql\\+asyncpg://"),
        ({"url": "postgresql://u:p@h:port/x"}, "not a database URL"),
        ({"url": "postgresql://u:p@h/x", "password": "q"}, "both in the url and in password"),
        ({"max_rows": 0}, "greater than or equal to 1"),
        ({"max_bytes": 10}, "greater than or equal to 1000"),
        ({"statement_timeout": 0}, "greater than 0"),
        ({"pool_size": 0}, "greater than or equal to 1"),
        ({"writable": "perhaps"}, "valid boolean"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate(values)


@pytest.mark.parametrize(
    ("url", "password", "left"),
    [
        (
            "postgresql://ann:p%40ss/wo:rd@h:5432/db?sslmode=require",
            "p@ss/wo:rd",
            "postgresql://ann@h:5432/db?sslmode=require",
        ),
        ("mysql://ann@h/db?password=secret&charset=utf8", "secret", "mysql://ann@h/db?charset=utf8"),
        ("postgres+psycopg://ann:x@[::1]/db", "x", "postgres+psycopg://ann@[::1]/db"),
        ("postgresql:///db?host=/run", None, "postgresql:///db?host=%2Frun"),
    ],
)
def test_the_password_is_removed_from_the_url(url: str, password: str | None, left: str) -> None:
    settings = Settings(url=url)
    assert (settings.password.get_secret_value() if settings.password else None) == password
    assert settings.url == left
    assert Settings(url=settings.url).url == left
    assert password is None or f":{password}@" not in repr(settings)


def test_the_shown_address_of_a_database_has_no_user() -> None:
    assert parse_url("postgresql://ann:pw@h:5432/db").shown == "h:5432/db"
    assert parse_url("mysql:///db").shown == "localhost/db"
    assert parse_url("data/shop.sqlite").shown == "data/shop.sqlite"
    assert parse_url("sqlite:////data/shop.sqlite").shown == "/data/shop.sqlite"


def test_every_setting_is_described_in_the_schema() -> None:
    schema = Settings.model_json_schema()
    assert all(prop["description"] for prop in schema["properties"].values())
    assert schema["additionalProperties"] is False


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "drivers", "pip"),
    [
        ("postgresql://h/db", "psycopg or asyncpg", "pip install 'mcp-plugin-sql[postgres]'"),
        ("postgresql+asyncpg://h/db", "asyncpg", "pip install 'mcp-plugin-sql[asyncpg]'"),
        ("mysql://h/db", "aiomysql", "pip install 'mcp-plugin-sql[mysql]'"),
    ],
)
async def test_a_missing_driver_is_an_error_with_the_command_that_installs_it(
    url: str, drivers: str, pip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HostError) as caught:
        async with connect(plugin, settings={"url": url}):
            pass
    assert f"needs the driver {drivers}, which is not installed" in caught.value.what
    assert caught.value.hint == pip


def context(folder: Path, **settings: Any) -> PluginContext[Settings]:
    host = HostFacts(name="h", version="0", transport="stdio", base_dir=folder)
    return PluginContext("sql", Settings(**settings), logging.getLogger("sql"), host, folder / "private")


@pytest.mark.anyio
@pytest.mark.parametrize("own", ["shop.sqlite", "."])
async def test_a_database_that_belongs_to_the_host_itself_is_not_served(shop: Path, own: str) -> None:
    given = context(shop.parent, url="shop.sqlite")
    given = replace(given, host=replace(given.host, _own_paths=lambda: (shop.parent / own,)))
    with pytest.raises(HostError, match=r"the database is a file of mcp-host itself: shop\.sqlite"):
        await lifespan(given).__aenter__()


@pytest.mark.anyio
async def test_the_check_reports_whether_the_database_answers(shop: Path) -> None:
    assert await database_answers(context(shop.parent, url="shop.sqlite")) is None
    missing = await database_answers(context(shop.parent, url="gone.sqlite"))
    assert missing is not None
    assert "there is no such file" in missing


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("text.sqlite", b"not a database " * 200, "file is not a database"),
        ("folder.sqlite", None, "it is a folder"),
    ],
)
async def test_what_is_not_a_database_does_not_answer(folder: Path, name: str, content: bytes | None, why: str) -> None:
    if content is None:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(content)
    text = await database_answers(context(folder, url=name))
    assert text is not None
    assert why in text


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"url": "a.sqlite", "databases": {"b": {"url": "b.sqlite"}}}, "url and databases are both given"),
        ({"databases": {"a/b": {"url": "b.sqlite"}}}, "the name of a database cannot be 'a/b'"),
        ({"max_bytes": 50_000_000, "max_memory": 64}, "needs max_memory = 382 or more"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate(values)
