"""Secrets reach a plugin's settings and nothing else: no error, description or redacted text has them."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Secret,
    SecretBytes,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from mcp_host.config import HostConfig, parse_config
from mcp_host.config.references import is_reference, looks_secret
from mcp_host.config.secrets import Redactor, resolve_secrets, validate_settings
from mcp_host.errors import InvalidConfigError

SECRET = "hunter2-and-more"


def refuse_anything(value: str) -> str:
    raise ValueError(f"{value} is refused")


class Login(BaseModel, extra="forbid"):
    user: str = "me"
    password: SecretStr


class Settings(BaseModel, extra="forbid"):
    digits: int = Field(3, ge=0)
    token: SecretStr
    mode: Literal["mean", "median"] = "mean"
    login: Login | None = None
    logins: list[Login] = []
    by_site: dict[str, Login] = {}


def validate(
    model: type[BaseModel] | None,
    settings: dict[str, Any],
    environ: dict[str, str] | None = None,
    base_dir: Path = Path(),
    source: HostConfig | Path | str = "mcp-host.toml",
) -> tuple[Any, frozenset[str]]:
    return validate_settings(
        model, settings, plugin="my-stats", source=source, base_dir=base_dir, environ=environ or {"S": SECRET}
    )


def problems(model: type[BaseModel] | None, settings: dict[str, Any], **options: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidConfigError) as caught:
        validate(model, settings, **options)
    error: BaseException = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    prefix = "mcp-host.toml: plugins.my-stats.settings."
    return [(found.where.removeprefix(prefix), found.what, found.hint) for found in caught.value.problems]


# --- References


def test_a_secret_that_is_forgotten_is_masked_no_longer() -> None:
    redactor = Redactor(["first-secret", "second-secret"])
    redactor.forget("first-secret", "never-added")
    assert redactor.redact("first-secret second-secret") == "first-secret ***"
    redactor.forget("second-secret")
    assert redactor.redact("second-secret") == "second-secret"


def test_a_reference_is_read_for_a_field_of_any_type() -> None:
    class Kinds(BaseModel):
        hidden: SecretStr
        text: str
        number: int

    reference = {"env": "S"}
    settings, secrets = validate(Kinds, {"hidden": reference, "text": reference, "number": reference}, {"S": "12345"})
    assert (settings.hidden.get_secret_value(), settings.text, settings.number) == ("12345", "12345", 12345)
    assert secrets == {"12345"}


def test_references_work_at_any_depth_and_files_lose_one_final_newline(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"from file\r\n")
    (tmp_path / "b.txt").write_bytes(b"number two\n\n")
    settings = {"a": [{"b": {"file": "a.txt"}}, {"file": str(tmp_path / "b.txt")}], "c": {"env": "S", "x": 1}, "d": 2}
    resolved = resolve_secrets(settings, base_dir=tmp_path, environ={})
    assert resolved.values == {"a": [{"b": "from file"}, "number two\n"], "c": {"env": "S", "x": 1}, "d": 2}
    assert resolved.secrets == {"from file", "number two\n"}
    assert "from file" not in repr(resolved)


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfabc", b"\xef\xbb\xbfabc\n", b"\xef\xbb\xbfabc\r\n"])
def test_a_byte_order_mark_is_not_a_part_of_the_secret(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "token").write_bytes(data)
    settings, secrets = validate(Settings, {"token": {"file": "token"}}, base_dir=tmp_path)
    assert settings.token.get_secret_value() == "abc"
    assert "abc" in secrets


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_secret_file_with_only_a_byte_order_mark_is_empty(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "token").write_bytes(data)
    ((_, what, _),) = problems(Settings, {"token": {"file": "token"}}, base_dir=tmp_path)
    assert what == "the secret file 'token' is empty"


@pytest.mark.parametrize("value", [{}, {"env": 3}, {"env": "A", "file": "b"}, {"name": "A"}, "env", ["env"]])
def test_only_a_table_of_exactly_env_or_file_is_a_reference(value: object) -> None:
    assert not is_reference(value)


def test_every_reference_that_cannot_be_read_is_reported_with_its_hint(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    (tmp_path / "empty.txt").write_bytes(b"\n")
    settings = {
        "a": {"env": "GONE"},
        "b": {"env": "EMPTY"},
        "c": [{"file": "gone.txt"}],
        "d": {"file": "latin.txt"},
        "e": {"file": "empty.txt"},
        "f": {"file": "nul\0"},
        "g": {"file": "~nobody-of-this-name/x"},
    }
    assert problems(Settings, settings, environ={"EMPTY": ""}, base_dir=tmp_path) == [
        ("a", "the environment variable 'GONE' is not set", "export GONE=..."),
        ("b", "the environment variable 'EMPTY' is empty", "export EMPTY=..."),
        (
            "c[0]",
            "the secret file 'gone.txt' cannot be read: No such file or directory",
            "write the secret to gone.txt",
        ),
        ("d", "the secret file 'latin.txt' is not UTF-8 text", "write the secret to latin.txt"),
        ("e", "the secret file 'empty.txt' is empty", "write the secret to empty.txt"),
        ("f", "the secret file 'nul\\x00' cannot be read: not a usable path", "write the secret to nul\0"),
        (
            "g",
            "the secret file '~nobody-of-this-name/x' cannot be read: not a usable path",
            "write the secret to ~nobody-of-this-name/x",
        ),
    ]


def test_references_read_the_process_environment_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN_OF_THIS_TEST", SECRET)
    settings = {"token": {"env": "A_TOKEN_OF_THIS_TEST"}}
    _, secrets = validate_settings(Settings, settings, plugin="x", source="x.toml", base_dir=Path())
    assert secrets == {SECRET}


def test_secrets_in_the_file_are_recognized_by_their_type() -> None:
    class Many(Settings):
        more: tuple[SecretStr, ...] = ()

    login = {"password": "second-secret"}
    settings = {"token": "first-secret", "logins": [login], "by_site": {"x": {"password": "third"}}, "more": ["last"]}
    assert validate(Many, settings)[1] == {"first-secret", "second-secret", "third", "last"}


class Typed(BaseModel):
    mode: str = ""
    password: str = ""
    hidden: SecretStr = SecretStr("")
    raw: SecretBytes = SecretBytes(b"")
    day: Secret[datetime.date] | None = None
    inner: dict[str, SecretStr] = {}


@pytest.mark.parametrize(
    ("settings", "masked"),
    [
        ({"mode": {"env": "S"}}, {"1234567": False, "12345678": True}),
        ({"mode": {"file": "s.txt"}}, {"1234567": False, "12345678": True}),
        ({"password": {"env": "S"}}, {"123": False, "1234": True}),
        ({"password": {"file": "s.txt"}}, {"123": False, "1234": True}),
        ({"hidden": {"env": "S"}}, {"123": False, "1234": True}),
        ({"hidden": "{}"}, {"123": False, "1234": True}),
        ({"raw": "{}"}, {"123": False, "1234": True}),
        ({"inner": {"x": "{}"}}, {"123": False, "1234": True}),
        ({"day": "{}"}, {"2020-01-02": True}),
        ({"mode": "{}"}, {"1234567": False, "12345678": False, "1234567890123456": False}),
        ({"password": "{}"}, {"1234": False, "12345678": False}),
    ],
)
def test_a_text_is_masked_from_four_characters_on_if_it_is_a_secret_and_from_eight_on_if_it_is_a_reference(
    tmp_path: Path, settings: dict[str, Any], masked: dict[str, bool]
) -> None:
    for text, expected in masked.items():
        (tmp_path / "s.txt").write_text(text)
        given = json.loads(json.dumps(settings).replace("{}", text))
        _, secrets = validate_settings(
            Typed, given, plugin="x", source="x.toml", base_dir=tmp_path, environ={"S": text}
        )
        shown = Redactor(secrets).redact(f"it is {text}!")
        assert shown == ("it is ***!" if expected else f"it is {text}!")


# --- Settings and their problems


def test_a_plugin_without_a_model_takes_no_settings() -> None:
    assert validate(None, {}) == (None, frozenset())
    with pytest.raises(InvalidConfigError) as caught:
        validate(None, {"digits": 3})
    assert str(caught.value) == (
        "plugin 'my-stats' takes no settings\n"
        "  where: mcp-host.toml: plugins.my-stats.settings\n"
        "  hint:  remove `settings` from [plugins.my-stats]"
    )


def test_missing_settings_are_named_with_the_line_to_add() -> None:
    settings: dict[str, Any] = {"login": {}, "logins": [{}], "by_site": {"x": {}}}
    assert problems(Settings, settings) == [
        ("token", "'token' is missing", 'add `settings.token = { env = "MY_STATS_TOKEN" }` to [plugins.my-stats]'),
        (
            "login.password",
            "'password' is missing",
            'add `settings.login.password = { env = "MY_STATS_LOGIN_PASSWORD" }` to [plugins.my-stats]',
        ),
        ("logins[0].password", "'password' is missing", "add `password` to plugins.my-stats.settings.logins[0]"),
        (
            "by_site.x.password",
            "'password' is missing",
            'add `settings.by_site.x.password = { env = "MY_STATS_BY_SITE_X_PASSWORD" }` to [plugins.my-stats]',
        ),
    ]

    class Plain(BaseModel):
        size: int

    class Nested(BaseModel):
        size: Plain

    assert problems(Nested, {"size": {}}) == [
        ("size.size", "'size' is missing", "add `settings.size.size = ...` to [plugins.my-stats]"),
    ]
    assert problems(Plain, {}) == [
        ("size", "'size' is missing", "add `settings.size = ...` to [plugins.my-stats]"),
    ]


def test_an_unknown_setting_is_reported_with_a_suggestion_and_the_known_ones() -> None:
    settings = {"token": "x", "digts": 1, "login": {"passwd": "x", "password": "y"}}
    assert problems(Settings, settings) == [
        ("login.passwd", "unknown key 'passwd' (did you mean 'password'?)", "known keys: user, password"),
        (
            "digts",
            "unknown key 'digts' (did you mean 'digits'?)",
            "known keys: digits, token, mode, login, logins, by_site",
        ),
    ]


def test_the_known_keys_of_a_setting_include_its_aliases() -> None:
    class Aliased(BaseModel):
        model_config = ConfigDict(extra="forbid", validate_by_name=True)
        api_url: str = Field("", alias="apiUrl")
        level: int = Field(0, validation_alias=AliasChoices("lvl", AliasPath("levels", 0)))

    class ByAlias(BaseModel, extra="forbid"):
        level: int = Field(0, alias="lvl")

    class Empty(BaseModel, extra="forbid"):
        pass

    assert problems(ByAlias, {"x": 1}) == [("x", "unknown key 'x'", "known keys: lvl")]

    assert problems(Aliased, {"x": 1}) == [("x", "unknown key 'x'", "known keys: apiUrl, api_url, lvl, levels, level")]
    assert problems(Empty, {"x": 1}) == [("x", "unknown key 'x'", "")]


def test_a_models_own_policy_for_unknown_settings_is_respected() -> None:
    class Ignoring(BaseModel):
        digits: int = 3

    class Allowing(BaseModel, extra="allow"):
        digits: int = 3

    assert validate(Ignoring, {"other": 1})[0].digits == 3
    assert validate(Allowing, {"other": 1})[0].other == 1


def test_wrong_settings_are_named_without_their_values() -> None:
    settings = {"digits": SECRET, "token": 5, "mode": "mdian", "login": SECRET}
    assert problems(Settings, settings) == [
        ("digits", "'digits' must be a whole number", ""),
        ("token", "'token' must be text", ""),
        ("mode", "'mode' must be 'mean' or 'median' (did you mean 'median'?)", ""),
        ("login", "'login' must be a table", ""),
    ]
    assert problems(Settings, {"token": "x", "digits": -1}) == [
        ("digits", "'digits' must be greater than or equal to 0", "")
    ]


def test_the_members_of_a_union_are_one_problem() -> None:
    class Either(BaseModel):
        value: int | bool | Annotated[str, Field(max_length=3)]

    assert problems(Either, {"value": "12.5"}) == [
        ("value", "'value' must be a whole number or must be true or false or must have at most 3 characters", "")
    ]


def test_a_path_does_not_contain_the_names_of_union_members() -> None:
    class Disk(BaseModel):
        folder: str

    class Store(BaseModel):
        backend: Disk | Login

    with_password = 'add `settings.backend.password = { env = "MY_STATS_BACKEND_PASSWORD" }` to [plugins.my-stats]'
    assert problems(Store, {"backend": {}}) == [
        ("backend.folder", "'folder' is missing", "add `settings.backend.folder = ...` to [plugins.my-stats]"),
        ("backend.password", "'password' is missing", with_password),
    ]


def test_a_validators_message_is_shown_without_values_and_never_for_secrets() -> None:
    class Checked(BaseModel):
        name: str = ""
        unit: str = ""
        api_key: str = ""
        hidden: SecretStr = SecretStr("")
        other: str = ""
        pair: list[str] = []

        @field_validator("name", "unit", "api_key", "other")
        @classmethod
        def refuse(cls, value: str) -> str:
            raise ValueError(f"{value!r} is no name, nor is {value.upper()}")

        @field_validator("hidden")
        @classmethod
        def refuse_hidden(cls, value: SecretStr) -> SecretStr:
            raise ValueError(f"not {value.get_secret_value()[::-1]}")

        @field_validator("pair")
        @classmethod
        def refuse_pair(cls, value: list[str]) -> list[str]:
            raise PydanticCustomError("pair", "must be a pair, not {value}", {"value": str(value)})

    settings = {
        "name": "plain text",
        "unit": "metre",
        "api_key": "plain",
        "hidden": "plain",
        "other": {"env": "S"},
        "pair": ["one of many", "one"],
    }
    assert problems(Checked, settings) == [
        ("name", "'name': '***' is no name, nor is ***", ""),
        ("unit", "'unit': 'metre' is no name, nor is METRE", ""),
        ("api_key", "'api_key' is not valid", ""),
        ("hidden", "'hidden' is not valid", ""),
        ("other", "'other' is not valid", ""),
        ("pair", "'pair' must be a pair, not ['***', 'one']", ""),
    ]


def test_a_message_about_the_whole_model_is_shown_without_values() -> None:
    class Whole(BaseModel):
        token: str
        pin: int
        size: int

        @model_validator(mode="after")
        def refuse(self) -> Whole:
            raise ValueError(f"{self.token}, {self.pin} and {self.size} do not go together, as 12 would")

    assert problems(Whole, {"token": {"env": "S"}, "pin": 4711, "size": 1}) == [
        (
            "mcp-host.toml: plugins.my-stats.settings",
            "'settings': ***, *** and 1 do not go together, as 12 would",
            "",
        )
    ]


def test_a_problem_in_a_changed_value_is_reported_for_the_original_setting() -> None:
    class Row(BaseModel, extra="forbid"):
        name: str

    class Renaming(BaseModel, extra="forbid"):
        size: int = 0
        when: str = ""
        names: list[Annotated[str, AfterValidator(refuse_anything)]] = []

        @field_validator("names", mode="before")
        @classmethod
        def split(cls, value: str) -> list[str]:
            return value.split(",")

        @field_validator("when", mode="before")
        @classmethod
        def refuse(cls, value: object) -> str:
            raise ValueError(f"not {value}")

        @model_validator(mode="before")
        @classmethod
        def rename(cls, values: dict[str, Any]) -> dict[str, Any]:
            return {"renamed" if key == "old" else key: value for key, value in values.items()}

    class Aliased(BaseModel):
        row: TypeAliasType("Alias", Row | None)  # type: ignore[valid-type]

    settings = {"old": 1, "names": "the first,the second", "when": datetime.date(2020, 1, 1)}
    known = "known keys: size, when, names"
    assert problems(Renaming, settings) == [
        ("when", "'when': not ***", ""),
        ("names", "'names': *** is refused", ""),
        ("renamed", "unknown key 'renamed' (did you mean 'names'?)", known),
    ]
    assert problems(Renaming, {"names": {"env": "S"}}, environ={"S": "first,second"}) == [
        ("names", "'names' is not valid", "")
    ]
    assert problems(Aliased, {"row": {"name": "x", "nmae": 1}}) == [
        ("row.nmae", "unknown key 'nmae' (did you mean 'name'?)", "known keys: name")
    ]


def test_a_crashing_validator_is_a_problem_in_the_plugins_settings() -> None:
    class Crashing(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def crash(cls, value: str) -> str:
            raise KeyError(value)

    assert problems(Crashing, {"name": SECRET}) == [
        ("mcp-host.toml: plugins.my-stats.settings", "the settings model of plugin 'my-stats' raised KeyError", "")
    ]


def test_a_problem_has_the_line_or_variable_of_its_setting() -> None:
    text = "[plugins.my-stats]\nsettings.token = 5\n\n[plugins.my-stats.settings.login]\nuser = 3\npassword = 'x'\n"
    environ = {"MCP_HOST__PLUGINS__MY_STATS__SETTINGS__DIGITS": "many"}
    config = parse_config(text, environ=environ)
    with pytest.raises(InvalidConfigError) as caught:
        validate(Settings, config.plugins["my-stats"].settings, source=config)
    assert [problem.where for problem in caught.value.problems] == [
        "environment: MCP_HOST__PLUGINS__MY_STATS__SETTINGS__DIGITS",
        "mcp-host.toml:2: plugins.my-stats.settings.token",
        "mcp-host.toml:5: plugins.my-stats.settings.login.user",
    ]


class Fussy(BaseModel, extra="forbid"):
    token: str
    size: int
    names: list[Annotated[str, Field(max_length=2)]] = []
    login: Login | None = None

    @field_validator("token")
    @classmethod
    def refuse(cls, value: str) -> str:
        raise ValueError(f"bad token {value!r}: {value}")


secret_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=6).map(lambda text: f"\N{SNOWMAN}{text}")


@given(secret=secret_texts, key=st.sampled_from(["token", "size", "names", "login", "other"]), deep=st.booleans())
def test_the_text_of_an_error_contains_no_secret(secret: str, key: str, deep: bool) -> None:
    value: Any = {"env": "S"}
    with pytest.raises(InvalidConfigError) as caught:
        validate(Fussy, {key: [{"user": value}, value] if deep else value}, {"S": secret})
    assert secret not in str(caught.value)
    assert repr(secret) not in str(caught.value)
    assert secret not in repr(caught.value)


# --- Names of keys


@pytest.mark.parametrize(
    "key",
    ["token", "API_KEY", "apikey", "authToken", "db-password", "passwd", "secret_id", "credentials", "APIKey", "pwd"],
)
def test_a_key_with_a_secret_word_looks_secret(key: str) -> None:
    assert looks_secret(key)


@pytest.mark.parametrize("key", ["digits", "monkey", "keyword", "author", "pinned", "compass", ""])
def test_a_key_that_only_resembles_a_secret_word_does_not_look_secret(key: str) -> None:
    assert not looks_secret(key)


def test_a_redactor_masks_every_spelling_of_a_secret() -> None:
    secret = 'pass "wörd"/\n+1%'
    redactor = Redactor([secret])
    for written in (
        secret,
        json.dumps({"x": secret}),
        json.dumps({"x": secret}, ensure_ascii=False),
        f"https://x/?q={quote(secret)}&r={quote(secret, safe='')}",
        f"https://x/?q={quote_plus(secret)}",
        f"https://x/?q={quote(secret).replace('%22', '%22').lower()}",
        repr(secret),
    ):
        shown = redactor.redact(f"before {written} after")
        assert "***" in shown
        assert not any(piece in shown.lower() for piece in ("pass", "rd%22", "rd\\"))
    assert secret not in repr(redactor)


def test_a_line_of_a_secret_of_several_lines_is_masked_too() -> None:
    redactor = Redactor(["-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nshort\n"])
    assert redactor.redact("cannot read 'MIIEvQIBADANBgkq' after short") == "cannot read '***' after short"


def test_a_redactor_ignores_secrets_too_short_to_hide() -> None:
    redactor = Redactor(["abc", ""])
    assert redactor.redact("abcdef") == "abcdef"
    redactor.add("bcde", "abcdef")
    assert redactor.redact("abcdef xbcdex") == "*** x***x"


@given(st.lists(st.text(min_size=4), min_size=1, max_size=3), st.text(), st.text())
def test_a_redacted_text_contains_no_secret(secrets: list[str], before: str, after: str) -> None:
    redactor = Redactor(secrets)
    for secret in secrets:
        for written in (secret, json.dumps(secret), quote(secret), quote_plus(secret)):
            assert written not in redactor.redact(before + written + after).replace("***", "\0") or "\0" in written
