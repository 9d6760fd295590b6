"""The files for contributors are there, complete and in the form that readers and programs expect."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from support.pages import ROOT

REPOSITORY = "https://github.com/mcp-host/mcp-host"

DISTRIBUTIONS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]

FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.stem != "config")


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_every_distribution_has_the_same_urls(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = project["urls"]
    assert set(urls) == {"Source", "Documentation", "Changelog", "Issues"}
    assert all(url == REPOSITORY or url.startswith(f"{REPOSITORY}/") for url in urls.values())


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_the_urls_lead_to_files_of_the_repository(folder: Path) -> None:
    urls = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    for url in urls.values():
        if inside := re.match(rf"{REPOSITORY}/(?:blob|tree)/main/(.+)", url):
            assert (ROOT / inside[1]).exists(), url
    if folder != ROOT:
        assert urls["Source"].endswith(f"/{folder.name}")


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_the_page_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / name).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def parse_changelog(text: str) -> dict[str, dict[str, list[str]]]:
    """Return the entries of each kind of change of each version, as Keep a Changelog 1.1.0 writes them.

    Raises:
        AssertionError: The text has another form.
    """
    assert text.startswith("# Changelog\n")
    _, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    versions: dict[str, dict[str, list[str]]] = {}
    released: list[tuple[Version, date]] = []
    for section in sections:
        heading = re.match(r"\[(Unreleased|\d+\.\d+\.\d+)\](?: - (\d{4}-\d\d-\d\d))?\n", section)
        assert heading, section.partition("\n")[0]
        name, day = heading.groups()
        assert (name == "Unreleased") == (day is None), name
        assert name not in versions, name
        assert re.search(rf"^\[{re.escape(name)}\]: https://\S+$", text, re.MULTILINE), f"{name} has no link"
        if day is not None:
            released.append((Version(name), date.fromisoformat(day)))
        versions[name] = {}
        for change in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
            kind, _, entries = change.partition("\n")
            assert kind in CHANGES, kind
            versions[name][kind] = re.findall(r"^- \S", entries, re.MULTILINE)
            assert versions[name][kind], f"{name} has nothing below {kind}"
    assert next(iter(versions)) == "Unreleased"
    assert released == sorted(released, reverse=True), "the newest version is first"
    return versions


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    versions = parse_changelog((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert versions["Unreleased"]


GOOD = """# Changelog

## [Unreleased]

## [0.2.0] - 2027-01-31

### Fixed

- One thing.

## [0.1.0] - 2026-12-24

### Added

- All.

[Unreleased]: https://example.com/compare
[0.2.0]: https://example.com/0.2.0
[0.1.0]: https://example.com/0.1.0
"""


def test_a_changelog_with_releases_is_read() -> None:
    assert [*parse_changelog(GOOD)] == ["Unreleased", "0.2.0", "0.1.0"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Changelog", "# Changes"),
        ("### Fixed", "### Mended"),
        ("- One thing.\n", ""),
        (" - 2027-01-31", ""),
        ("2027-01-31", "31.1.2027"),
        ("2027-01-31", "2027-02-31"),
        ("[0.2.0] - 2027-01-31", "[0.0.1] - 2027-01-31"),
        ("## [Unreleased]", "## Unreleased"),
        ("## [Unreleased]\n", ""),
        ("[0.2.0]: https://example.com/0.2.0\n", ""),
    ],
)
def test_a_changelog_of_another_form_is_refused(old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises((AssertionError, ValueError)):
        parse_changelog(GOOD.replace(old, new))


ELEMENTS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_the_issue_form_is_one_that_the_repository_host_takes(path: Path) -> None:
    yaml: Any = importlib.import_module("yaml")
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    fields = [element for element in form["body"] if element["type"] != "markdown"]
    assert len({element["id"] for element in fields}) == len(fields) > 0
    for element in form["body"]:
        assert element["type"] in ELEMENTS
        needed = {"markdown": "value", "dropdown": "options"}.get(element["type"], "label")
        assert element["attributes"][needed]


def test_there_are_forms_for_bugs_and_wishes_and_a_template_for_pull_requests() -> None:
    assert [path.stem for path in FORMS] == ["bug_report", "feature_request"]
    assert "make test" in (ROOT / ".github/PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")


def test_the_commands_that_contributing_names_are_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    assert {"run", "test", "lint", "types", "layers"} <= named <= targets
    for path in re.findall(r"`([\w./-]+/|[\w/-]+/[\w.-]+\.(?:py|json))`", text):
        assert any((place / path).exists() for place in (ROOT, ROOT / "host/mcp_host")) or path == "dist/", path


def test_an_index_that_cannot_be_reached_is_a_clear_error(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": closed, "PIP_RETRIES": "0", "PYTHON": sys.executable}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | own
    made = subprocess.run(
        ["make", "run"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert made.returncode == 2
    assert "The packages could not be installed. Can this machine reach the package index?" in made.stderr
    assert not (tmp_path / ".venv/.run").exists()


def test_every_test_has_a_time_limit(pytestconfig: pytest.Config) -> None:
    assert float(pytestconfig.getini("timeout")) > 0
    assert pytestconfig.getini("timeout_method") == "thread"
