"""A new plugin: its facts, the names made from its name, and the texts of its project's files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mcp_host.authoring.scaffold.naming import PREFIX
from mcp_host.errors import HostError


class License(StrEnum):
    """The values of `--license`. The texts are templates."""

    MIT = "mit"
    APACHE_2_0 = "apache-2.0"
    BSD_3_CLAUSE = "bsd-3-clause"
    NONE = "none"


SPDX: Final = {License.MIT: "MIT", License.APACHE_2_0: "Apache-2.0", License.BSD_3_CLAUSE: "BSD-3-Clause"}
"""The license expressions in `pyproject.toml` (PEP 639)."""

NOBODY: Final = "YOUR NAME"
"""Stands for an unknown author. The README asks to replace it."""

LONGEST_LINE: Final = 200
"""The most characters of an author's name or a description."""

_FILES: Final = {
    ".github/workflows/ci.yml": "ci.yml",
    ".github/workflows/publish.yml": "publish.yml",
    ".gitignore": "gitignore",
    ".mcp.json": "mcp.json",
    ".vscode/mcp.json": "vscode-mcp.json",
    "CHANGELOG.md": "CHANGELOG.md",
    "README.md": "README.md",
    "mcp-host.toml": "mcp-host.toml",
    "pyproject.toml": "pyproject.toml",
    "src/{{package}}/__init__.py": "plugin.py",
    "src/{{package}}/py.typed": "py.typed",
    "tests/test_contract.py": "test_contract.py",
    "tests/test_plugin.py": "test_plugin.py",
}
"""The paths in the project, and the template of each. No template is a dot file, because packaging may omit those."""

_FETCHED_SCHEMES: Final = ("data", "file", "ftp", "http", "https")
"""Schemes whose URIs a client may fetch by itself, without asking the server."""

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Project:
    """The facts about a new plugin. `name` is a result of `naming.plugin_name`. `author` is None if it is unknown.

    Raises:
        HostError: The author or the description is not one line of text.
    """

    name: str
    host_version: str
    year: int
    license: License = License.MIT
    author: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        for option, text in (("--author", self.author), ("--description", self.description)):
            if text is not None and not is_one_line(text):
                raise HostError(
                    f"{text!r} is not one line of at most {LONGEST_LINE} characters",
                    where=f"command line: {option}",
                    hint=f'{option} "..."',
                )

    @property
    def distribution(self) -> str:
        return PREFIX + self.name

    def files(self) -> dict[str, str]:
        """Return the texts of all files, by their paths with `/`."""
        values = self._values()
        rendered = {render(path, values): render(_template(source), values) for path, source in _FILES.items()}
        if self.license is not License.NONE:
            rendered["LICENSE"] = render(_template(f"LICENSE.{self.license.value}"), values)
        return dict(sorted(rendered.items()))

    def _values(self) -> Mapping[str, str]:
        identifier = self.name.replace("-", "_")
        author = self.author or NOBODY
        description = self.description or f"The plugin {self.name} for mcp-host."
        license_lines = (
            [f'license = "{SPDX[self.license]}"', 'license-files = ["LICENSE"]', ""]
            if self.license is not License.NONE
            else [""]
        )
        return {
            "name": self.name,
            "distribution": self.distribution,
            "package": f"mcp_plugin_{identifier}",
            "identifier": identifier,
            "scheme": f"{self.name}-plugin" if self.name in _FETCHED_SCHEMES else self.name,
            "author": author,
            # A JSON string without control characters is a TOML string.
            "author_toml": json.dumps(author, ensure_ascii=False),
            "description": description,
            "description_toml": json.dumps(description, ensure_ascii=False),
            "host_range": host_range(self.host_version),
            "year": str(self.year),
            "license_lines": "\n".join(license_lines),
            "license_note": self._license_note(),
            "author_note": self._author_note(),
        }

    def _license_note(self) -> str:
        if self.license is License.NONE:
            return "It has no license yet. Without one, only the author may use, copy or change it."
        return f"[{SPDX[self.license]}](LICENSE)."

    def _author_note(self) -> str:
        if self.author is not None:
            return ""
        # The text of the Apache License does not name the author.
        places = ["`pyproject.toml`"]
        if self.license in (License.MIT, License.BSD_3_CLAUSE):
            places.append("`LICENSE`")
        return f"First put your name in place of `{NOBODY}` in {' and '.join(places)}.\n\n"


def is_one_line(text: str) -> bool:
    """Return whether a text can be an author's name or a description: one line, not empty, only printable."""
    return text.isprintable() and text.strip() != "" and len(text) <= LONGEST_LINE


def host_range(version: str) -> str:
    """Return the range of hosts for a new plugin: from this version to the next major version."""
    # Imported here, so that `mcp-host new --help` does not import it.
    from packaging.version import Version

    host = Version(version)
    first = host.public if host.is_prerelease else f"{host.major}.{host.minor}"
    return f">={first},<{host.major + 1}"


def render(template: str, values: Mapping[str, str]) -> str:
    """Replace the `{{placeholders}}` by the values. A placeholder inside a value is not replaced."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _template(name: str) -> str:
    from importlib.resources import files

    return files(__package__).joinpath("templates", f"{name}.tmpl").read_text(encoding="utf-8")
