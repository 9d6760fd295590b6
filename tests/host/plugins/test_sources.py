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


PLUGIN = "from mcp_host import Plugin\nplugin = Plugin()\n"


def test_code_of_a_project_that_a_plugin_imports_is_its_code_too(site: Site) -> None:
    """Installed distributions are not watched for it, and a namespace package is no folder of one plugin's own."""
    site.install(
        "acme-tools",
        {
            "acme/tools/__init__.py": "",
            "acme/tools/plug.py": f"import anyio, shared_helper, inner.deep\n{PLUGIN}",
            "shared_helper.py": "",
            "inner/__init__.py": "",
            "inner/deep.py": "",
            "second_plug.py": f"import shared_helper\n{PLUGIN}",
        },
    )
    host = site.host(
        '[plugins.first]\nobject = "acme.tools.plug:plugin"\n[plugins.second]\nobject = "second_plug:plugin"'
    )
    assert [record.problem for record in host.records] == [None, None]
    assert source_roots(host.plugins) == {
        site.folder / "acme/tools": {"first"},
        site.folder / "second_plug.py": {"second"},
        site.folder / "shared_helper.py": {"first", "second"},
        site.folder / "inner": {"first", "second"},
    }


def test_the_code_of_a_file_is_the_file_and_what_it_imports(site: Site) -> None:
    site.install("own-server", {"own_server.py": f"import beside_it\n{PLUGIN}", "beside_it.py": ""})
    host = site.host(f'[plugins.own]\nobject = "{site.folder}/own_server.py"')
    assert set(source_roots(host.plugins)) == {site.folder / "own_server.py", site.folder / "beside_it.py"}
