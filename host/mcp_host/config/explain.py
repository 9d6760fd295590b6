"""Turns validation errors into messages in the file's own terms: keys, lines and fixes, without values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from mcp_host.config.annotations import annotation_at, holds_secret, names_of
from mcp_host.config.origins import Keys, dotted
from mcp_host.config.references import is_worth_masking, path_looks_secret
from mcp_host.errors import Problem, did_you_mean

_TEXTS: Final[Mapping[str, str]] = {
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

# The messages of these types quote a part of the value. An author's own error, of any other type, may quote it, too.
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
    """Turns a pydantic error into messages in the file's own terms: keys, lines and fixes, without values.

    `above` is the path of `data` in the file. `secrets` are the masked texts of references.
    """

    data: Mapping[str, Any]
    model: type[BaseModel]
    where: Callable[[Keys], str]
    above: Keys = ()
    secrets: frozenset[str] = frozenset()

    def problems(self, error: ValidationError) -> list[Problem]:
        """Return one problem for each key, in the order of the models."""
        found: dict[Keys, list[ErrorDetails]] = {}
        for details in error.errors(include_url=False):
            found.setdefault(self._keys(details), []).append(details)
        return [self._problem(keys, all_details) for keys, all_details in found.items()]

    def _keys(self, details: ErrorDetails) -> Keys:
        """Return the path of an error: its location without the names that pydantic adds for members of a union."""
        *above, last = details["loc"] or ("",)
        keys: Keys = ()
        for part in above:
            if _has(self._at(keys), part):
                keys = (*keys, part)
        # A missing key is not in the data, and neither is an unknown key that a validator added.
        is_key = details["type"] in ("missing", "extra_forbidden") or _has(self._at(keys), last)
        return (*keys, last) if is_key else keys

    def _problem(self, keys: Keys, all_details: list[ErrorDetails]) -> Problem:
        kinds = {details["type"] for details in all_details}
        where = self.where((*self.above, *keys))
        if "missing" in kinds:
            return Problem(f"{keys[-1]!r} is missing", where=where, hint=self._line_to_add(keys))
        if "extra_forbidden" in kinds:
            known = names_of(annotation_at(self.model, keys[:-1]))
            what = f"unknown key {keys[-1]!r}{did_you_mean(str(keys[-1]), known)}"
            return Problem(what, where=where, hint=f"known keys: {', '.join(known)}" if known else "")
        text = " or ".join(dict.fromkeys(self._text(keys, details) for details in all_details))
        named = dotted(keys[-2:] if keys and isinstance(keys[-1], int) else keys[-1:]) or dotted(self.above[-1:])
        joint = " " if text.startswith(("must ", "may ", "is ")) else ": "
        hint = 'write it as a list: ["...", "..."]' if "list_type" in kinds else ""
        return Problem(f"{named!r}{joint}{text}" if named else text, where=where, hint=hint)

    def _line_to_add(self, keys: Keys) -> str:
        path = (*self.above, *keys)
        table, key = (path[:2], path[2:]) if path[0] == "plugins" else (path[:1], path[1:])
        if any(isinstance(part, int) for part in key):
            return f"add `{key[-1]}` to {dotted(path[:-1])}"
        value = "..."
        if holds_secret(annotation_at(self.model, keys)):
            variable = re.sub("[^A-Z0-9]", "_", "_".join(map(str, (*table[1:], *keys))).upper())
            value = f'{{ env = "{variable}" }}'
        return f"add `{dotted(key)} = {value}` to [{dotted(table)}]"

    def _text(self, keys: Keys, details: ErrorDetails) -> str:
        kind = details["type"]
        if kind in _TEXTS:
            return _TEXTS[kind]
        text = re.sub(r"^(Value error, |Assertion failed, )", "", details["msg"])
        text = re.sub(r"^[A-Z]\w* should ", "must ", text)
        if kind in ("literal_error", "enum"):
            return text + self._instead_of(keys, details)
        if self.above and (kind in _QUOTING or kind not in get_args(ErrorType)):
            # A validator may have changed the value, so that the input is not the value in the file.
            return self._without_values(text, keys, _texts(self._at(keys)) | _texts(details["input"]))
        return text

    def _instead_of(self, keys: Keys, details: ErrorDetails) -> str:
        value = self._at(keys)
        if not isinstance(value, str):
            return ""
        meant = did_you_mean(value, re.findall("'([^']*)'", details.get("ctx", {}).get("expected", "")))
        return meant if self.above else f", not {value!r}{meant}"

    def _without_values(self, text: str, keys: Keys, values: set[str]) -> str:
        """Return an author's text with `***` for each longer value of this key. If one is a secret, drop the text."""
        if self._is_secret(keys) or (keys and values & self.secrets):
            return "is not valid"
        secrets = self.secrets | self._secret_texts(self.data)
        for value in sorted(values, key=len, reverse=True):
            if is_worth_masking(value, is_secret=value in secrets):
                forms = "|".join({re.escape(value), re.escape(repr(value)[1:-1])})
                text = re.sub(forms, "***", text, flags=re.IGNORECASE)
        return text

    def _is_secret(self, keys: Keys) -> bool:
        return path_looks_secret(keys) or holds_secret(annotation_at(self.model, keys))

    def _secret_texts(self, value: Any, keys: Keys = ()) -> set[str]:
        """Return each value inside this one whose key or type marks it as a secret, as a text."""
        if isinstance(value, Mapping | list):
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            return set[str]().union(*(self._secret_texts(inner, (*keys, key)) for key, inner in items))
        return _texts(value) if self._is_secret(keys) else set()

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
    """Return this value, or every value inside it, as a text."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return set[str]().union(*map(_texts, value))
    return {str(value)} - {""} if isinstance(value, str | int | float | date | time) else set()
