from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mcp_plugin_fetch.settings import Settings


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"alow": []}, "Extra inputs"),
        ({"allow": "127.0.0.1"}, "valid list"),
        ({"allow": ["10.0.0.1/8"]}, r"write '10\.0\.0\.0/8'"),
        ({"allow": ["http://localhost"]}, "write an address"),
        ({"deny": ["*.corp"]}, "neither an address nor a host"),
        ({"user_agent": ""}, "match pattern"),
        ({"user_agent": "a\r\nX: y"}, "match pattern"),
        ({"user_agent": "ä"}, "match pattern"),
        ({"timeout": 0}, "greater than 0"),
        ({"max_bytes": 10}, "greater than or equal to 1024"),
        ({"max_redirects": -1}, "greater than or equal to 0"),
        ({"page_length": 0}, "greater than or equal to 1"),
        ({"robots_seconds": 90_000}, "less than or equal to 86400"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate(values)


def test_every_setting_is_described_in_the_schema() -> None:
    schema = Settings.model_json_schema()
    assert all(prop["description"] for prop in schema["properties"].values())
    assert schema["additionalProperties"] is False


def test_what_a_host_gets_is_one_set_of_headers() -> None:
    hosts = {"api.test": {"token": "t0ken", "headers": {"X-Key": "k3y"}, "cookies": {"a": "1", "b": "2"}}}
    settings = Settings.model_validate({"hosts": hosts})
    (found,) = settings.host_headers()
    assert (found.host, found.allow_http) == ("api.test", False)
    assert found.headers == {"X-Key": "k3y", "Authorization": "Bearer t0ken", "Cookie": "a=1; b=2"}
    assert not any(secret in repr(settings) + repr(found) for secret in ("t0ken", "k3y"))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"hosts": {"10.0.0.0/8": {}}}, "name one host"),
        ({"hosts": {"http://x/": {}}}, "is not a network"),
        ({"hosts": {"x.test": {"headers": {"Bad Name": "v"}}}}, "Bad Name"),
        ({"hosts": {"x.test": {"headers": {"Host": "v"}}}}, "set by the client itself"),
        ({"hosts": {"x.test": {"token": "a\nb"}}}, "characters that a header cannot have"),
        ({"hosts": {"x.test": {"tokens": "a"}}}, "tokens"),
        ({"proxy": "ftp://p"}, "a proxy is a URL such as"),
    ],
)
def test_a_wrong_host_or_proxy_is_named(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Settings.model_validate(settings)
