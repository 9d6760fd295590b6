"""The hints for what was written for an older SDK, or is a server and no plugin: each names the form that serves it."""

from __future__ import annotations

import pytest

from support.sites import Site, problem

OWN = (
    "mcp-host remove old, then mcp-host add pypi:mcp-plugin-old   "
    "(a process of its own, for what needs another SDK, such as mcp 1)"
)


@pytest.mark.parametrize(
    "source",
    [
        "from mcp.server.fastmcp import FastMCP\nplugin = FastMCP('old')\n",
        "from mcp.server import FastMCP\n",
        "import mcp\nerror = mcp.McpError\n",
        "from mcp.server import Server\nplugin = Server('old')\n@plugin.list_tools()\nasync def tools(): ...\n",
        # A library between the plugin and the SDK, such as fastmcp before its version 4.
        "import old_library\n",
    ],
)
@pytest.mark.parametrize("requires", [[], ["mcp"], ["mcp>=1"]])
def test_a_distribution_that_needs_an_older_sdk_gets_an_environment_of_its_own(
    site: Site, source: str, requires: list[str]
) -> None:
    site.install("old-library", {"old_library.py": "from mcp.server.fastmcp import FastMCP\n"}, requires=["mcp<2"])
    site.plugin("old", source, requires=requires)
    found = problem(site.load("[plugins.old]")["old"])
    assert found.hint == OWN
    assert found.code == "import-failed"


def test_a_distribution_that_excludes_the_sdk_is_not_imported(site: Site) -> None:
    site.plugin("old", "raise RuntimeError('imported')\n", requires=["mcp<2"])
    found = problem(site.load("[plugins.old]")["old"])
    assert (found.hint, found.code) == (OWN, "incompatible")


def test_the_requirements_of_a_process_of_its_own_are_not_those_of_the_host(site: Site) -> None:
    site.plugin("old", "raise RuntimeError('imported')\n", requires=["mcp==2.99"])
    toml = '[plugins.old]\nisolation = "process"\nrequirements = ["mcp-plugin-old"]\n'
    assert site.load(toml)["old"].problem is None


def test_an_error_of_another_library_is_not_about_the_sdk(site: Site) -> None:
    site.plugin("old", "import json\njson.nothing\n", requires=[])
    assert problem(site.load("[plugins.old]")["old"]).hint == (
        "pip install --upgrade mcp-plugin-old, or [plugins.old] enabled = false"
    )


def test_a_module_with_one_server_is_served(site: Site) -> None:
    site.plugin("weather", "from mcp.server import MCPServer\nmcp = MCPServer('x')\n", attribute="", requires=[])
    assert site.load("[plugins.weather]")["weather"].problem is None


def test_a_server_of_another_generation_gets_an_environment_of_its_own(site: Site) -> None:
    # An object whose class is FastMCP, without the SDK's server in it, as before fastmcp 4.
    source = "class FastMCP: ...\nFastMCP.__module__ = 'fastmcp.server.server'\nplugin = FastMCP()\n"
    site.plugin("old", source, requires=["fastmcp"])
    found = problem(site.load("[plugins.old]")["old"])
    assert "implements no hook" in found.what
    assert found.hint == OWN
