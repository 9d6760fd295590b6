"""All readers of metadata see the same distributions and read their requirements in the same way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.authoring.plugincheck.targets import find_targets
from mcp_host.plugins.discovery import GROUP, discover, installed_from
from mcp_host.plugins.metadata import range_of_host, requirements
from mcp_host.plugins.requirements import Installed, installed_now, needed_by, parse_wanted, what_is_missing
from support.sites import Site

VERSIONS = [("1.9", "1.10"), ("1.10", "1.9")]
STATED = [
    ["mcp-host>=0.1,<1"],
    ["MCP_Host >= 0.1", "mcp-host<1"],
    ["mcp-host>=9; python_version < '3'", "mcp-host>=0.1"],
    ["mcp-host[x]>=9; extra == 'all'"],
    ["mcp-host"],
    ["junk !!", "mcp-host~=0.1"],
    ["mcp-host>=9; platform_release ~= 'x'"],
    ["pydantic"],
]


def upgraded_halfway(site: Site, first: str, second: str) -> None:
    """Leave two versions in one folder, as an upgrade does that was stopped before it took the old one away."""
    for version in (first, second):
        site.plugin("mean", version=version, requires=[f"mcp-host>=0.{version.rpartition('.')[2]}", f"of-{version}"])


def check_all_see(site: Site, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, host = [str(site.folder)], f">=0.{version.rpartition('.')[2]}"
    expected = ("mcp-plugin-mean", version, host)
    (plugin,) = discover(path)
    of_object = installed_from("mcp_plugin_mean:plugin", name="x", path=path)
    assert of_object is not None
    monkeypatch.setattr(sys, "path", [*path, *sys.path])
    (target,) = find_targets("mean")
    assert target.installed is not None
    for seen in (plugin, of_object, target.installed):
        assert (seen.distribution, seen.version, seen.requires_host) == expected
    found = installed_now(GROUP, path)
    assert found["mcp-plugin-mean"].label == f"mcp-plugin-mean {version}"
    assert needed_by(f"of-{version}".replace(".", "-"), found) == [found["mcp-plugin-mean"]]
    assert what_is_missing(parse_wanted(f"mcp-plugin-mean=={version}", base=Path()), found) == ""


@pytest.mark.parametrize(("first", "second"), VERSIONS)
def test_after_a_broken_upgrade_all_see_the_higher_version(
    site: Site, first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded_halfway(site, first, second)
    check_all_see(site, "1.10", monkeypatch)


@pytest.mark.parametrize("left", ["1.9", "1.10"])
def test_a_distribution_that_pip_renamed_before_removal_is_ignored(
    site: Site, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded_halfway(site, "1.9", "1.10")
    info = site.folder / f"mcp_plugin_mean-{left}.dist-info"
    info.rename(info.with_name(f"~cp_plugin_mean-{left}.dist-info"))
    check_all_see(site, "1.10" if left == "1.9" else "1.9", monkeypatch)


def test_an_invalid_version_hides_no_other_distribution(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("mean", version="1.9", requires=["mcp-host>=0.9", "of-1.9"])
    broken = site.folder / "mcp_plugin_mean-junk.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Name: mcp-plugin-mean\nVersion: junk\n")
    check_all_see(site, "1.9", monkeypatch)


@pytest.mark.parametrize("lines", STATED)
def test_a_project_states_the_same_as_its_distribution(site: Site, tmp_path: Path, lines: list[str]) -> None:
    site.plugin("mean", requires=lines)
    (installed,) = site.discover()
    project = {"name": "mcp-plugin-mean", "dependencies": lines, "entry-points": {GROUP: {"mean": "mean:plugin"}}}
    (tmp_path / "mean.py").touch()
    (tmp_path / "pyproject.toml").write_text(tomli_w.dumps({"project": project}))
    (target,) = find_targets(tmp_path)
    assert target.installed is not None
    assert target.installed.requires_host == installed.requires_host


def test_an_extra_needs_what_its_lines_name_besides_the_rest() -> None:
    found = {"a": Installed("a", "1", requires=("b", "c>=2; extra == 'x'", "junk !!", "d; extra ~= '1'"))}
    assert what_is_missing(parse_wanted("a[x]", base=Path()), found) == "needs c for [x]"
    found["c"] = Installed("c", "2")
    assert what_is_missing(parse_wanted("a[x]", base=Path()), found) == ""


@given(st.lists(st.text()))
def test_no_line_of_metadata_is_an_error(lines: list[str]) -> None:
    list(requirements(lines))
    range_of_host(lines)
