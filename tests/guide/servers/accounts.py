"""Says whose API key a bearer token is."""

import hashlib

from mcp.server.auth.provider import AccessToken, TokenVerifier
from pydantic import BaseModel

from mcp_host import PluginContext, hookimpl


class Account(BaseModel, extra="forbid"):
    sha256: str
    scopes: list[str]


class Settings(BaseModel, extra="forbid"):
    resource: str
    accounts: dict[str, Account]


class ProductionTokenVerifier(TokenVerifier):
    def __init__(self, settings: Settings) -> None:
        self.resource = settings.resource
        self.accounts = {account.sha256: (name, account) for name, account in settings.accounts.items()}

    async def verify_token(self, token: str) -> AccessToken | None:
        found = self.accounts.get(hashlib.sha256(token.encode()).hexdigest())
        if found is None:
            return None
        name, account = found
        return AccessToken(token=token, client_id=name, scopes=account.scopes, resource=self.resource)


class Accounts:
    @hookimpl
    def mcp_settings(self) -> type[BaseModel]:
        return Settings

    @hookimpl
    def mcp_token_verifier(self, plugin: PluginContext[Settings]) -> TokenVerifier:
        return ProductionTokenVerifier(plugin.settings)


plugin = Accounts()
