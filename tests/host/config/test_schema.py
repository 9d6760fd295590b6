"""The JSON Schema that editors complete mcp-host.toml with."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from mcp_host.config import HostConfig, parse_config
from mcp_host.config.origins import dotted, key_lines
from mcp_host.config.schema import config_schema
from mcp_host.errors import InvalidConfigError


class Row(BaseModel, extra="forbid"):
    name: str
    below: list[Row] = []


class Stats(BaseModel, extra="forbid"):
    digits: int = Field(3, ge=0, description="Decimals kept in results.")
    token: SecretStr | None = None
    rows: list[Row] = []
    pair: tuple[int, str] = (1, "a")
    weights: dict[str, float] = {}


class Unspeakable(BaseModel):
    function: Callable[[], None] | None = None


def validator(**models: type[BaseModel] | None) -> jsonschema.Draft202012Validator:
    schema = config_schema(models)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def accepts(settings: dict[str, Any], model: type[BaseModel] | None = Stats) -> bool:
    return bool(validator(stats=model).is_valid({"plugins": {"stats": {"settings": settings}}}))


def test_the_schema_completes_the_settings_of_the_given_plugins() -> None:
    schema = config_schema({"stats": Stats})
    digits = schema["properties"]["plugins"]["properties"]["stats"]["properties"]["settings"]["properties"]["digits"]
    assert (digits["description"], digits["default"]) == ("Decimals kept in results.", 3)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_given_plugins_settings_are_checked() -> None:
    assert accepts({"digits": 2, "rows": [{"name": "a", "below": [{"name": "b"}]}], "weights": {"x": 0.5}})
    assert not accepts({"digits": -1})
    assert not accepts({"digts": 1})
    assert not accepts({"rows": [{"name": "a", "below": [{"nme": "b"}]}]})


def test_every_setting_may_be_a_secret_reference_at_any_depth() -> None:
    reference = {"env": "X"}
    assert accepts({"digits": reference, "token": {"file": "p"}, "weights": {"x": reference}, "pair": [reference, "a"]})
    assert accepts({"rows": [{"name": reference, "below": [reference]}]})
    assert not accepts({"digits": {"env": 3}})
    assert not accepts({"digits": {"env": "X", "file": "p"}})


def test_a_plugin_without_a_model_takes_no_settings() -> None:
    assert accepts({}, None)
    assert not accepts({"x": 1}, None)


def test_a_model_without_a_json_schema_allows_any_settings() -> None:
    assert accepts({"x": 1}, Unspeakable)


def test_plugins_that_are_not_installed_may_be_named() -> None:
    assert validator().is_valid({"plugins": {"later": {"prefix": "l_", "settings": {"x": [1]}}}})
    assert not validator().is_valid({"plugins": {"later": {"prefx": "l_"}}})
    assert not validator().is_valid({"plugins": {"../up": {}}})


def test_models_with_the_same_name_in_two_plugins_do_not_clash() -> None:
    def model(kind: type) -> type[BaseModel]:
        class Inner(BaseModel):
            value: kind  # type: ignore[valid-type]

        class Outer(BaseModel):
            inner: Inner

        return Outer

    check = validator(**{"a": model(int), "b/~ {x}": model(str)})
    schema: Any = check.schema
    settings = schema["properties"]["plugins"]["properties"]
    assert settings["a"]["properties"]["settings"] != settings["b/~ {x}"]["properties"]["settings"]
    assert check.is_valid({"plugins": {"a": {"settings": {"inner": {"value": 1}}}}})
    assert not check.is_valid({"plugins": {"a": {"settings": {"inner": {"value": "x"}}}}})
    # The name is no plugin's, so only its settings are checked here.
    of_b = check.evolve(schema={**settings["b/~ {x}"]["properties"]["settings"], "$defs": schema["$defs"]})
    assert of_b.is_valid({"inner": {"value": "x"}})
    assert not of_b.is_valid({"inner": {"value": 1}})


def test_every_key_of_the_file_has_a_description() -> None:
    schema = config_schema({})
    tables = [schema, *schema["$defs"].values()]
    assert all(key.get("description") for table in tables for key in table["properties"].values())


VALUES: dict[str, list[Any]] = {
    "host.name": ["x", "", 3],
    "host.on_error": ["skip", "fail", "ignore"],
    "host.log_level": ["info", "WARNING", "Debug", "loud", 3],
    "host.debug": [True, 1],
    "host.data_dir": ["data", "~/x", 3],
    "host.start_timeout": [1, 0.5, "500ms", "1.5 h", "30", 0, -1, True, "0s", "x"],
    "host.call_timeout": ["none", "1m", 3, "never"],
    "transport.kind": ["stdio", "http", "streamable-http", "tcp"],
    "transport.port": [0, 65535, 65536, -1, "80", 80.5],
    "transport.path": ["/", "/mcp", "mcp", "/a b", ""],
    "transport.cors": [[], ["null", "https://a.example"], ["app://a", "http://[::1]:9"], ["https://a.example/"], [3]],
    "transport.allowed_hosts": [["a.example", "[::1]:9", "a:*"], ["*"], "x"],
    "transport.trusted_proxies": [["10.0.0.0/8", "::1"], ["*"], "x"],
    "transport.max_sessions": [1, 0],
    "auth": [
        {"verifier": "plugin:x", "issuer": "https://i.example", "resource": "http://r.example/mcp"},
        {"verifier": "x", "issuer": "i", "resource": "r"},
        {},
    ],
    "plugins.a.prefix": ["a_", "a.b-", "a b", 3],
    "plugins.a.object": ["a.b:c.d", "größe:x", "a", "a b:c", "a:b:c"],
    "plugins.a.tools": [{"allow": ["*"], "deny": [], "read_only": False, "timeouts": {"t": "3s"}}, {"read_only": 1}],
    "plugins.a.resources": [{"deny": ["x"]}, {"read_only": True}],
    "plugins.a.timeout": [3, "3s", "none"],
    "plugins.a.settings": [{}, {"x": {"env": "A"}, "when": 1.5}, []],
    "plugins.other-one": [{}, {"enabled": False, "required": True}, 3],
    "plugins.9_x": [{}],
    "plugins..x": [{}],
    "unknown": [1],
}


@given(
    st.lists(st.sampled_from(list(VALUES)), unique=True, max_size=6).flatmap(
        lambda keys: st.fixed_dictionaries({key: st.sampled_from(VALUES[key]) for key in keys})
    )
)
def test_the_schema_accepts_every_valid_configuration(chosen: dict[str, Any]) -> None:
    file: dict[str, Any] = {}
    for path, value in chosen.items():
        table, (*above, key) = file, path.split(".", 2)
        for name in above:
            table = table.setdefault(name, {})
        table[key] = value
    try:
        parse_config(tomli_w.dumps(file), environ={})
    except InvalidConfigError:
        return
    jsonschema.Draft202012Validator(config_schema({})).validate(file)


@given(
    st.sampled_from(list(VALUES)).flatmap(lambda key: st.tuples(st.just(key), st.sampled_from(VALUES[key]))),
)
def test_the_schema_accepts_each_valid_value_by_itself(chosen: tuple[str, Any]) -> None:
    path, value = chosen
    file: Any = value
    for name in reversed(path.split(".", 2)):
        file = {name: file}
    try:
        parse_config(tomli_w.dumps(file), environ={})
    except InvalidConfigError:
        return
    jsonschema.Draft202012Validator(config_schema({})).validate(file)


def test_the_defaults_of_the_models_are_valid_in_the_schema() -> None:
    validator().validate(HostConfig().model_dump(exclude_none=True))


# --- Lines of keys


def test_each_key_has_the_line_of_its_first_occurrence() -> None:
    text = (
        '# x = 1\n[a]\nb.c = 1 # [not]\nd = """\n[e]\nb = 1\n"""\nf = [\n  "]", # ]\n  { g = 1 },\n]\n'
        'h = { i = 1 }\n[[j.k]]\nl = \'m\'\n[[j.k]]\nl = "\\"["\n'
    )
    assert key_lines(text) == {
        ("a",): 2,
        ("a", "b"): 3,
        ("a", "b", "c"): 3,
        ("a", "d"): 4,
        ("a", "f"): 8,
        ("a", "h"): 12,
        ("a", "h", "i"): 12,
        ("j",): 13,
        ("j", "k"): 13,
        ("j", "k", "l"): 14,
    }


toml_values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text() | st.just(datetime.date(2020, 1, 1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), toml_values, max_size=4), st.booleans())
def test_any_valid_file_has_a_line_for_each_key(tables: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(tables, multiline_strings=multiline)
    lines = key_lines(text)
    assert {(key,) for key in tables} <= set(lines)
    for path, line in lines.items():
        assert 1 <= line <= text.count("\n") + 1, path


@pytest.mark.parametrize(
    ("keys", "text"),
    [((), ""), (("a", "b-c"), "a.b-c"), (("a", "b c", 0, 'd"'), 'a."b c"[0]."d\\""'), (("é",), '"é"')],
)
def test_a_path_is_written_as_toml_writes_it(keys: tuple[str | int, ...], text: str) -> None:
    assert dotted(keys) == text
