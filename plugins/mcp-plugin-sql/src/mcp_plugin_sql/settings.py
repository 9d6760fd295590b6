"""The settings of `[plugins.sql.settings]`: which databases, whether they may be changed, and the limits of a call."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from mcp_plugin_sql.metering import MIB, SHARE
from mcp_plugin_sql.target import parse_url

DEFAULT_URL = "database.sqlite"


class DatabaseSettings(BaseModel, extra="forbid"):
    """The keys of one database. A password in `url` is moved to `password`, so that it is never shown."""

    url: str = Field(
        default=DEFAULT_URL,
        min_length=1,
        description="The database: a path or sqlite:///path of a SQLite file (a relative one starts at the folder of "
        "mcp-host.toml), postgresql://user@host/database (or postgresql+asyncpg://), mysql://user@host/database.",
    )
    password: SecretStr | None = Field(
        default=None, description='The password, if it is not in the URL; for example { env = "PGPASSWORD" }.'
    )
    schemas: list[str] = Field(
        default_factory=list,
        description="List only the tables of these schemas and of the default one. Default: every schema that the role "
        "may use.",
    )
    allow_powerful_role: bool = Field(
        default=False,
        description="Also accept a role that can do more than read, such as a superuser, or one with FILE in MySQL.",
    )

    @model_validator(mode="after")
    def _without_password(self) -> Self:
        parsed = parse_url(self.url)
        self.url = parsed.url
        if parsed.password is not None:
            if self.password is not None:
                raise ValueError("the password is both in the url and in password: remove one of them")
            self.password = SecretStr(parsed.password)
        return self


class Settings(DatabaseSettings):
    """The keys of `[plugins.sql.settings]`: one database, or several in `databases`, and the limits for all."""

    databases: dict[str, DatabaseSettings] = Field(
        default_factory=dict,
        description="Several databases by name, each with url, password, schemas and allow_powerful_role.",
    )
    writable: bool = Field(
        default=False, description="Also serve the tool `execute`, which changes the database. `query` stays read-only."
    )
    export_folder: str | None = Field(
        default=None,
        description="Also serve the tool `export`, which writes the result of a query as a CSV file into this folder.",
    )
    max_rows: int = Field(default=100, ge=1, le=10_000, description="Most rows in a query's result or a sample.")
    max_bytes: int = Field(
        default=100_000, ge=1_000, le=50_000_000, description="Most bytes of JSON for the rows of a result."
    )
    max_export_rows: int = Field(default=1_000_000, ge=1, description="Most rows of an exported file.")
    max_memory: int = Field(
        default=256, ge=64, le=65_536, description="Most MiB by which a call that reads may make the process grow."
    )
    statement_timeout: float = Field(
        default=20.0, gt=0, le=3600, description="Seconds after which a statement is stopped."
    )
    connect_timeout: float = Field(
        default=10.0, gt=0, le=300, description="Most seconds for making a connection, and for waiting for one."
    )
    pool_size: int = Field(
        default=5, ge=1, le=100, description="Most connections open at a time; as many more for `execute`."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.databases and "url" in self.model_fields_set and self.url != DEFAULT_URL:
            raise ValueError("url and databases are both given: move the url into databases, under a name")
        for name in self.databases:
            if not name or "/" in name:
                raise ValueError(f"the name of a database cannot be {name!r}: use letters, digits, - and _")
        if self.max_bytes * SHARE > self.max_memory * MIB:
            least = -(-self.max_bytes * SHARE // MIB)
            raise ValueError(f"max_bytes = {self.max_bytes} needs max_memory = {least} or more")
        return self

    def each(self) -> dict[str, DatabaseSettings]:
        """Return the databases by name. A single one has no name."""
        return self.databases or {"": self}
