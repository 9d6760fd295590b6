"""The settings of `[plugins.fetch.settings]`: what may be reached, and how much of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, StringConstraints, field_validator, model_validator

from mcp_host.net import AddressRule, HostHeaders, Proxies, Proxy

USER_AGENT = "mcp-plugin-fetch/0.1 (Model Context Protocol; mcp-host)"


FieldName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
"""The name of a header or a cookie (RFC 9110, 5.6.2)."""

_NOT_BY_HOST = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


class HostSettings(BaseModel, extra="forbid"):
    """What one host gets with each request, and no other host."""

    token: SecretStr | None = Field(default=None, description="Sent as `Authorization: Bearer TOKEN`.")
    headers: dict[FieldName, SecretStr] = Field(default_factory=dict, description="Headers by name.")
    cookies: dict[FieldName, SecretStr] = Field(default_factory=dict, description="Cookies by name.")
    allow_http: bool = Field(
        default=False, description="Send them over plain http, too. This machine itself gets them in any case."
    )

    @model_validator(mode="after")
    def _fields(self) -> HostSettings:
        for name, value in self.fields().items():
            if name.lower() in _NOT_BY_HOST:
                raise ValueError(f"the header {name} is set by the client itself")
            if not value.isascii() or not value.isprintable() or value != value.strip():
                raise ValueError(f"the value of {name} has characters that a header cannot have")
        return self

    def fields(self) -> dict[str, str]:
        """Return all of it as headers."""
        fields = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.token is not None:
            fields["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={each.get_secret_value()}" for name, each in self.cookies.items())
        return fields


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
    hosts: dict[str, HostSettings] = Field(
        default_factory=dict,
        description="Headers, cookies and tokens by host, with or without a port; sent to that host only.",
    )
    proxy: SecretStr | None = Field(
        default=None,
        description="URL of a proxy for all requests: http, https or socks5. The default is the environment's.",
    )
    proxy_from_environment: bool = Field(
        default=True, description="Without `proxy`, use HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."
    )
    no_proxy: list[str] = Field(
        default_factory=list,
        description="Hosts and networks that are reached without a proxy, beside NO_PROXY.",
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
        default=1024, ge=128, le=16_384, description="Memory for converting one page or PDF, in MiB."
    )

    @field_validator("allow", "deny")
    @classmethod
    def _rules(cls, rules: list[str]) -> list[str]:
        for rule in rules:
            AddressRule.parse(rule)
        return rules

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, hosts: dict[str, HostSettings]) -> dict[str, HostSettings]:
        for host in hosts:
            HostHeaders(host, {})
        return hosts

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None:
            Proxy.parse(proxy.get_secret_value())
        return proxy

    def host_headers(self) -> list[HostHeaders]:
        """Return what each host gets."""
        return [HostHeaders(host, each.fields(), each.allow_http) for host, each in self.hosts.items()]

    def proxies(self) -> Proxies:
        """Return the proxies.

        Raises:
            ValueError: A variable of the environment is not the URL of a proxy.
        """
        if self.proxy is not None:
            return Proxies.one(self.proxy.get_secret_value(), direct=self.no_proxy)
        return Proxies.from_environment(direct=self.no_proxy) if self.proxy_from_environment else Proxies()
