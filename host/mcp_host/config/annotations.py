"""Walks the type annotations of models: which keys a model has, and which type the value at a path has."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, Secret, SecretBytes, SecretStr
from typing_extensions import TypeAliasType

from mcp_host.config.origins import Keys


def _inside(annotation: Any) -> Iterator[Any]:
    """Yield each type that a value with this annotation may have."""
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


def fields_of(annotation: Any) -> Iterator[tuple[str, Any]]:
    """Yield each key of a model, both aliases and names, with the annotation of its value."""
    for model in _models(annotation):
        by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
        for name, info in model.model_fields.items():
            # Pydantic moves the validators from the annotation to the metadata.
            whole: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
            alias = info.validation_alias
            aliases = alias.choices if isinstance(alias, AliasChoices) else [alias] if alias else []
            for choice in aliases:
                yield (str(choice.path[0]) if isinstance(choice, AliasPath) else choice), whole
            if not aliases or by_name:
                yield name, whole


def names_of(annotation: Any) -> list[str]:
    return [name for name, _ in fields_of(annotation)]


def annotation_at(annotation: Any, keys: Keys) -> Any:
    """Return the annotation of the value at a path below a model, or Any if the types do not define it."""
    for key in keys:
        fields: dict[str | int, Any] = dict(fields_of(annotation))
        # In `dict[K, V]` and `list[V]`, the last argument is the type of the values.
        held = [args[-1] for kind in _inside(annotation) if (args := get_args(kind))]
        annotation = fields.get(key, Any) if fields else held[0] if held else Any
    return annotation


def holds_secret(annotation: Any) -> bool:
    kinds = [get_origin(kind) or kind for kind in _inside(annotation)]
    return any(isinstance(kind, type) and issubclass(kind, SecretStr | SecretBytes | Secret) for kind in kinds)
