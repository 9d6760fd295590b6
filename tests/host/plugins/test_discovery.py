"""Plugins are found from metadata alone, and one that does not fit this host is refused before its import."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import importlib_metadata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host import __version__
from mcp_host.errors import HostError
from mcp_host.plugins.discovery import InstalledPlugin, by_name, check_compatible, discover, find, installed_from
from support.sites import Site, build_wheel

NEVER = "raise AssertionError('a plugin is not imported to be found')\n"


def test_an_installed_plugin_is_found_from_its_metadata_alone(site: Site) -> None:
    site.plugin("mean", NEVER, version="1.2", requires=["mcp-host>=0.1,<1", "pydantic"])
    assert site.discover() == (InstalledPlugin("mean", "mcp_plugin_mean:plugin", "mcp-plugin-mean", "1.2", "<1,>=0.1"),)
    assert "mcp_plugin_mean" not in sys.modules


def test_plugins_are_found_in_the_order_of_their_names(site: Site) -> None:
    for name in ("zeta", "alpha", "mid"):
        site.plugin(name, NEVER)
    assert [plugin.name for plugin in site.discover()] == ["alpha", "mid", "zeta"]


def test_what_is_installed_in_the_running_python_is_found_without_a_path(site: Site) -> None:
    site.plugin("here", NEVER)
    assert "here" in {plugin.name for plugin in discover()}


def test_a_plugin_that_pip_installed_from_a_wheel_is_found_and_serves(site: Site, tmp_path: Path) -> None:
    wheel = build_wheel(
        tmp_path, "mcp-plugin-wheel", {"mcp_plugin_wheel.py": "from mcp_host import Plugin\nplugin = Plugin()\n"},
        plugins={"wheel": "mcp_plugin_wheel:plugin"},
    )  # fmt: skip
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*command, "--disable-pip-version-check", "--target", site.folder, wheel], check=True)
    record = site.load("[plugins.wheel]")["wheel"]
    assert (record.distribution, record.stage, record.problem) == ("mcp-plugin-wheel", "collected", None)


def test_an_entry_point_may_name_a_module_an_attribute_or_extras(site: Site) -> None:
    source = "from mcp_host import Plugin\nclass Box:\n    plugin = Plugin()\nplugin = Box.plugin\n"
    values = {
        "deep": "mcp_plugin_odd:Box.plugin",
        "extras": "mcp_plugin_odd:plugin [fast]",
        "spaces": "mcp_plugin_odd : plugin",
    }
    site.install("mcp-plugin-odd", {"mcp_plugin_odd.py": source}, plugins=values)
    hooks = "from mcp_host import hookimpl\n@hookimpl\ndef mcp_tools():\n    return []\n"
    site.install("mcp-plugin-whole", {"mcp_plugin_whole.py": hooks}, plugins={"module": "mcp_plugin_whole [fast, big]"})
    records = site.load("[plugins.deep]\n[plugins.extras]\n[plugins.spaces]\n[plugins.module]")
    assert {name: record.problem for name, record in records.items()} == dict.fromkeys((*values, "module"))


def test_a_distribution_twice_on_the_path_counts_once_as_for_import(site: Site, tmp_path: Path) -> None:
    site.plugin("mean", NEVER, version="1.0")
    later = Site(tmp_path / "later", site.wheels)
    later.folder.mkdir()
    later.plugin("mean", NEVER, version="2.0")
    found = discover([str(site.folder), str(later.folder)])
    assert [plugin.version for plugin in found] == ["1.0"]


def test_of_two_versions_in_one_folder_the_higher_counts(site: Site) -> None:
    for version in ("1.9", "1.10", "1.2"):
        site.plugin("mean", NEVER, version=version)
    assert [plugin.version for plugin in site.discover()] == ["1.10"]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda info: (info / "METADATA").unlink(), id="no METADATA"),
        pytest.param(lambda info: (info / "METADATA").write_text(""), id="empty METADATA"),
        pytest.param(lambda info: (info / "METADATA").write_text("Version: 1.0\n"), id="no name"),
        pytest.param(lambda info: (info / "METADATA").write_text("Name: \nVersion: 1.0\n"), id="empty name"),
        pytest.param(lambda info: (info / "METADATA").write_bytes(b"Name: \xff\xfe\n"), id="METADATA not UTF-8"),
        pytest.param(lambda info: (info / "entry_points.txt").write_bytes(b"\xff\xfe"), id="entry points not UTF-8"),
        pytest.param(lambda info: (info / "entry_points.txt").write_text("[mcp.plugins]\nx\n"), id="no entry point"),
        pytest.param(shutil.rmtree, id="gone"),
    ],
)
def test_a_half_removed_or_mangled_distribution_hides_no_other(site: Site, spoil: object) -> None:
    site.plugin("broken", NEVER)
    site.plugin("fine", NEVER)
    assert callable(spoil)
    spoil(site.folder / "mcp_plugin_broken-1.0.dist-info")
    assert [plugin.name for plugin in site.discover()] == ["fine"]
    assert installed_from("mcp_plugin_fine:plugin", name="x", path=[str(site.folder)]) is not None


def test_an_unreadable_record_hides_no_other(site: Site) -> None:
    site.install("broken", {"broken.py": ""})
    site.install("fine", {"fine.py": ""})
    (site.folder / "broken-1.0.dist-info" / "RECORD").write_bytes(b"\xff\xfe")
    assert installed_from("broken:plugin", name="x", path=[str(site.folder)]) is None
    assert installed_from("fine:plugin", name="x", path=[str(site.folder)]) is not None


def test_a_distribution_without_a_version_is_found(site: Site) -> None:
    site.plugin("mean", NEVER)
    (site.folder / "mcp_plugin_mean-1.0.dist-info" / "METADATA").write_text("Name: mcp-plugin-mean\n")
    assert [plugin.label for plugin in site.discover()] == ["mcp-plugin-mean 0"]


def test_names_with_dots_and_dashes_are_names(site: Site) -> None:
    site.plugin("my.own-plugin")
    record = site.load('[plugins."my.own-plugin"]')["my.own-plugin"]
    assert record.problem is None


# --- Finding one


def test_a_plugin_that_is_not_installed_gets_a_suggestion_and_the_line_that_installs_it(site: Site) -> None:
    site.plugin("weather", NEVER)
    with pytest.raises(HostError) as caught:
        find("wether", site.discover())
    assert str(caught.value) == (
        "plugin 'wether' is not installed (did you mean 'weather'?)\n"
        "  where: plugins.wether\n"
        "  hint:  correct the name, or mcp-host add wether"
    )


def test_without_a_suggestion_the_installed_plugins_are_named(site: Site) -> None:
    with pytest.raises(HostError, match="'zzz' is not installed; no plugins are installed"):
        find("zzz", ())
    site.plugin("mean", NEVER)
    site.plugin("weather", NEVER)
    with pytest.raises(HostError, match="'zzz' is not installed; installed plugins: mean, weather"):
        find("zzz", site.discover())


def test_two_distributions_claiming_one_name_are_both_named(site: Site) -> None:
    site.plugin("mean", NEVER, version="1.0")
    site.install("other-means", {"other_means.py": NEVER}, version="3.1", plugins={"mean": "other_means:plugin"})
    with pytest.raises(HostError) as caught:
        find("mean", site.discover())
    assert caught.value.what == (
        "2 distributions claim the plugin name 'mean': mcp-plugin-mean 1.0 and other-means 3.1"
    )
    assert caught.value.hint == "pip uninstall other-means   (or another of them)"
    assert {name: len(claims) for name, claims in by_name(site.discover()).items()} == {"mean": 2}


def test_one_distribution_claiming_a_name_twice_is_refused_unless_both_claims_are_equal(site: Site) -> None:
    site.plugin("mean", NEVER)
    entry_points = site.folder / "mcp_plugin_mean-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[mcp.plugins]\nmean = mcp_plugin_mean:a\nmean = mcp_plugin_mean:a\n")
    assert find("mean", site.discover()).value == "mcp_plugin_mean:a"
    entry_points.write_text("[mcp.plugins]\nmean = mcp_plugin_mean:a\nmean = mcp_plugin_mean:b\n")
    with pytest.raises(
        HostError, match=r"mcp-plugin-mean 1.0 claims .* for mcp_plugin_mean:a and for mcp_plugin_mean:b"
    ):
        find("mean", site.discover())


# --- Fitting this host


def fits(requires: list[str], site: Site, host_version: str = __version__) -> bool:
    site.plugin("mean", NEVER, requires=requires)
    try:
        check_compatible(find("mean", site.discover()), host_version)
    except HostError:
        return False
    return True


def test_a_range_that_excludes_this_host_is_refused_with_both_versions(site: Site) -> None:
    site.plugin("mean", NEVER, requires=["mcp-host>=99"])
    with pytest.raises(HostError) as caught:
        check_compatible(find("mean", site.discover()))
    assert str(caught.value) == (
        f"mcp-plugin-mean 1.0 needs mcp-host>=99, this is mcp-host {__version__}\n"
        "  where: plugins.mean\n"
        "  hint:  pip install --upgrade mcp-plugin-mean"
    )


def test_a_range_that_excludes_the_sdk_is_refused_with_the_form_that_serves_it(site: Site) -> None:
    site.plugin("old", NEVER, requires=["mcp>=1.2,<2"])
    with pytest.raises(HostError) as caught:
        check_compatible(find("old", site.discover()))
    assert str(caught.value) == (
        f"mcp-plugin-old 1.0 needs mcp<2,>=1.2, and mcp-host has mcp {importlib_metadata.version('mcp')}\n"
        "  where: plugins.old\n"
        "  hint:  mcp-host remove old, then mcp-host add pypi:mcp-plugin-old   "
        "(a process of its own, for what needs another SDK, such as mcp 1)"
    )
    assert fits(["mcp>=2,<3"], site)


@pytest.mark.parametrize(
    ("requires", "host_version", "expected"),
    [
        (["mcp-host>=0.1,<1"], "0.1.0", True),
        (["mcp-host>=0.1,<1"], "1.0.0", False),
        (["mcp-host>=0.1,<1"], "1.0.0rc1", False),
        (["mcp-host>=0.2"], "0.2.0rc1", False),
        (["mcp-host>=0.2"], "0.3.0.dev4", True),
        (["mcp-host>=0.2.0rc1"], "0.2.0rc1", True),
        (["mcp-host>=0.1", "mcp-host<0.2"], "0.3", False),
        (["mcp-host"], "7.0", True),
        (["MCP_Host[http]<1"], "1.0", False),
        (["mcp-host @ https://example.com/mcp_host.whl"], "1.0", True),
        ([], "1.0", True),
        (["pydantic"], "1.0", True),
        (['mcp-host>=99; extra == "new"'], "1.0", True),
        (['mcp-host>=99; python_version >= "3"'], "1.0", False),
        (['mcp-host>=99; python_version < "3"'], "1.0", True),
        (['mcp-host>=99; os_name ~= "posix"'], "1.0", True),
        (["mcp-host>=99 what", "mcp-host<1"], "1.0", False),
    ],
)
def test_ranges_markers_and_prereleases_count_as_for_pip(
    site: Site, requires: list[str], host_version: str, expected: bool
) -> None:
    assert fits(requires, site, host_version) is expected


@given(
    st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "~="]), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)
)
def test_a_stated_range_decides_as_the_packaging_library_does(operator: str, major: int, minor: int, mine: int) -> None:
    from packaging.specifiers import SpecifierSet

    stated = f"{operator}{major}.{minor}"
    plugin = InstalledPlugin("mean", "m:plugin", "mcp-plugin-mean", "1.0", stated)
    try:
        check_compatible(plugin, f"1.{mine}")
    except HostError:
        assert f"1.{mine}" not in SpecifierSet(stated)
    else:
        assert f"1.{mine}" in SpecifierSet(stated)


# --- What an object was installed from


def test_an_object_belongs_to_the_distribution_that_lists_its_module(site: Site) -> None:
    site.install("weather-server", {"weather/__init__.py": "", "weather/server.py": ""}, version="2.0", requires=[])
    site.install("one-file", {"one_file.py": ""})
    path = [str(site.folder)]
    found = installed_from("weather.server:mcp", name="w", path=path)
    assert found == InstalledPlugin("w", "weather.server:mcp", "weather-server", "2.0", None)
    for value, distribution in (("weather:mcp", "weather-server"), ("one_file:mcp", "one-file")):
        found = installed_from(value, name="w", path=path)
        assert found is not None
        assert found.distribution == distribution
    assert installed_from("nowhere:mcp", name="w", path=path) is None
    assert installed_from("weather.nowhere:mcp", name="w", path=path) is None


def test_distributions_that_share_a_namespace_are_told_apart(site: Site) -> None:
    site.install("acme-a", {"acme/a.py": ""})
    site.install("acme-b", {"acme/b/__init__.py": ""})
    for value, distribution in (("acme.a:mcp", "acme-a"), ("acme.b:mcp", "acme-b")):
        found = installed_from(value, name="w", path=[str(site.folder)])
        assert found is not None
        assert found.distribution == distribution


def test_an_editable_installation_and_one_without_a_record_are_known_too(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "checkout"
    (source / "edited").mkdir(parents=True)
    (source / "edited" / "__init__.py").touch()
    (source / "edited" / "deep.py").touch()
    site.install("edited", {"_edited.pth": f"\n{source}\n"})
    site.install("packaged", {"packaged.py": ""})
    (site.folder / "packaged-1.0.dist-info" / "RECORD").unlink()
    for value, distribution in (("edited:x", "edited"), ("edited.deep:x", "edited"), ("packaged:x", "packaged")):
        found = installed_from(value, name="w", path=[str(site.folder)])
        assert found is not None
        assert found.distribution == distribution
    assert installed_from("edited.shallow:x", name="w", path=[str(site.folder)]) is None
