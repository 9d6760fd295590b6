"""Secrets in a plugin's settings: reads them from the environment or a file, and masks them in texts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError

from mcp_host.config.annotations import annotation_at, holds_secret
from mcp_host.config.explain import Explainer
from mcp_host.config.origins import Keys, Origins, dotted
from mcp_host.config.references import MASK, is_reference, is_worth_masking, path_looks_secret
from mcp_host.config.sections import HostConfig
from mcp_host.errors import ConfigError, InvalidConfigError, Problem


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings with each reference replaced by its text, ready for a model, and the set of texts to mask.

    The texts are plain `str`, because validation accepts a `str` for a field of each type: `SecretStr`, `str` or
    `int`. `repr` does not show them.
    """

    values: dict[str, Any] = field(repr=False)
    secrets: frozenset[str] = field(repr=False)


def resolve_secrets(
    settings: Mapping[str, Any],
    *,
    base_dir: Path,
    environ: Mapping[str, str],
    where: Callable[[Keys], str] = dotted,
    is_secret: Callable[[Keys], bool] = path_looks_secret,
) -> ResolvedSettings:
    """Return the settings with each reference, at any depth, replaced by the secret it names.

    `{ env = "NAME" }` is a variable of `environ`. `{ file = "PATH" }` is a UTF-8 file, relative to `base_dir`, without
    a byte order mark and the newline at its end. `format` beside it is the text around the secret. `where` returns the
    place of a key path, for the errors. `is_secret` returns whether the value at a key path is masked even if it is
    short: a reference may also name an ordinary value, such as a region.

    Raises `InvalidConfigError`, which names each variable that is unset or empty and each file that is unreadable or
    empty.
    """
    secrets: set[str] = set()
    problems: list[Problem] = []

    def resolve(value: Any, keys: Keys) -> Any:
        if is_reference(value):
            source = "env" if "env" in value else "file"
            name = value[source]
            try:
                secret = _variable(name, environ) if source == "env" else _file(name, base_dir)
            except ConfigError as error:
                problems.append(replace(error.problem, where=where(keys)))
                return None
            if is_worth_masking(secret, is_secret=is_secret(keys)):
                secrets.add(secret)
            return value.get("format", "{}").replace("{}", secret)
        if isinstance(value, Mapping):
            return {key: resolve(inner, (*keys, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [resolve(inner, (*keys, number)) for number, inner in enumerate(value)]
        return value

    values = {key: resolve(value, (key,)) for key, value in settings.items()}
    if problems:
        raise InvalidConfigError(problems)
    return ResolvedSettings(values, frozenset(secrets))


def _variable(name: str, environ: Mapping[str, str]) -> str:
    secret = environ.get(name)
    if not secret:
        state = "not set" if secret is None else "empty"
        raise ConfigError(f"the environment variable {name!r} is {state}", hint=f"export {name}=...")
    return secret


def _file(name: str, base_dir: Path) -> str:
    hint = f"write the secret to {name}"
    try:
        secret = (base_dir / Path(name).expanduser()).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"the secret file {name!r} is not UTF-8 text", hint=hint) from None
    except (OSError, ValueError, RuntimeError) as error:
        # ValueError: the path contains a NUL. RuntimeError: the path starts with `~` and there is no home directory.
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a usable path"
        raise ConfigError(f"the secret file {name!r} cannot be read: {reason}", hint=hint) from None
    if not (secret := re.sub(r"\r?\n\Z", "", secret)):
        raise ConfigError(f"the secret file {name!r} is empty", hint=hint)
    return secret


class Redactor:
    """Replaces every occurrence of known secrets by `***`, also where they are JSON-escaped or URL-quoted.

    Each given text is a secret. Texts that are too short (`is_worth_masking`) are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: dict[str, set[str]] = {}
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Redact these secrets, too."""
        added = {secret for secret in secrets if is_worth_masking(secret, is_secret=True)} - self._forms.keys()
        if added:
            self._forms |= {secret: _written_forms(secret) for secret in added}
            self._compile()

    def forget(self, *secrets: str) -> None:
        """Redact these secrets no longer: they are worth nothing any more, and each one costs time."""
        if self._forms.keys() & set(secrets):
            self._forms = {secret: forms for secret, forms in self._forms.items() if secret not in secrets}
            self._compile()

    def _compile(self) -> None:
        # The longest first, so that a secret that holds another is masked as a whole.
        forms = sorted(set().union(*self._forms.values()), key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(form) for form in forms)) if forms else None

    def redact(self, text: str) -> str:
        """Return the text with `***` for each secret in it."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._forms)} secrets>"


def _written_forms(secret: str) -> set[str]:
    # A text from the environment may contain bytes that are not UTF-8. They are surrogates in a `str`.
    quoted = [write(secret, safe=safe, errors="replace") for write in (quote, quote_plus) for safe in ("", "/")]
    lowered = [re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text) for text in quoted]
    escaped = [json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    # A message may contain one line of a secret that has several, such as a private key.
    lines = [line for line in secret.splitlines() if is_worth_masking(line, is_secret=False)]
    return {secret, repr(secret)[1:-1], *escaped, *quoted, *lowered, *lines}


def validate_settings(
    model: type[BaseModel] | None,
    settings: Mapping[str, Any],
    *,
    plugin: str,
    source: HostConfig | Path | str,
    base_dir: Path,
    environ: Mapping[str, str] | None = None,
) -> tuple[BaseModel | None, frozenset[str]]:
    """Return a plugin's settings as its model, and the texts in them to mask.

    `resolve_secrets` reads the references first. A secret that is written in the file itself is recognized by its
    type: `SecretStr`, `SecretBytes` or `Secret`. A plugin without a model takes no settings and gets None. `source` is
    the place of the settings: a `HostConfig` also knows their lines and variables. The default of `environ` is the
    process's environment.

    Raises `InvalidConfigError` with every problem that was found. No text in it contains a value.
    """
    above: Keys = ("plugins", plugin, "settings")

    def where(keys: Keys) -> str:
        return source.where(*keys) if isinstance(source, HostConfig) else Origins(str(source)).where(keys)

    if model is None:
        if settings:
            hint = f"remove `settings` from [{dotted(above[:2])}]"
            raise InvalidConfigError([Problem(f"plugin {plugin!r} takes no settings", where=where(above), hint=hint)])
        return None, frozenset()
    resolved = resolve_secrets(
        settings,
        base_dir=base_dir,
        environ=os.environ if environ is None else environ,
        where=lambda keys: where((*above, *keys)),
        is_secret=lambda keys: path_looks_secret(keys) or holds_secret(annotation_at(model, keys)),
    )
    try:
        valid = model.model_validate(resolved.values)
        return valid, resolved.secrets | _secret_texts(valid)
    except ValidationError as error:
        explainer = Explainer(resolved.values, model, where, above, resolved.secrets)
        problems = explainer.problems(error)
    except Exception as error:
        # A plugin's validator may raise any exception. Its text is not shown, because it may contain a secret.
        what = f"the settings model of plugin {plugin!r} raised {type(error).__name__}"
        problems = [Problem(what, where=where(above))]
    # Raised outside the `except` block, so that the error's context is not the error that quotes the values.
    raise InvalidConfigError(problems)


def _secret_texts(value: object) -> frozenset[str]:
    """Return the texts of all values of a secret type inside a validated value."""
    if isinstance(value, SecretStr | SecretBytes | Secret):
        secret = value.get_secret_value()
        return frozenset({secret.decode(errors="replace") if isinstance(secret, bytes) else str(secret)})
    inner: Iterable[object] = ()
    if isinstance(value, BaseModel):
        inner = vars(value).values()
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        inner = value
    return frozenset[str]().union(*map(_secret_texts, inner))
