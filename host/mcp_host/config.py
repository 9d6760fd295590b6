"""Finds and reads mcp-host.toml, with the variables and flags over it, into a HostConfig or every problem it has."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, time
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType
from typing_extensions import TypeAliasType

from mcp_host.errors import ConfigError, did_you_mean
from mcp_host.schema import (
    AuthSection,
    Duration,
    HostConfig,
    HostSection,
    Keys,
    NameFilter,
    Origins,
    PluginSection,
    ToolFilter,
    TransportSection,
    dotted,
    is_reference,
    looks_secret,
    statements,
)

__all__ = [
    "AuthSection",
    "Duration",
    "Explainer",
    "HostConfig",
    "HostSection",
    "InvalidConfigError",
    "NameFilter",
    "PluginSection",
    "ToolFilter",
    "TransportSection",
    "find_config",
    "load_config",
    "parse_config",
    "user_dir",
]

FILE_NAME: Final = "mcp-host.toml"
DEEPEST: Final = 64
"""Tables within tables that a file may have: far more than any needs, and few enough for every reader of it."""

_SHORT_VARIABLES: Final[Mapping[str, Keys]] = {
    "MCP_TRANSPORT": ("transport", "kind"),
    "MCP_HOST": ("transport", "host"),
    "MCP_PORT": ("transport", "port"),
    "MCP_LOG_LEVEL": ("host", "log_level"),
    "MCP_DEBUG": ("host", "debug"),
}
_LONG_VARIABLE: Final = "MCP_HOST__"
_BOOL_WORDS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


class InvalidConfigError(ConfigError):
    """Everything that is wrong with the configuration, at once.

    `problems` holds one `ConfigError` a problem, in the order of the models; `what`, `where` and `mend` are those
    of the first, and the text of the exception shows them all.
    """

    def __init__(self, problems: Iterable[ConfigError]) -> None:
        self.problems: tuple[ConfigError, ...] = tuple(problems)
        first, *more = self.problems
        what = f"{first.what} (and {len(more)} more)" if more else first.what
        super().__init__(what, where=first.where, mend=first.mend)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


# --- Finding the file


def user_dir(
    kind: Literal["config", "data"], environ: Mapping[str, str], *, platform: str = sys.platform
) -> Path | None:
    """Return mcp-host's folder in the user's configuration or data directory, or None when the user has no home.

    On Linux and its like the XDG base directories, on macOS `~/Library/Application Support`, on Windows `%APPDATA%`
    for configuration and `%LOCALAPPDATA%` for data.
    """
    try:
        home = Path(environ["HOME"]) if environ.get("HOME") and platform != "win32" else Path.home()
    except RuntimeError:
        return None
    if platform == "win32":
        named = environ.get("APPDATA" if kind == "config" else "LOCALAPPDATA")
        default = home / "AppData" / ("Roaming" if kind == "config" else "Local")
    elif platform == "darwin":
        named, default = None, home / "Library" / "Application Support"
    else:
        named = environ.get("XDG_CONFIG_HOME" if kind == "config" else "XDG_DATA_HOME")
        default = home / (".config" if kind == "config" else ".local/share")
        # The XDG specification has a relative path ignored.
        named = named if named and named.startswith("/") else None
    return (Path(named) if named else default) / "mcp-host"


def find_config(
    explicit: Path | None, environ: Mapping[str, str], cwd: Path, *, platform: str = sys.platform
) -> Path | None:
    """Return the file to read: `explicit`, `$MCP_HOST_CONFIG`, `mcp-host.toml` in `cwd`, or the user's own.

    Returns None when there is no file and none was asked for. Raises `ConfigError` when `explicit` or the variable
    names a file that does not exist.
    """
    variable = environ.get("MCP_HOST_CONFIG")
    asked, where = (Path(variable), "environment: MCP_HOST_CONFIG") if variable else (None, "")
    if explicit is not None:
        asked, where = explicit, "command line: --config"
    if asked is not None:
        path = cwd / asked
        if not _exists(path):
            raise InvalidConfigError([ConfigError(f"there is no file {path}", where=where, mend="mcp-host init")])
        return path
    folders = [cwd, user_dir("config", environ, platform=platform)]
    return next((folder / FILE_NAME for folder in folders if folder and _exists(folder / FILE_NAME)), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # It is there, behind a folder that may not be entered; reading it says so.
        return True


# --- Reading it


def load_config(
    path: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> HostConfig:
    """Read a file, or none, and what lies over it; later wins: defaults, the file, `MCP_*` variables, `overrides`.

    `overrides` are command-line flags as tables of the file's shape, where None is a flag not given; `environ` is
    the process's environment unless given. Raises `InvalidConfigError` with every problem found.
    """
    if path is None:
        return parse_config("", source="", overrides=overrides, environ=environ)
    return parse_config(_read(path), source=path, overrides=overrides, environ=environ)


def parse_config(
    text: str,
    *,
    source: Path | str = FILE_NAME,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> HostConfig:
    """Do as `load_config` does, with a text; `source` names it in errors, and a `Path` sets where relative paths start.

    Raises `InvalidConfigError` with every problem found.
    """
    environ = os.environ if environ is None else environ
    text = text.removeprefix("\ufeff")
    draft = _Draft(_parse(text, str(source)))
    draft.lay_variables(environ)
    draft.lay_flags(overrides or {})
    if _deeper_than(DEEPEST, draft.data):
        raise InvalidConfigError([_too_deep(str(source))])
    origins = Origins(str(source), text, draft.labels)
    try:
        config = HostConfig.model_validate(draft.data)
    except ValidationError as error:
        problems = draft.problems + Explainer(draft.data, HostConfig, origins.where).problems(error)
    else:
        if not draft.problems:
            path = source if isinstance(source, Path) else None
            return config.located(path, user_data=user_dir("data", environ), origins=origins)
        problems = draft.problems
    raise InvalidConfigError(problems)


def _read(path: Path) -> str:
    try:
        # Opening a folder is another error on each system.
        if not path.is_dir():
            return path.read_bytes().decode("utf-8")
        problem = ConfigError("this is a folder, not a file", where=str(path), mend=f"name {path / FILE_NAME}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = ConfigError("the file is not UTF-8 text", where=f"{path}:{line}", mend="save it as UTF-8")
    except FileNotFoundError:
        problem = ConfigError("there is no such file", where=str(path), mend="mcp-host init")
    except (OSError, ValueError) as error:
        # ValueError is a path with a NUL in it.
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a usable path"
        problem = ConfigError(f"the file cannot be read: {reason}", where=str(path))
    raise InvalidConfigError([problem])


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        text.encode()
        return tomllib.loads(text)
    except UnicodeEncodeError:
        problem = ConfigError("the text is not Unicode", where=file, mend="save it as UTF-8")
    except RecursionError:
        problem = _too_deep(file)
    except tomllib.TOMLDecodeError as error:
        problem = _syntax_error(str(error), text, file)
    except ValueError:
        # Python refuses to read whole numbers of thousands of digits.
        problem = ConfigError("invalid TOML: a number has too many digits", where=file)
    raise InvalidConfigError([problem])


def _syntax_error(message: str, text: str, file: str) -> ConfigError:
    said, _, place = message.partition(" (at ")
    at = re.match(r"line (\d+), column (\d+)", place)
    if not at:
        return ConfigError(f"invalid TOML: {said}, at the end of the file", where=file)
    line, column = int(at[1]), int(at[2])
    what = f"invalid TOML: {said}"
    lines = text.replace("\r\n", "\n").split("\n")[:line]
    if not _may_hold_secret("\n".join(lines)):
        start = max(0, column - 60)
        shown = lines[-1][start : column + 60]
        # Tabs stay tabs, so that the caret stands below its character at any tab width.
        indent = re.sub(r"[^\t]", " ", lines[-1][start : column - 1])
        what += f"\n    {shown}\n    {indent}^"
    return ConfigError(what, where=f"{file}:{line}:{column}")


def _may_hold_secret(text: str) -> bool:
    """Tell whether the text, which cannot be parsed, may end in a table with settings or a key that looks secret."""
    table = ""
    for _, statement in statements(text):
        table = statement if statement.lstrip().startswith("[") else table + statement
    # Inside a text of many lines, any line may look like a header.
    in_text = any(text.count(quotes) % 2 for quotes in ('"""', "'''"))
    return in_text or any(word == "settings" or looks_secret(word) for word in re.findall(r"[\w-]+", table))


def _too_deep(where: str) -> ConfigError:
    return ConfigError(f"lists or tables are nested more than {DEEPEST} deep", where=where)


def _deeper_than(limit: int, value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        tables_and_lists = [inner for inner in level if isinstance(inner, dict | list)]
        level = [held for inner in tables_and_lists for held in (inner.values() if isinstance(inner, dict) else inner)]
    return bool(level)


# --- Laying variables and flags over it


@dataclass
class _Draft:
    """The tables of the file with what lies over them, and which variable or flag each such value came from."""

    data: dict[str, Any]
    labels: dict[Keys, str] = dataclass_field(default_factory=dict)
    problems: list[ConfigError] = dataclass_field(default_factory=list)

    def lay(self, keys: Keys, value: Any, label: str) -> None:
        """Put a value over what is there; a table goes over a table key by key, unless it refers to a secret."""
        table: Any = self.data
        for depth, key in enumerate(keys[:-1], 1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                self.problems.append(ConfigError(f"{dotted(keys[:depth])!r} is not a table", where=label))
                return
        key = keys[-1]
        if isinstance(value, Mapping) and not is_reference(value):
            if not isinstance(table.get(key), dict):
                table[key] = {}
                self.labels[keys] = label
            for inner in value:
                self.lay((*keys, inner), value[inner], label)
        else:
            table[key] = value
            self.labels[keys] = label

    def lay_flags(self, flags: Mapping[str, Any]) -> None:
        """Put command-line flags over the rest; None is a flag not given."""
        for keys, value in _leaves(flags):
            name = "transport" if keys == ("transport", "kind") else str(keys[-1]).replace("_", "-")
            self.lay(keys, value, f"command line: --{name}")

    def lay_variables(self, environ: Mapping[str, str]) -> None:
        """Put the `MCP_*` variables over the file; an empty one is one that is not set."""
        for name, keys in _SHORT_VARIABLES.items():
            if text := environ.get(name):
                self._lay_text(name, keys, text)
        long = [name for name in environ if name.startswith(_LONG_VARIABLE) and environ[name]]
        # Whole tables first: MCP_HOST__PLUGINS may name the plugin that MCP_HOST__PLUGINS__STATS__PREFIX is about.
        for name in sorted(long, key=lambda name: (name.count("__"), name)):
            try:
                keys = self._keys(name.removeprefix(_LONG_VARIABLE))
            except ConfigError as error:
                mend = f"{error.mend}, or unset {name}"
                self.problems.append(ConfigError(error.what, where=f"environment: {name}", mend=mend))
            else:
                self._lay_text(name, keys, environ[name])

    def _lay_text(self, name: str, keys: Keys, text: str) -> None:
        label = f"environment: {name}"
        if re.search("[\ud800-\udfff]", name + text):
            # How Python shows the bytes of a variable that are not UTF-8.
            where = f"environment: {name.encode(errors='replace').decode()}"
            self.problems.append(ConfigError("the variable is not UTF-8 text", where=where))
            return
        value = _value(text, _annotation(HostConfig, keys))
        if _deeper_than(DEEPEST, value):
            self.problems.append(_too_deep(label))
        else:
            self.lay(keys, value, label)

    def _keys(self, name: str) -> Keys:
        """Return the path that a variable names: the keys of the models, and the names that stand in the file."""
        keys: Keys = ()
        table: Any = self.data
        words = name.split("__")
        while words:
            fixed = _names(_annotation(HostConfig, keys))
            key, used = _match(words, fixed or (table if isinstance(table, dict) else ()))
            if not used:
                if keys == ("plugins",):
                    known = list(table) if isinstance(table, dict) else []
                    what = f"the file names no plugin {words[0].lower()!r}{did_you_mean(words[0].lower(), known)}"
                    raise ConfigError(what, mend=f"add [plugins.{words[0].lower()}] to the file")
                key, used = words[0].lower() if words[0].isupper() else words[0], 1
            keys, words = (*keys, key), words[used:]
            table = table.get(key) if isinstance(table, dict) else None
        return keys


def _leaves(table: Mapping[str, Any], above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value and not is_reference(value):
            yield from _leaves(value, (*above, key))
        elif value is not None:
            yield (*above, key), value


def _match(words: list[str], names: Mapping[str, Any] | list[str] | tuple[()]) -> tuple[str, int]:
    """Return the name that the first words spell, and how many of them; 0 when they spell none.

    Case does not count, nor whether a name has `-`, `.` or `_`, which a variable's name cannot tell apart. A name
    may itself have `__`, so the longest is tried first.
    """

    def folded(name: str) -> str:
        return re.sub("[-.]", "_", name.casefold())

    for used in range(len(words), 0, -1):
        spelled = [name for name in names if folded(name) == folded("__".join(words[:used]))]
        if len(spelled) > 1:
            raise ConfigError(f"this may mean {' or '.join(map(repr, spelled))}", mend="write it in the file")
        if spelled:
            return spelled[0], used
    return "", 0


def _value(text: str, annotation: Any) -> Any:
    """Return what a variable's text means for a key of this type: the text itself, or the JSON value that it is."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = text
    table_or_list = parsed if isinstance(parsed, dict | list) else text
    if annotation is Any:
        # A plugin's own setting; its model, not known here, makes a number of the text if it wants one.
        return table_or_list
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    for candidate in (text, parsed, _BOOL_WORDS.get(text.lower(), text)):
        try:
            adapter.validate_python(candidate)
        except ValidationError:
            continue
        return candidate
    return table_or_list


# --- Walking the types of models


def _inside(annotation: Any) -> Iterator[Any]:
    """Yield the types that a value of this annotation may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _inside(get_args(annotation)[0])
    elif isinstance(annotation, TypeAliasType):
        yield from _inside(annotation.__value__)
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _inside(member)
    else:
        yield annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [kind for kind in _inside(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _fields(annotation: Any) -> Iterator[tuple[str, Any]]:
    """Yield each key that a model takes, by its aliases and its name, with the annotation of its value."""
    for model in _models(annotation):
        by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
        for name, info in model.model_fields.items():
            # The metadata has what validates the value; pydantic takes it off the annotation.
            whole: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
            alias = info.validation_alias
            aliases = alias.choices if isinstance(alias, AliasChoices) else [alias] if alias else []
            for choice in aliases:
                yield (str(choice.path[0]) if isinstance(choice, AliasPath) else choice), whole
            if not aliases or by_name:
                yield name, whole


def _names(annotation: Any) -> list[str]:
    return [name for name, _ in _fields(annotation)]


def _annotation(annotation: Any, keys: Keys) -> Any:
    """Return the annotation of the value at a path below a model, or Any where the types do not tell."""
    for key in keys:
        fields: dict[str | int, Any] = dict(_fields(annotation))
        # Of a table of tables or a list, the last argument is what it holds.
        held = [args[-1] for kind in _inside(annotation) if (args := get_args(kind))]
        annotation = fields.get(key, Any) if fields else held[0] if held else Any
    return annotation


def _holds_secret(annotation: Any) -> bool:
    return any(kind in (SecretStr, SecretBytes) for kind in _inside(annotation))


# --- Saying what is wrong

_SAYS: Final[Mapping[str, str]] = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a table",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "model_attributes_type": "must be a table",
    "model_type": "must be a table",
    "path_type": "must be a path",
    "string_type": "must be text",
}
# What these say has a piece of the value in it. So may whatever a plugin's author wrote, under any other name.
_QUOTING: Final = frozenset(
    {
        "assertion_error",
        "bytes_invalid_encoding",
        "get_attribute_error",
        "iteration_error",
        "timezone_offset",
        "union_tag_invalid",
        "uuid_parsing",
        "value_error",
    }
)


@dataclass(frozen=True)
class Explainer:
    """Says what a pydantic error means in the words of the file: keys, lines and mends, without values.

    `above` is where `data` stands in the file; `secrets` are the texts that came out of references.
    """

    data: Mapping[str, Any]
    model: type[BaseModel]
    where: Callable[[Keys], str]
    above: Keys = ()
    secrets: frozenset[str] = frozenset()

    def problems(self, error: ValidationError) -> list[ConfigError]:
        """Return one problem a key, in the order of the models."""
        found: dict[Keys, list[ErrorDetails]] = {}
        for details in error.errors(include_url=False):
            found.setdefault(self._keys(details), []).append(details)
        return [self._problem(keys, all_details) for keys, all_details in found.items()]

    def _keys(self, details: ErrorDetails) -> Keys:
        """Return the path of an error: its location without the names that pydantic gives to members of a union."""
        *above, last = details["loc"] or ("",)
        keys: Keys = ()
        for part in above:
            if _has(self._at(keys), part):
                keys = (*keys, part)
        # The key that is missing is in no table, nor is an unknown one that a validator made.
        is_key = details["type"] in ("missing", "extra_forbidden") or _has(self._at(keys), last)
        return (*keys, last) if is_key else keys

    def _problem(self, keys: Keys, all_details: list[ErrorDetails]) -> ConfigError:
        kinds = {details["type"] for details in all_details}
        where = self.where((*self.above, *keys))
        if "missing" in kinds:
            return ConfigError(f"{keys[-1]!r} is missing", where=where, mend=self._line_to_add(keys))
        if "extra_forbidden" in kinds:
            known = _names(_annotation(self.model, keys[:-1]))
            what = f"unknown key {keys[-1]!r}{did_you_mean(str(keys[-1]), known)}"
            return ConfigError(what, where=where, mend=f"known keys: {', '.join(known)}" if known else "")
        says = " or ".join(dict.fromkeys(self._says(keys, details) for details in all_details))
        named = dotted(keys[-2:] if keys and isinstance(keys[-1], int) else keys[-1:]) or dotted(self.above[-1:])
        joint = " " if says.startswith(("must ", "may ", "is ")) else ": "
        mend = 'write it as a list: ["...", "..."]' if "list_type" in kinds else ""
        return ConfigError(f"{named!r}{joint}{says}" if named else says, where=where, mend=mend)

    def _line_to_add(self, keys: Keys) -> str:
        path = (*self.above, *keys)
        table, key = (path[:2], path[2:]) if path[0] == "plugins" else (path[:1], path[1:])
        if any(isinstance(part, int) for part in key):
            return f"add `{key[-1]}` to {dotted(path[:-1])}"
        value = "..."
        if _holds_secret(_annotation(self.model, keys)):
            variable = re.sub("[^A-Z0-9]", "_", "_".join(map(str, (*table[1:], *keys))).upper())
            value = f'{{ env = "{variable}" }}'
        return f"add `{dotted(key)} = {value}` to [{dotted(table)}]"

    def _says(self, keys: Keys, details: ErrorDetails) -> str:
        kind = details["type"]
        if kind in _SAYS:
            return _SAYS[kind]
        says = re.sub(r"^(Value error, |Assertion failed, )", "", details["msg"])
        says = re.sub(r"^[A-Z]\w* should ", "must ", says)
        if kind in ("literal_error", "enum"):
            return says + self._instead_of(keys, details)
        if self.above and (kind in _QUOTING or kind not in get_args(ErrorType)):
            # The input is another than the value of the key when a validator has already changed it.
            return self._without_values(says, keys, _texts(self._at(keys)) | _texts(details["input"]))
        return says

    def _instead_of(self, keys: Keys, details: ErrorDetails) -> str:
        value = self._at(keys)
        if not isinstance(value, str):
            return ""
        meant = did_you_mean(value, re.findall("'([^']*)'", details.get("ctx", {}).get("expected", "")))
        return meant if self.above else f", not {value!r}{meant}"

    def _without_values(self, says: str, keys: Keys, values: set[str]) -> str:
        """Return an author's text with `***` for every value of this key, or none of it when one is a secret."""
        is_secret = any(looks_secret(str(key)) for key in keys) or _holds_secret(_annotation(self.model, keys))
        if is_secret or (keys and values & self.secrets):
            return "is not valid"
        for value in sorted(values, key=len, reverse=True):
            forms = "|".join({re.escape(value), re.escape(repr(value)[1:-1])})
            # A short value such as 1 is looked for as a word; a secret or a longer text, wherever it may be.
            anywhere = value in self.secrets or len(value) >= 4
            pattern = forms if anywhere else rf"(?<!\w)(?:{forms})(?!\w)"
            says = re.sub(pattern, "***", says, flags=re.IGNORECASE)
        return says

    def _at(self, keys: Keys) -> Any:
        value: Any = self.data
        for key in keys:
            value = value[key]
        return value


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, Mapping) and part in value


def _texts(value: object) -> set[str]:
    """Return every value of TOML's types below this one, as a text."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return set[str]().union(*map(_texts, value))
    return {str(value)} - {""} if isinstance(value, str | int | float | date | time) else set()
