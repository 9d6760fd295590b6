"""The model of `[plugins.NAME.auth]`: how the host logs in to a remote server with OAuth."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, StrictInt, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mcp_host.config.values import Form, HttpUrl, Section, TextOrSecret

Grant = Literal["authorization_code", "client_credentials"]
"""How tokens are got: from a person who logs in, or for the client itself (RFC 6749, sections 4.1 and 4.4)."""

Text = Annotated[str, Form(r"[\x20-\x7e]+", "must be a text of visible ASCII characters, and not empty")]
Scope = Annotated[str, Form(r"[\x21\x23-\x5b\x5d-\x7e]+", "must be one scope, without spaces")]
DocumentUrl = Annotated[
    str,
    Form(r"https://[^/?#\s]+/[^\s#]+", 'must be an https URL with a path, such as "https://example.com/client.json"'),
]


class OAuthSection(Section):
    """`[plugins.NAME.auth]`: the client that the host is to the authorization server."""

    grant: Grant = Field(
        default="authorization_code",
        description="`authorization_code`: a person logs in with `mcp-host login NAME`. `client_credentials`: the host "
        "gets tokens for itself, with `client_id` and `client_secret`.",
    )
    client_id: Text | None = Field(
        default=None, description="The registered client; default: the host registers itself where it may."
    )
    client_secret: TextOrSecret | None = Field(
        default=None, repr=False, description="The secret of that client; may be a reference."
    )
    client_metadata_url: DocumentUrl | None = Field(
        default=None, description="URL of a client metadata document, which is the client's id where that is supported."
    )
    scopes: list[Scope] = Field(default=[], description="Scopes to ask for; default: the ones that the server names.")
    issuer: HttpUrl | None = Field(
        default=None,
        description="The authorization server to use; no other is used then. It may have a private address.",
    )
    redirect_port: StrictInt | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of this machine that the browser returns to; default: a free one.",
    )

    @property
    def secrets(self) -> dict[str, Any]:
        """The values that may be references."""
        return {} if self.client_secret is None else {"client_secret": self.client_secret}

    @model_validator(mode="after")
    def _fits_its_grant(self) -> Self:
        if self.client_secret is not None and self.client_id is None:
            raise ValueError("has client_secret and no client_id: add the id of the client")
        if self.client_metadata_url is not None and self.client_id is not None:
            raise ValueError("has client_id and client_metadata_url: remove one of them")
        if self.grant == "client_credentials":
            if self.client_secret is None:
                raise ValueError("has no client_id and client_secret, which client_credentials needs: add them")
            if self.redirect_port is not None:
                raise ValueError("has redirect_port, and nobody logs in with client_credentials: remove it")
        return self


def _short_form(value: object) -> object:
    if value == "oauth":
        return {}
    if isinstance(value, dict | OAuthSection):
        return value
    raise ValueError('must be "oauth", or a table such as { client_id = "...", scopes = ["..."] }')


class _BothForms:
    """The JSON Schema of a value that may also be the word `oauth`."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"const": "oauth"}, handler(schema)]}


OAuth = Annotated[OAuthSection, BeforeValidator(_short_form), _BothForms()]
"""`"oauth"`, or the table."""
