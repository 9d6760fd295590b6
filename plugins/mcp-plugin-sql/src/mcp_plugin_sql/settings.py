"""The settings of `[plugins.sql.settings]`: which database, whether it may be changed, and the limits of a call."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from mcp_plugin_sql.target import parse_url


class Settings(BaseModel, extra="forbid"):
    """The keys of `[plugins.sql.settings]`.

    A password in `url` is moved to `password`, so that it is never shown with the settings.
    """

    url: str = Field(
        default="database.sqlite",
        min_length=1,
        description="The database: a path or sqlite:///path of a SQLite file (a relative one starts at the folder of "
        "mcp-host.toml), postgresql://user@host/database (or postgresql+psycopg://), mysql://user@host/database.",
    )
    password: SecretStr | None = Field(
        default=None, description='The password, if it is not in the URL; for example { env = "PGPASSWORD" }.'
    )
    writable: bool = Field(
        default=False, description="Also serve the tool `execute`, which changes the database. `query` stays read-only."
    )
    schemas: list[str] = Field(
        default_factory=list,
        description="Schemas whose tables are listed, too, as schema.table, besides those of the default schema.",
    )
    max_rows: int = Field(default=100, ge=1, le=10_000, description="Most rows in a query's result or a sample.")
    max_bytes: int = Field(
        default=100_000, ge=1_000, le=50_000_000, description="Most bytes of JSON for the rows of a result."
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
    def _without_password(self) -> Self:
        parsed = parse_url(self.url)
        self.url = parsed.url
        if parsed.password is not None:
            if self.password is not None:
                raise ValueError("the password is both in the url and in password: remove one of them")
            self.password = SecretStr(parsed.password)
        return self
