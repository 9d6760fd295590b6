"""The site builds without a warning, fetches nothing, and documents everything that the code declares."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from mcp_host import hookspecs
from mcp_host.authoring.plugincheck import RULES
from mcp_host.config import HostConfig
from mcp_host.plugins.hooks import HOOKS
from support.pages import DOCS, ROOT, all_pages, blocks


def load_generators() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated", ROOT / "tools" / "docs" / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generators = load_generators()


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site from a copy of its sources."""
    for name in ("docs", "tools", "host"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for name in ("zensical.toml", "pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    environment = {**os.environ, "PYTHONPATH": str(folder / "tools" / "docs"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    return folder / "site"


def test_every_page_is_built_and_in_the_navigation(site: Path) -> None:
    nav = re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8"))
    pages = [page.relative_to(DOCS).as_posix() for page in all_pages()]
    assert sorted(nav) == sorted(pages)
    for page in pages:
        name = page.removesuffix(".md")
        assert (site / "index.html" if name == "index" else site / name / "index.html").is_file(), page


class _Fetched(HTMLParser):
    """Collects what a browser fetches by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            wanted = tag in ("img", "script", "iframe", "link") and name in ("src", "href")
            if wanted and dict(attrs).get("rel") not in ("canonical", "next", "prev") and value:
                self.found.append(value)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = _Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        assert [each for each in fetched.found if re.match(r"(https?:)?//", each)] == [], page


def test_nothing_generated_is_missing_from_the_site(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "generated:" not in page.read_text(encoding="utf-8"), page
    assert "mcp_token_verifier" in (site / "authors" / "hooks" / "index.html").read_text(encoding="utf-8")


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[nowhere](nowhere.md)\n", encoding="utf-8")
    toml = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    toml = re.sub(r"nav = \[\n.*?^\]\n", "", toml, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "zensical.toml").write_text(toml, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools" / "docs")}
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0


def table_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(table_in, get_args(annotation))), None)


def keys(model: type[BaseModel]) -> Iterator[str]:
    for key, field in model.model_fields.items():
        inner = table_in(field.annotation)
        if inner is not field.annotation:
            yield key
        if inner is not None:
            yield from (f"{key}.{each}" for each in keys(inner))


@pytest.mark.parametrize(
    ("table", "name"), [("host",) * 2, ("transport",) * 2, ("auth",) * 2, ("plugins", "plugins.NAME")]
)
def test_every_key_has_a_row_with_its_description(table: str, name: str) -> None:
    from mcp_host.config import AuthSection, HostSection, PluginSection, TransportSection

    models: dict[str, type[BaseModel]] = {
        "host": HostSection,
        "transport": TransportSection,
        "auth": AuthSection,
        "plugins": PluginSection,
    }
    assert set(models) == set(HostConfig.model_fields)
    text = generators.generate("configuration")
    section = text.partition(f"## `[{name}]`\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| (.*?) \| (.+) \|$", section, re.MULTILINE)
    assert [row[0] for row in rows] == list(keys(models[table]))
    assert all(kind and about for _, kind, _, about in rows)


def test_the_defaults_shown_are_what_an_empty_file_gives() -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| `(.+?)` \|", generators.generate("configuration"), re.MULTILINE))
    assert (shown["start_timeout"], shown["on_error"], shown["port"]) == ('"30s"', '"skip"', "8000")
    from mcp_host.config import parse_config

    written = "\n".join(f"{key} = {shown[key]}" for key in ("start_timeout", "on_error", "log_level", "debug"))
    assert parse_config(f"[host]\n{written}\n", environ={}).host == HostConfig().host


def test_every_variable_with_a_short_name_is_shown_with_its_key() -> None:
    from mcp_host.config import parse_config

    values = {
        "MCP_TRANSPORT": "http",
        "MCP_HOST": "::1",
        "MCP_PORT": "1",
        "MCP_LOG_LEVEL": "error",
        "MCP_DEBUG": "true",
    }
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+\.\w+)` \|$", generators.generate("variables"), re.MULTILINE))
    assert set(rows) == set(values)
    config: Any = parse_config("", environ=values)
    for name, key in rows.items():
        table, _, field = key.partition(".")
        assert str(getattr(getattr(config, table), field)).lower() == values[name]


def test_every_hook_is_shown_with_its_example() -> None:
    text = generators.generate("hooks")
    assert set(re.findall(r"^## `(\w+)`$", text, re.MULTILINE)) == HOOKS
    for name in HOOKS:
        documentation = inspect.getdoc(getattr(hookspecs, name))
        assert documentation is not None
        assert documentation in text


def test_every_command_is_shown_with_every_option() -> None:
    from mcp_host.cli.registry import COMMANDS, load

    text = generators.generate("commands")
    assert re.findall(r"^## `(\w+)`$", text, re.MULTILINE) == list(COMMANDS)
    for name in COMMANDS:
        section = text.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        options = [option for parameter in load(name).params for option in parameter.opts if option.startswith("-")]
        assert [option for option in options if option not in section] == [], name


def test_every_rule_of_the_contract_is_shown() -> None:
    text = generators.generate("contract")
    assert re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE) == [rule.id for rule in RULES]


def test_pages_ask_only_for_what_can_be_generated() -> None:
    for page in all_pages():
        for name in re.findall(r"\{\{ *generated:? *(\w+)", page.read_text(encoding="utf-8")):
            assert name in generators.GENERATORS, page


def test_the_config_of_the_site_is_toml_and_fetches_no_font() -> None:
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    assert config["theme"]["font"] is False


def test_no_page_is_too_long_to_read_at_one_sitting() -> None:
    for page in all_pages():
        written = page.read_text(encoding="utf-8")
        for block in blocks(page):
            written = written.replace(block.text, "")
        # Rows of a table are looked up, and not read in their order.
        read = [line for line in written.splitlines() if not line.startswith("|")]
        assert len(" ".join(read).split()) < 1300, page


@pytest.mark.parametrize(("page", "least"), [("design.md", 15), ("maintainers.md", 30)])
def test_the_files_and_folders_that_the_page_names_are_there(page: str, least: int) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:[\w-]+/)*(?:[\w-]+\.(?:py|toml|txt|json|md)|[\w-]+/))`", text))
    names -= {"host/mcp_host/", "mcp-host.toml"}
    assert len(names) > least
    places = (ROOT / "host" / "mcp_host", ROOT)
    assert [name for name in sorted(names) if not any((place / name).exists() for place in places)] == []


def test_the_page_for_maintainers_has_fifteen_changes_each_with_its_test() -> None:
    text = (DOCS / "maintainers.md").read_text(encoding="utf-8")
    changes = re.findall(r"^\*\*\d+\. .+?(?=^\*\*\d|^## )", text, re.MULTILINE | re.DOTALL)
    assert [change.split(".")[0] for change in changes] == [f"**{number}" for number in range(1, 16)]
    for change in changes:
        assert re.search(r"\bTest:\s.*`(?:tests/|make )", change, re.DOTALL), change


def test_the_sitemap_and_the_header_name_where_the_site_and_the_code_are(site: Path) -> None:
    project = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    source = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
    locations = re.findall(r"<loc>(.*?)</loc>", (site / "sitemap.xml").read_text(encoding="utf-8"))
    pages = [page.relative_to(DOCS).with_suffix("").as_posix() for page in all_pages()]
    wanted = {project["site_url"] + ("" if name == "index" else f"{name}/") for name in pages}
    assert set(locations) == wanted
    html = (site / "index.html").read_text(encoding="utf-8")
    assert f'<a href="{source}" title="Go to repository" class="md-source">' in html
    # The theme's own link asks GitHub for figures, in the reader's browser.
    assert 'data-md-component="source"' not in html


def test_the_version_and_the_changelog_are_those_of_the_code(site: Path) -> None:
    from mcp_host import __version__

    assert f"Version <strong>{__version__}</strong>" in (site / "index.html").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    page = (site / "changelog" / "index.html").read_text(encoding="utf-8")
    for heading in re.findall(r"^## \[(.+?)\]", changes, re.MULTILINE):
        assert f">{heading}</a>" in page


def test_every_client_is_shown_with_the_entries_that_install_writes() -> None:
    from mcp_host.manage.clients.clientconfig import load_clients

    text = generators.generate("clients")
    clients = load_clients()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [client.title for client in clients.values()]
    for name, client in clients.items():
        section = text.partition(f"## {client.title}\n")[2].partition("\n## ")[0]
        assert f"`mcp-host install {name}`" in section
        found = re.findall(r"^```(json|toml)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        servers = [(json.loads(body) if kind == "json" else tomllib.loads(body))[client.key] for kind, body in found]
        assert ["command" in server["home"] for server in servers] == [True, False][: 1 + (client.http is not None)]
        if client.project is not None:
            assert f"`{client.project}`" in section


def test_every_cell_of_a_wide_table_is_labelled_for_phones() -> None:
    import markdown

    text = "|a|b|c|\n|-|-|-|\n|1|2|`3`|\n\n|a|b|\n|-|-|\n|1|2|\n"
    html = markdown.markdown(text, extensions=["tables", generators.makeExtension()])
    assert re.findall(r'data-label="(\w)"', html) == ["a", "b", "c"]
    assert html.count("data-stacked") == 1
