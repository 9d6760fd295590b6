"""Requirements: which are valid, how the file writes them, and whether they are installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.errors import HostError
from mcp_host.plugins.requirements import (
    Installed,
    Wanted,
    find_wanted,
    installed_now,
    needed_by,
    needed_only_by,
    parse_wanted,
    what_is_missing,
)
from support.sites import Site, build_wheel

GROUP = "mcp.plugins"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins" / "mine"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    return folder


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mcp-plugin-stats", "mcp-plugin-stats"),
        ("MCP_Plugin.Stats >=1,<2", "mcp-plugin-stats"),
        ("mcp-plugin-stats[charts]~=1.0", "mcp-plugin-stats"),
        ("mcp-plugin-stats; python_version < '3'", "mcp-plugin-stats"),
        ("mcp-plugin-stats @ https://example.com/a/b.whl", "mcp-plugin-stats"),
        ("https://example.com/mcp_plugin_stats-1.0-py3-none-any.whl#sha256=0", "mcp-plugin-stats"),
        ("https://example.com/mcp_plugin_stats-1.0.tar.gz", "mcp-plugin-stats"),
        ("git+https://example.com/stats@v1", None),
    ],
)
def test_names_ranges_and_urls_are_taken_as_pip_takes_them(text: str, name: str | None, tmp_path: Path) -> None:
    wanted = parse_wanted(text, base=tmp_path)
    assert (wanted.text, wanted.arguments, wanted.name) == (text, (text,), name)


def test_paths_are_written_as_seen_from_the_file(project: Path, tmp_path: Path) -> None:
    base = tmp_path / "plugins"
    assert parse_wanted("./mine", base=base, written=tmp_path) == Wanted(
        "./plugins/mine", (str(project),), url=project.as_uri()
    )
    assert parse_wanted("mine", base=base, written=project, editable=True).text == "-e ."
    assert parse_wanted("../plugins/mine[x]", base=base, written=base / "other").text == "../mine[x]"
    assert parse_wanted(str(project), base=base, written=tmp_path).text == "./plugins/mine"
    assert parse_wanted(str(project), base=base, written=base / "other").text == str(project)
    assert parse_wanted(project.as_uri(), base=base, written=tmp_path).text == "./plugins/mine"
    editable = parse_wanted("-e ./mine[x]", base=base)
    assert (editable.text, editable.arguments, editable.editable) == ("-e ./mine[x]", ("-e", f"{project}[x]"), True)
    assert parse_wanted("--editable=./mine", base=base) == parse_wanted("-e ./mine", base=base)
    # A name is a name, even if there is a folder with that name, as for pip.
    assert parse_wanted("mine", base=base).name == "mine"


def test_the_name_of_a_wheel_contains_its_distribution(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, "mcp-plugin-tiny", {"tiny.py": ""})
    for text in (wheel.name, f"./{wheel.name}", str(wheel)):
        wanted = parse_wanted(text, base=tmp_path)
        assert (wanted.name, wanted.arguments) == ("mcp-plugin-tiny", (str(wheel),))
    (tmp_path / "odd.whl").touch()
    assert parse_wanted("./odd.whl", base=tmp_path).name is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not something that can be installed"),
        ("--index-url=https://evil.example", "not something that can be installed"),
        ("-r requirements.txt", "not something that can be installed"),
        ("a b", "not something that can be installed"),
        ("./nowhere", "does not exist"),
        (".", "is not a Python project"),
    ],
)
def test_anything_else_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=said):
        parse_wanted(text, base=tmp_path)


@given(st.text())
def test_any_text_is_something_to_install_or_an_error_of_the_host(text: str) -> None:
    try:
        wanted = parse_wanted(text, base=Path("nowhere"))
    except HostError:
        return
    assert wanted.arguments[0] == "-e" or not wanted.arguments[0].startswith("-")


def installed(*found: Installed) -> dict[str, Installed]:
    return {each.key: each for each in found}


def missing(text: str, *found: Installed, base: Path = Path()) -> str:
    return what_is_missing(parse_wanted(text, base=base), installed(*found))


def test_what_is_missing_has_a_reason(tmp_path: Path) -> None:
    stats = Installed("mcp-plugin-stats", "1.5", requires=("plot>=2; extra == 'charts'", "duckdb"))
    assert missing("mcp_plugin_stats>=1", stats) == ""
    assert missing("mcp-plugin-stats") == "not installed"
    assert missing("mcp-plugin-stats>=2", stats) == "1.5 is installed"
    assert missing("mcp-plugin-stats; python_version < '3'") == ""
    assert missing("mcp-plugin-stats[charts]", stats) == "needs plot for [charts]"
    assert missing("mcp-plugin-stats[charts]", stats, Installed("plot", "1")) == "needs plot for [charts]"
    assert missing("mcp-plugin-stats[charts]", stats, Installed("plot", "2")) == ""
    assert missing("mcp-plugin-stats @ https://x.example/a.whl", stats) == "1.5 is installed from an index"
    wheel = build_wheel(tmp_path, "mcp-plugin-stats", {"s.py": ""}, version="2.0")
    assert missing(f"./{wheel.name}", stats, base=tmp_path) == "1.5 is installed"


def test_distributions_from_a_path_or_a_repository_are_recognized_by_it(project: Path, tmp_path: Path) -> None:
    mine = Installed("mine", "1", url=project.as_uri())
    assert missing("./plugins/mine", mine, base=tmp_path) == ""
    assert missing("-e ./plugins/mine", mine, base=tmp_path) == "1 is installed, but not editable"
    git = Installed("other", "1", url="git+https://example.com/other@v1")
    assert missing("git+https://example.com/other@v1#egg=other", git) == ""
    assert missing("git+https://example.com/other@v2", git) == "not installed"
    assert find_wanted(parse_wanted("other", base=tmp_path), installed(mine, git)) == git


def test_the_users_of_a_distribution_are_found() -> None:
    found = installed(
        Installed("base", "1"),
        Installed("user", "1", requires=("Base>=1", "junk !!")),
        Installed("maybe", "1", requires=("base; extra == 'x'",)),
    )
    assert [each.name for each in needed_by("base", found)] == ["user"]


def test_what_is_installed_is_read_from_metadata(site: Site) -> None:
    site.plugin("mean", "raise AssertionError('not imported')", version="1.2")
    site.plugin("broken", "")
    info = site.folder / "mcp_plugin_mean-1.2.dist-info"
    vcs = '"vcs_info": {"vcs": "git", "requested_revision": "v1"}'
    (info / "direct_url.json").write_text(f'{{"url": "https://example.com/mean", {vcs}}}')
    (site.folder / "mcp_plugin_broken-1.0.dist-info" / "direct_url.json").write_text("{")
    (site.folder / "nameless-1.0.dist-info").mkdir()
    assert installed_now(GROUP, [str(site.folder)]) == {
        "mcp-plugin-mean": Installed(
            "mcp-plugin-mean", "1.2", "git+https://example.com/mean@v1", requires=("mcp-host",), plugins=("mean",)
        )
    }
    (info / "direct_url.json").write_text('{"url": "file:///somewhere", "dir_info": {"editable": true}}')
    assert installed_now(GROUP, [str(site.folder)])["mcp-plugin-mean"].editable


def test_what_nothing_else_needs_is_found_at_any_depth() -> None:
    requires = {
        "plugin": ("mcp-host>=0.1", "own", "Shared.Lib>=1", 'extra-lib; extra == "x"'),
        "own": ("deep[fast]", "not a requirement"),
        "deep": ("own", "shared-lib"),
        "mcp-host": ("mcp",),
        "other": ("shared-lib",),
        "shared-lib": (),
        "extra-lib": (),
        "mcp": (),
        "alone": (),
    }
    installed = {key: Installed(key, "1.0", requires=texts) for key, texts in requires.items()}
    assert needed_only_by(["plugin"], installed) == ["deep", "extra-lib", "own"]
    assert needed_only_by(["plugin"], installed, wanted=["deep"]) == ["extra-lib"]
    assert needed_only_by(["other"], installed) == []
    assert needed_only_by([], installed) == []
