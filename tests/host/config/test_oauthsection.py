"""`[plugins.NAME] auth`: both forms, and what does not fit."""

from __future__ import annotations

import pytest

from mcp_host.config import parse_config
from mcp_host.errors import ConfigError

URL = 'url = "https://x.example/mcp"'


def test_the_word_is_a_table_without_keys() -> None:
    config = parse_config(f'[plugins.a]\n{URL}\nauth = "oauth"\n[plugins.b]\n{URL}\nauth = {{}}', environ={})
    assert config.plugins["a"].auth == config.plugins["b"].auth
    assert config.plugins["a"].auth is not None
    assert parse_config(f"[plugins.a]\n{URL}", environ={}).plugins["a"].auth is None


def test_a_secret_is_not_shown() -> None:
    config = parse_config(
        f'[plugins.a]\n{URL}\nauth = {{ client_id = "me", client_secret = "s3cr3t-text" }}', environ={}
    )
    assert "s3cr3t-text" not in repr(config)


@pytest.mark.parametrize(
    ("table", "error"),
    [
        (f'{URL}\nauth = "basic"', 'must be "oauth", or a table'),
        (f"{URL}\nauth = true", 'must be "oauth", or a table'),
        ('command = "x"\nauth = "oauth"', "auth does not fit this plugin, which comes from a command: it is for `url`"),
        ('object = "m:o"\nauth = "oauth"', "auth does not fit this plugin, which comes from an object"),
        (f'{URL}\nauth = "oauth"\nheaders.authorization = "x"', "has auth and the header Authorization"),
        (f'{URL}\nauth = {{ client_secret = "x" }}', "has client_secret and no client_id"),
        (f'{URL}\nauth = {{ grant = "client_credentials" }}', "has no client_id and client_secret"),
        (f'{URL}\nauth = {{ grant = "password" }}', "grant"),
        (f'{URL}\nauth = {{ scopes = ["a b"] }}', "must be one scope, without spaces"),
        (f'{URL}\nauth = {{ client_metadata_url = "http://x/y" }}', "must be an https URL with a path"),
        (
            f'{URL}\nauth = {{ client_metadata_url = "https://x/y", client_id = "z" }}',
            "client_id and client_metadata_url",
        ),
        (f"{URL}\nauth = {{ redirect_port = 70000 }}", "redirect_port"),
        (f'{URL}\nauth = {{ client = "x" }}', "unknown key 'client'"),
    ],
)
def test_what_does_not_fit_is_refused(table: str, error: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(f"[plugins.a]\n{table}", environ={})
    assert error in str(raised.value)
