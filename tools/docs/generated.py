"""Generates parts of the pages from the code: a Markdown extension that replaces `{{ generated: NAME }}`.

It also labels the cells of tables, for the style of phones.

`configuration` is every key of mcp-host.toml, from the models; `variables` the environment variables with short names;
`hooks` every hook, from the hookspecs; `commands` every command, from typer's help; `contract` the rules that
`mcp-host check --plugin` checks; `clients` every client that `mcp-host install` knows, with its entries; `version` the
line with the version and where the project lives; `changelog` the changes of each version.
"""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args
from xml.etree.ElementTree import Element

import tomlkit
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[2]

MARKER = re.compile(r"^\{\{ generated: (\w+) \}\}$", re.MULTILINE)


def configuration() -> Iterator[str]:
    """Yield a table of keys for each table of mcp-host.toml."""
    from mcp_host.config import HostConfig

    schema = HostConfig.model_json_schema()
    for name, model in _tables(HostConfig):
        keys = schema["$defs"][model.__name__]["properties"]
        yield f"## `[{name}]`\n"
        yield _sentence(model) + "\n"
        yield "| key | type | default | what it does |\n|---|---|---|---|"
        prefix = f"{name}."
        for key, field in model.model_fields.items():
            inner = _model(field.annotation)
            # A key that may be a table, or something else, has a row of its own.
            if inner is not field.annotation:
                yield _row(key, field, keys[key])
            if inner is None:
                continue
            for inner_key, inner_field in inner.model_fields.items():
                inner_keys = schema["$defs"][inner.__name__]["properties"]
                yield _row(f"{key}.{inner_key}", inner_field, inner_keys[inner_key])
        yield f"\nIn a variable: `{_variable(prefix, next(iter(model.model_fields)))}`.\n"


def _tables(root: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for key, field in root.model_fields.items():
        model = _model(field.annotation)
        assert model is not None, f"{key} is not a table"
        yield (f"{key}.NAME" if "dict" in str(field.annotation) else key), model


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation is or contains."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model(part))), None)


def _sentence(model: type[BaseModel]) -> str:
    text = inspect.cleandoc(model.__doc__ or "").partition(": ")[2]
    return text[:1].upper() + text[1:]


def _variable(prefix: str, key: str) -> str:
    return "MCP_HOST__" + "__".join(part if part == "NAME" else part.upper() for part in f"{prefix}{key}".split("."))


def _row(key: str, field: FieldInfo, schema: Mapping[str, Any]) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    shown = "required" if default is PydanticUndefined else "" if default is None else f"`{_toml(default, schema)}`"
    return f"| `{key}` | {_type(schema)} | {shown} | {_cell(field.description or '')} |"


def _toml(value: Any, schema: Mapping[str, Any]) -> str:
    if isinstance(value, float) and "pattern" in json.dumps(schema):
        return f'"{value:g}s"'
    return json.dumps(value)


def _type(schema: Mapping[str, Any]) -> str:
    """Describe in a few words what a JSON schema accepts."""
    if "enum" in schema:
        return " or ".join(f'`"{value}"`' for value in schema["enum"])
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    parts = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    if any(part.get("examples") for part in _flat(parts)):
        none = ', or `"none"`' if any(part.get("const") == "none" for part in _flat(parts)) else ""
        return f'duration: seconds, or text such as `"500ms"`, `"30s"`, `"2m"`{none}'
    if parts:
        return " or ".join(dict.fromkeys(_type(part) for part in parts if "pattern" not in part or "type" in part))
    match schema.get("type"):
        case "array":
            return f"list of {_type(schema['items'])}s"
        case "object":
            values = schema.get("additionalProperties")
            return f"table of {_type(values)}" if isinstance(values, dict) else "table"
        case "integer":
            low, high = schema.get("minimum"), schema.get("maximum")
            return "whole number" + (f", {low} to {high}" if high is not None else f", {low} or more")
        case "boolean":
            return "`true` or `false`"
        case _:
            return "path" if schema.get("format") == "path" else "text"


def _flat(parts: Any) -> Iterator[Mapping[str, Any]]:
    for part in parts:
        yield part
        yield from _flat(part.get("anyOf", ()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def variables() -> Iterator[str]:
    """Yield the variables that have a short name, with the keys they set."""
    from mcp_host.config.layers import _SHORT_VARIABLES

    yield "| variable | key |\n|---|---|"
    for name, keys in _SHORT_VARIABLES.items():
        yield f"| `{name}` | `{'.'.join(map(str, keys))}` |"


def hooks() -> Iterator[str]:
    """Yield every hook: its signature, its description and its example."""
    from mcp_host import hookspecs

    yield f"{inspect.cleandoc(hookspecs.__doc__ or '').partition(chr(10))[2].strip()}\n"
    for name, spec in vars(hookspecs).items():
        if name.startswith("mcp_"):
            yield f"## `{name}`\n"
            yield f"```python\ndef {name}{inspect.signature(spec)}\n```\n".replace("'", "")
            yield f"{inspect.getdoc(spec)}\n"


def commands() -> Iterator[str]:
    """Yield every command with its help."""
    from typer.main import get_command

    from mcp_host.cli import PROGRAM, app
    from mcp_host.cli.registry import COMMANDS, load

    group: Any = get_command(app)
    root = group.make_context(PROGRAM, [], resilient_parsing=True)
    for name in COMMANDS:
        command = load(name)
        context = type(root)(command, info_name=name, parent=root, max_content_width=100, terminal_width=100)
        yield f"## `{name}`\n"
        yield f"{inspect.cleandoc(command.help).splitlines()[0]}\n"
        yield f"```text\n{command.get_help(context)}\n```\n"


def contract() -> Iterator[str]:
    """Yield the rules of the contract."""
    from mcp_host.authoring.plugincheck import RULES

    yield "| rule | what it requires | if broken |\n|---|---|---|"
    for rule in RULES:
        yield f"| `{rule.id}` | {_cell(rule.sentence)} | {rule.severity} |"


def clients() -> Iterator[str]:
    """Yield every client that `install` supports: its file, what to do afterwards, and the entries that it gets."""
    from mcp_host.manage.clients.clientconfig import load_clients

    for name, client in load_clients().items():
        yield f"## {client.title}\n"
        yield f"`mcp-host install {name}`. {client.after}\n"
        for platform, title in (("linux", "Linux"), ("darwin", "macOS"), ("win32", "Windows")):
            yield f"- {title}: {' or '.join(f'`{_folder(path)}`' for path in client.user[platform])}"
        if client.project is not None:
            yield f"- of a project, with `--project`: `{client.project}`"
        entries: list[Any] = [client.command_entry(_COMMAND, [*_ARGUMENTS], {}, Path(_FOLDER))]
        if (by_url := client.url_entry("http://127.0.0.1:8000/mcp")) is not None:
            entries.append(by_url)
        yield "\nIts entry for a command" + (", and for a running server (`--http`):\n" if by_url else ":\n")
        for entry in entries:
            language = "toml" if client.format == "toml" else "json"
            text = (
                tomlkit.dumps({client.key: {"home": entry}})
                if language == "toml"
                else json.dumps({client.key: {"home": entry}}, indent=2)
            )
            yield f"```{language}\n{text.strip()}\n```\n"


_FOLDER = "/home/you"
_COMMAND = f"{_FOLDER}/.venv/bin/python"
_ARGUMENTS = ("-P", "-m", "mcp_host", "run", "--transport", "stdio", "--config", f"{_FOLDER}/mcp-host.toml")


def _folder(path: str) -> str:
    names = {
        "{HOME}": "~",
        "{APPDATA}": "%APPDATA%",
        "{LOCALAPPDATA}": "%LOCALAPPDATA%",
        "{XDG_CONFIG_HOME}": "~/.config",
    }
    names |= {"{CLAUDE_CONFIG_DIR}": "~", "{CODEX_HOME}": "~/.codex"}
    for folder, shown in names.items():
        path = path.replace(folder, shown)
    return path


def version() -> Iterator[str]:
    """Yield the version of this code, and where the project lives."""
    from mcp_host import __version__

    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    yield f"Version **{__version__}** · [Source]({urls['Source']}) · [Issues]({urls['Issues']})"


def changelog() -> Iterator[str]:
    """Yield CHANGELOG.md without its title."""
    yield (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n")[2]


GENERATORS: dict[str, Callable[[], Iterator[str]]] = {
    each.__name__: each for each in (configuration, variables, hooks, commands, contract, clients, version, changelog)
}


def generate(name: str) -> str:
    """Return the Markdown of one generator. Raises `KeyError` for an unknown name."""
    return "\n".join(GENERATORS[name]())


class _Replace(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return MARKER.sub(lambda marker: generate(marker[1]), "\n".join(lines)).split("\n")


class _Label(Treeprocessor):
    """Gives each cell of a table the name of its column, which docs/site.css shows on a phone."""

    def run(self, root: Element) -> None:
        for table in root.iter("table"):
            names = ["".join(cell.itertext()) for cell in table.findall("thead/tr/th")]
            if len(names) < 3:
                continue
            table.set("data-stacked", "")
            for row in table.findall("tbody/tr"):
                for name, cell in zip(names, row, strict=True):
                    cell.set("data-label", name)


class _Generated(Extension):
    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        # Runs before fenced code blocks are extracted.
        md.preprocessors.register(_Replace(md), "generated", 200)
        # Runs after the cells' text is complete.
        md.treeprocessors.register(_Label(md), "labels", 0)


def makeExtension(**options: Any) -> Extension:  # noqa: N802
    """Return the extension. Python-Markdown requires this function's name."""
    return _Generated(**options)
