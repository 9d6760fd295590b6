"""A new plugin: its facts, the names that follow from its name, and the text of every file of its project."""

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
    """What `--license` takes; the texts are templates."""

    MIT = "mit"
    APACHE_2_0 = "apache-2.0"
    BSD_3_CLAUSE = "bsd-3-clause"
    NONE = "none"


SPDX: Final = {License.MIT: "MIT", License.APACHE_2_0: "Apache-2.0", License.BSD_3_CLAUSE: "BSD-3-Clause"}
"""How `pyproject.toml` says it (PEP 639)."""

NOBODY: Final = "YOUR NAME"
"""Stands for the author where nobody is known; the README says to replace it."""

LONGEST_LINE: Final = 200
"""Characters of an author's name or a description."""

_FILES: Final = {
    ".github/workflows/ci.yml": "ci.yml",
    ".gitignore": "gitignore",
    "CHANGELOG.md": "CHANGELOG.md",
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
    "src/{{package}}/__init__.py": "plugin.py",
    "src/{{package}}/py.typed": "py.typed",
    "tests/test_plugin.py": "test_plugin.py",
}
"""Paths in the project, and the template of each. They are named apart: a dot file is easily lost on the way."""

_FETCHED_SCHEMES: Final = ("data", "file", "ftp", "http", "https")
"""Schemes whose URIs a client may fetch by itself, without asking the server."""

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Project:
    """What is known of a new plugin. `name` has passed `naming.plugin_name`; `author` is None where nobody is known.

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
        """Return the text of every file, by its path with `/`."""
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
            return "No license has been chosen: until there is one, nobody but its author may use, copy or change this."
        return f"[{SPDX[self.license]}](LICENSE)."

    def _author_note(self) -> str:
        if self.author is not None:
            return ""
        # The Apache License is the same text for everyone.
        places = ["`pyproject.toml`"]
        if self.license in (License.MIT, License.BSD_3_CLAUSE):
            places.append("`LICENSE`")
        return f"First put your name in place of `{NOBODY}` in {' and '.join(places)}.\n\n"


def is_one_line(text: str) -> bool:
    """Whether a text can be the author's name or the description: one line, not empty, with nothing invisible."""
    return text.isprintable() and text.strip() != "" and len(text) <= LONGEST_LINE


def host_range(version: str) -> str:
    """Return the range of hosts that a plugin written for this one states: from here to the next major version."""
    # Here, because every command imports this module for its options.
    from packaging.version import Version

    host = Version(version)
    first = host.public if host.is_prerelease else f"{host.major}.{host.minor}"
    return f">={first},<{host.major + 1}"


def render(template: str, values: Mapping[str, str]) -> str:
    """Put the values in place of the `{{placeholders}}`, once: a placeholder in a value is text."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _template(name: str) -> str:
    from importlib.resources import files

    return files(__package__).joinpath("templates", f"{name}.tmpl").read_text(encoding="utf-8")
