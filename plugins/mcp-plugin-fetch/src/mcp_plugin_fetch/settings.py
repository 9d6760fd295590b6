"""The settings of `[plugins.fetch.settings]`: what may be reached, and how much of it."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from mcp_host.net import Rule

USER_AGENT = "mcp-plugin-fetch/0.1 (Model Context Protocol; mcp-host)"


class Settings(BaseModel, extra="forbid"):
    """What `[plugins.fetch.settings]` may say."""

    allow: list[str] = Field(
        default_factory=list,
        description="What may be reached although it is not public: addresses, networks and hosts, each with or "
        'without a port: "127.0.0.1:8000", "10.0.0.0/8", "wiki.corp:443".',
    )
    deny: list[str] = Field(
        default_factory=list, description="What may not be reached although it is public, in the same forms."
    )
    user_agent: str = Field(
        default=USER_AGENT,
        pattern=r"^[!-~][ -~]{0,299}$",
        description="The User-Agent header; sites' robots.txt is asked about the names in it.",
    )
    robots: bool = Field(default=True, description="Leave alone what a site's robots.txt asks robots to leave alone.")
    robots_seconds: float = Field(
        default=3600.0, gt=0, le=86_400, description="Seconds for which a site's robots.txt is remembered."
    )
    timeout: float = Field(
        default=30.0, gt=0, le=600, description="Seconds that a page may take, redirects and its last byte included."
    )
    max_bytes: int = Field(
        default=10 * 2**20,
        ge=1024,
        le=100 * 2**20,
        description="Most bytes of one page, after unpacking; a larger one is refused.",
    )
    max_redirects: int = Field(default=5, ge=0, le=20, description="Most redirects that are followed.")
    max_image_bytes: int = Field(default=5 * 2**20, ge=1, description="Most bytes of an image that is shown.")
    page_length: int = Field(
        default=10_000, ge=1, le=100_000, description="Characters of text returned at a time, unless the call says."
    )
    cache_seconds: float = Field(
        default=300.0, ge=0, le=3600, description="Seconds for which a text is kept for the calls that read on in it."
    )
    convert_memory: int = Field(
        default=1024, ge=128, le=16_384, description="MiB of memory that turning one page into Markdown may take."
    )

    @field_validator("allow", "deny")
    @classmethod
    def _rules(cls, rules: list[str]) -> list[str]:
        for rule in rules:
            Rule.parse(rule)
        return rules
