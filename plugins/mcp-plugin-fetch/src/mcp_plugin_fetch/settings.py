"""The settings of `[plugins.fetch.settings]`: what may be reached, and how much of it."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from mcp_host.net import AddressRule

USER_AGENT = "mcp-plugin-fetch/0.1 (Model Context Protocol; mcp-host)"


class Settings(BaseModel, extra="forbid"):
    """The keys of `[plugins.fetch.settings]`."""

    allow: list[str] = Field(
        default_factory=list,
        description="Addresses, networks and hosts that may be reached although they are not public, each with or "
        'without a port: "127.0.0.1:8000", "10.0.0.0/8", "wiki.corp:443".',
    )
    deny: list[str] = Field(
        default_factory=list, description="What may never be reached, in the same forms; wins over `allow`."
    )
    user_agent: str = Field(
        default=USER_AGENT,
        pattern=r"^[!-~][ -~]{0,299}$",
        description="The User-Agent header; its names are looked up in robots.txt.",
    )
    robots: bool = Field(default=True, description="Do not fetch what a site's robots.txt asks robots not to fetch.")
    robots_seconds: float = Field(
        default=3600.0, gt=0, le=86_400, description="Seconds for which a site's robots.txt is kept."
    )
    timeout: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="Longest time of one fetch, with redirects and body, in seconds.",
    )
    max_bytes: int = Field(
        default=10 * 2**20,
        ge=1024,
        le=100 * 2**20,
        description="Largest page in bytes, after decompression; a larger one is refused.",
    )
    max_redirects: int = Field(default=5, ge=0, le=20, description="Most redirects that are followed.")
    max_image_bytes: int = Field(default=5 * 2**20, ge=1, description="Most bytes of an image that is shown.")
    page_length: int = Field(
        default=10_000, ge=1, le=100_000, description="Characters of text returned at a time, unless the call says."
    )
    cache_seconds: float = Field(
        default=300.0, ge=0, le=3600, description="Seconds for which a text is kept for calls that read its next part."
    )
    convert_memory: int = Field(
        default=1024, ge=128, le=16_384, description="Memory for converting one page to Markdown, in MiB."
    )

    @field_validator("allow", "deny")
    @classmethod
    def _rules(cls, rules: list[str]) -> list[str]:
        for rule in rules:
            AddressRule.parse(rule)
        return rules
