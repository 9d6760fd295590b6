"""The source files of plugins, and importing them again."""

from __future__ import annotations

import sys

from mcp_host import Plugin
from mcp_host.plugins.sources import forget_modules, restore_modules, source_roots
from mcp_host.testing import make_host
from support.sites import Site


def test_a_plugin_s_code_is_its_package_or_its_one_file(site: Site) -> None:
    site.plugin("whole")
    site.install(
        "mcp-plugin-single",
        {"single_file.py": "from mcp_host import Plugin\nplugin = Plugin()\n"},
        plugins={"single": "single_file:plugin"},
    )
    host = site.host("[plugins.whole]\n[plugins.single]\n")
    assert source_roots(host.plugins) == {
        site.folder / "mcp_plugin_whole": {"whole"},
        site.folder / "single_file.py": {"single"},
    }


def test_an_object_that_was_handed_over_has_no_code_of_its_own() -> None:
    assert source_roots(make_host(Plugin()).plugins) == {}


def test_removed_modules_are_imported_again_or_restored(site: Site) -> None:
    site.plugin("whole")
    host = site.host("[plugins.whole]\n")
    module = sys.modules["mcp_plugin_whole"]
    forgotten = forget_modules(source_roots(host.plugins))
    assert forgotten == {"mcp_plugin_whole": module}
    assert "mcp_plugin_whole" not in sys.modules
    restore_modules(forgotten)
    assert sys.modules["mcp_plugin_whole"] is module
