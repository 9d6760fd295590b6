"""The contract: a plugin for each rule that breaks only it, one that keeps all rules, and what cannot be checked."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.mcpserver import MCPServer

from mcp_host import Plugin
from mcp_host.__main__ import main
from mcp_host.authoring.check_plugin import check_contract, report_lines, run_contract, settings_of
from mcp_host.authoring.plugincheck import (
    RULES,
    ContractBrokenError,
    ContractReport,
    Rule,
    contract,
    imports,
    rules,
)
from mcp_host.authoring.plugincheck.definitions import invisible, judge_stability
from mcp_host.authoring.plugincheck.observations import Listing
from mcp_host.authoring.plugincheck.report import Verdicts
from mcp_host.authoring.plugincheck.suite import IN_MEMORY
from mcp_host.authoring.plugincheck.targets import find_targets
from mcp_host.config import parse_config
from mcp_host.errors import HostError
from support.sites import Site

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]

CLEAN = '''
import asyncio
import threading
from contextlib import asynccontextmanager
from typing import Annotated

from mcp_host import Plugin
from pydantic import BaseModel, Field


class Settings(BaseModel, extra="forbid"):
    digits: int = Field(3, description="Decimals kept.")


@asynccontextmanager
async def lifespan(context):
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    task = asyncio.create_task(asyncio.Event().wait())
    with open(__file__, "rb") as file:
        yield file
    task.cancel()
    done.set()
    thread.join()


plugin = Plugin(settings=Settings, lifespan=lifespan)
Number = Annotated[float, Field(description="A number.")]


@plugin.tool(read_only=True)
def add(a: Number, b: Number) -> float:
    """Add two numbers."""
    return a + b


@plugin.resource("numbers://all")
def numbers() -> str:
    """All numbers."""
    return "1, 2"


@plugin.resource("numbers://{name}")
def number(name: str) -> str:
    """One number."""
    return name


@plugin.prompt
def review(text: Annotated[str, Field(description="A text.")]) -> str:
    """Review a text."""
    return text
'''
"""A plugin with one of everything, which keeps every rule."""


def project(
    folder: Path, source: str, *, dependencies: tuple[str, ...] = ("mcp-host>=0.1,<1",), package: str = "mcp_plugin_it"
) -> Path:
    """Write the project of the plugin `it`, which is not installed."""
    module = folder / "src" / package / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text(source, encoding="utf-8")
    listed = ", ".join(f'"{dependency}"' for dependency in dependencies)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "mcp-plugin-it"\nversion = "1.0"\ndependencies = [{listed}]\n'
        f'[project.entry-points."mcp.plugins"]\nit = "{package}:plugin"\n',
        encoding="utf-8",
    )
    return folder


def in_memory(source: str) -> object:
    """The plugin object of a source that is no module."""
    module = ModuleType("nowhere")
    module.__file__ = __file__
    exec(compile(source, "nowhere.py", "exec", dont_inherit=True), vars(module))
    return module.plugin


@dataclass(frozen=True)
class Breaking:
    """What is added to the clean plugin to break one rule, and what the finding says."""

    rule: Rule
    added: str
    says: str
    options: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ("mcp-host>=0.1,<1",)


TOOL = """
@plugin.tool({arguments})
def other(a: Number) -> float:
    {doc}
    return a
"""


def tool(arguments: str, doc: str = '"""Another."""') -> str:
    return TOOL.format(arguments=arguments, doc=doc)


LIFESPAN = """
@asynccontextmanager
async def broken(context):
    {body}

kept = []
plugin.lifespan = broken
"""


def life(body: str) -> str:
    return LIFESPAN.format(body=body)


BREAKING = [
    Breaking(rules.HOST_RANGE, "", "does not state which mcp-host it needs", dependencies=("pydantic",)),
    Breaking(rules.IMPORT_SILENT, "print('hello')", "prints 'hello' to stdout"),
    Breaking(rules.IMPORT_OPENS, "open(__file__ + '.log', 'w').close()", "__init__.py.log' for writing"),
    Breaking(
        rules.IMPORT_STARTS,
        "thread = threading.Thread(target=str)\nthread.start()\nthread.join()",
        "importing it starts a thread",
    ),
    Breaking(
        rules.IMPORT_CHANGES,
        "import os\nos.environ['IT_WAS_HERE'] = 'secret'",
        "sets the environment variable IT_WAS_HERE",
    ),
    Breaking(rules.IMPORT_TIME, "", "more than 0 ms", {"import_budget": 0.0}),
    Breaking(
        rules.SETTINGS_CLEAR,
        "class Needing(BaseModel):\n    token: str\nplugin.settings = Needing",
        "it needs 'token' but does not describe it",
        {"settings": {"token": "x"}},
    ),
    Breaking(rules.LOADS, "plugin.completion('nothing', 'x')(str)", "the plugin has no such prompt or template"),
    Breaking(rules.NAME_LENGTH, tool(f"'{'n' * 50}', read_only=True"), "its name has 50 characters"),
    Breaking(rules.NAME_CHARACTERS, tool("'add.more', read_only=True"), "its name contains '.'"),
    Breaking(rules.DESCRIPTION_PRESENT, tool("read_only=True", "pass"), "it has no description"),
    Breaking(
        rules.DESCRIPTION_LENGTH,
        tool("description='long ' * 300, read_only=True"),
        "its description has 1500 characters",
    ),
    Breaking(
        rules.PARAMETERS_DESCRIBED,
        tool("read_only=True").replace("a: Number", "a: float"),
        "parameter 'a' has no description",
    ),
    Breaking(
        rules.TEXT_VISIBLE,
        tool(r"description='Add\u200b two \u202enumbers.', read_only=True"),
        "U+200B ZERO WIDTH SPACE, U+202E RIGHT-TO-LEFT OVERRIDE",
    ),
    Breaking(
        rules.SCHEMAS_DIALECT,
        tool("input_schema={'type': 'object', '$schema': 'http://json-schema.org/draft-07/schema#'}, read_only=True"),
        "its input schema is 'http://json-schema.org/draft-07/schema#', not JSON Schema 2020-12",
    ),
    Breaking(rules.HINT_READ_ONLY, tool(""), "it does not declare whether it only reads"),
    Breaking(rules.HINT_DESTRUCTIVE, tool("read_only=False"), "does not declare whether it is destructive"),
    Breaking(
        rules.DEFINITIONS_STABLE,
        tool("description=' '.join(set('abcdefghijklmnopqrstuvwxyz')), read_only=True"),
        "two processes get a different description",
    ),
    Breaking(
        rules.LIFESPAN,
        life("if kept: raise RuntimeError('only once')\n    kept.append(1)\n    yield"),
        "second time: its lifespan failed to start: RuntimeError: only once",
    ),
    Breaking(
        rules.LEAKS_TASKS,
        life("kept.append(asyncio.create_task(asyncio.Event().wait(), name='watcher'))\n    yield"),
        "task watcher (Event.wait) still runs",
    ),
    Breaking(
        rules.LEAKS_THREADS,
        life("threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n    yield"),
        "thread poller still runs",
    ),
    Breaking(
        rules.LEAKS_DESCRIPTORS,
        life("kept.append(__import__('os').open(__file__, 0))\n    yield"),
        "test_plugincheck.py is still open when it has stopped",
    ),
]
NEEDS_NO_PROCESS = {rules.SETTINGS_CLEAR, rules.LOADS, *rules.OF_THE_DEFINITIONS, *rules.OF_THE_LIFE}


@pytest.mark.parametrize("breaking", BREAKING, ids=lambda breaking: breaking.rule.id)
def test_a_plugin_that_breaks_one_rule_breaks_exactly_that(breaking: Breaking, tmp_path: Path) -> None:
    source = CLEAN + breaking.added
    plugin: object
    if breaking.rule in NEEDS_NO_PROCESS:
        plugin = in_memory(source)
    else:
        plugin = project(tmp_path, source, dependencies=breaking.dependencies)
    report = contract(plugin, **breaking.options)
    assert {finding.rule.id for finding in report.findings} == {breaking.rule.id}, report
    assert breaking.says in str(report)
    assert all(finding.severity is breaking.rule.severity for finding in report.findings)
    if breaking.rule is not rules.LOADS:  # whose finding is the host's own
        assert all(finding.problem.where and finding.problem.hint for finding in report.findings)
    assert report.result(breaking.rule).answer == breaking.rule.severity


def test_every_rule_has_a_plugin_that_breaks_it() -> None:
    assert [breaking.rule for breaking in BREAKING] == list(RULES)
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_a_plugin_that_keeps_every_rule_has_all_of_them_checked(tmp_path: Path) -> None:
    report = contract(project(tmp_path, CLEAN))
    report.raise_for_problems(warnings=True)
    assert [result.answer for result in report.results] == ["ok"] * len(RULES), report
    assert report.not_checked == ()
    assert (report.plugin, report.source) == ("it", "mcp-plugin-it 1.0")


@pytest.mark.parametrize("file", sorted(ROOT.glob("plugins/*/pyproject.toml")), ids=lambda file: file.parent.name)
def test_the_first_party_plugins_keep_the_contract(file: Path) -> None:
    (report,) = run_contract(file.parent)
    report.raise_for_problems()
    # A machine that does other work may need longer for an import than half a second.
    assert {result.rule for result in report.results if result.answer == "warning"} <= {rules.IMPORT_TIME}, report
    assert report.result(rules.LIFESPAN).answer == "ok"
    assert report.result(rules.IMPORT_SILENT).answer == "ok"


def test_a_plugin_is_the_same_by_its_name_its_folder_and_itself() -> None:
    import mcp_plugin_stats

    for plugin in ("stats", ROOT / "plugins/mcp-plugin-stats", mcp_plugin_stats.plugin):
        (target,) = find_targets(plugin)
        assert target.installed is not None
        assert (target.name, target.by_entry_point) == ("stats", True)
        assert target.installed.value == "mcp_plugin_stats:plugin"
        assert target.installed.distribution == "mcp-plugin-stats"
        assert target.installed.requires_host


# Imports


def test_all_effects_of_an_import_are_found_in_one_run_under_their_rules(tmp_path: Path) -> None:
    source = """
        import logging, os, signal, socket, sqlite3, subprocess, sys, tempfile
        import noisy_dependency

        print("to stderr", file=sys.stderr)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        logging.getLogger().addHandler(logging.StreamHandler())
        logging.getLogger().setLevel("DEBUG")
        os.chdir("/")
        os.environ.pop("HOME")
        os.environ["PATH"] = os.environ["PATH"]
        descriptor, name = tempfile.mkstemp()
        os.close(descriptor)
        os.truncate(name, 0)
        os.rename(name, name + ".old")
        os.remove(name + ".old")
        logs = sqlite3.connect(__file__ + ".sqlite")
        worker = threading.Thread(target=lambda: open(__file__ + ".thread", "w").close())
        worker.start()
        worker.join()
        os.system("true")
        database = sqlite3.connect(":memory:")
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        subprocess.run([sys.executable, "-c", "pass"])
        noisy_dependency.connect()
    """
    folder = project(tmp_path, CLEAN + dedent(source))
    (folder / "src/noisy_dependency.py").write_text(
        "import os\nopen(__file__ + '.cache', 'w').close()\nos.environ['NOISY'] = '1'\n"
        "def connect(): open(__file__ + '.lock', 'w').close()\n"
    )
    report = contract(folder)
    said = {
        rule.id: "\n".join(str(finding) for finding in report.result(rule).findings) for rule in rules.OF_THE_IMPORT
    }
    assert "prints 'to stderr' to stderr" in said["import-silent"]
    for changed in (
        "changes the handler of SIGUSR1",
        "changes the handlers of the root logger",
        "changes the level of the root logger",
        "changes the working directory",
        "removes the environment variable HOME",
    ):
        assert f"importing it {changed}" in said["import-changes"]
    assert "PATH" not in said["import-changes"]
    assert "importing it binds ('127.0.0.1', 0)" in said["import-opens"]
    assert "importing it leaves socket:" in said["import-opens"]
    for opened in ("opens the database", "truncates", "renames", "removes"):
        assert f"importing it {opened}" in said["import-opens"]
    assert ".thread' for writing" in said["import-opens"]
    assert ":memory:" not in said["import-opens"]
    assert "importing it runs the command 'true'" in said["import-starts"]
    assert "importing it starts the process" in said["import-starts"]
    # Its own import is a dependency's doing and the plugin is only warned; what the plugin calls is the plugin's.
    assert "warning [import-opens]: noisy_dependency, which is imported with it, opens" in said["import-opens"]
    assert "warning [import-changes]: noisy_dependency, which is imported with it, sets" in said["import-changes"]
    assert "noisy_dependency.py.lock' for writing\n  where: mcp_plugin_it, line" in said["import-opens"]


def test_a_plugin_that_cannot_be_imported_is_reported_and_no_other_rule_counts_as_kept(tmp_path: Path) -> None:
    report = contract(project(tmp_path, "import not_there_at_all"))
    (problem,) = report.problems
    assert problem.rule is rules.LOADS
    assert "No module named 'not_there_at_all'" in problem.problem.what
    assert problem.problem.hint == "install the distribution that contains the module not_there_at_all"
    assert len(report.not_checked) == len(RULES) - 2
    assert report.result(rules.HOST_RANGE).answer == "ok"


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        ("import os; os._exit(7)", {}, "its process ended with exit code 7 while importing it"),
        (CLEAN + life("__import__('os')._exit(7)\n    yield"), {}, "exit code 7 while starting and stopping it"),
        (CLEAN, {"timeout": 0.0}, "its process did not end and was killed while importing it"),
    ],
)
def test_a_process_that_does_not_end_is_an_error(
    source: str, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    report = contract(project(tmp_path, source), **options)
    assert says in "\n".join(map(str, report.problems))
    assert report.not_checked


# Settings


def needing(*, digits: str = "3", kind: str = "str") -> str:
    return f"""{CLEAN}
from pydantic import SecretStr
class Needing(BaseModel, extra="forbid"):
    token: {kind} = Field(description="The token of the service.")
    digits: int = {digits}
plugin.settings = Needing
"""


def test_missing_settings_are_reported_and_no_later_rule_passes_without_them() -> None:
    plugin = in_memory(needing())
    report = contract(plugin, name="needing")
    (problem,) = report.problems
    assert problem.problem.what == "it needs settings that are not given: token"
    assert 'contract(..., settings={"token": ...})' in problem.problem.hint
    later = {*rules.OF_THE_DEFINITIONS, *rules.OF_THE_LIFE, rules.LOADS, rules.DEFINITIONS_STABLE}
    assert later <= {result.rule for result in report.not_checked}

    given = contract(plugin, settings={"token": "x"})
    assert given.findings == ()
    assert given.result(rules.LOADS).answer == "ok"


def test_defaults_that_are_no_valid_settings_are_found() -> None:
    source = needing(digits="Field(3, lt=0, validate_default=True)")
    report = contract(in_memory(source), settings={"token": "x", "digits": -1})
    (problem,) = report.problems
    assert problem.rule is rules.SETTINGS_CLEAR
    assert "its defaults are not valid settings: digits: Input should be less than 0" in problem.problem.what


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            "class Odd(BaseModel):\n    def __init__(self, **_): raise KeyError('x')\n"
            "    @classmethod\n    def model_validate(cls, *_, **__): raise KeyError('x')",
            "the model raised KeyError",
        ),
        ("Odd = 3", "mcp_settings returned an int, not a pydantic model class"),
    ],
)
def test_an_invalid_settings_model_is_found(settings: str, says: str) -> None:
    report = contract(in_memory(f"{CLEAN}\n{settings}\nplugin.settings = Odd"))
    assert says in str(report)
    assert report.result(rules.LOADS).answer == "error"


def test_settings_that_are_wrong_are_the_host_s_own_error() -> None:
    report = contract(in_memory(CLEAN), settings={"digit": 3})
    (problem,) = report.problems
    assert problem.rule is rules.LOADS
    assert "did you mean 'digits'" in problem.problem.what


def test_settings_that_cannot_be_written_as_toml_are_refused() -> None:
    with pytest.raises(HostError, match="cannot be written as TOML"):
        contract(in_memory(CLEAN), settings={"digits": object()})


# Lives


def test_errors_while_stopping_are_found_both_times() -> None:
    report = contract(in_memory(CLEAN + life("yield\n    raise RuntimeError('stuck')")))
    said = [finding.problem.what for finding in report.problems]
    assert [finding.rule for finding in report.problems] == [rules.LIFESPAN, rules.LIFESPAN]
    assert said[0] == "first time: the lifespan of plugin plugin failed to stop: RuntimeError: stuck"
    assert said[1].startswith("second time: ")


def test_secrets_in_what_a_plugin_raises_are_not_repeated() -> None:
    source = needing(kind="SecretStr")
    body = "yield\n    raise RuntimeError(context.settings.token.get_secret_value())"
    report = contract(in_memory(source + life(body)), settings={"token": "hunter2-hunter2"})
    assert report.result(rules.LIFESPAN).answer == "error"
    assert "hunter2" not in str(report)


def test_what_this_system_does_not_list_is_not_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(imports, "_FOLDER", tmp_path / "proc")
    report = contract(in_memory(CLEAN))
    assert report.result(rules.LEAKS_DESCRIPTORS).not_checked == "this system does not list open descriptors"
    assert report.result(rules.LEAKS_TASKS).answer == "ok"


# Definitions


def test_a_tool_with_contradicting_hints_is_found() -> None:
    (finding,) = contract(in_memory(CLEAN + tool("read_only=True, destructive=True"))).findings
    assert finding.rule is rules.HINT_DESTRUCTIVE
    assert finding.problem.what == "it declares that it only reads and that it is destructive"


def test_the_arguments_of_prompts_need_descriptions_and_a_type_s_description_counts() -> None:
    source = '''
class Point(BaseModel):
    """A point on the plane."""
    x: float

@plugin.tool(read_only=True)
def draw(point: Point) -> str:
    """Draw a point."""
    return ""

@plugin.prompt
def ask(what: str) -> str:
    """Ask something."""
    return what
'''
    (finding,) = contract(in_memory(CLEAN + source)).findings
    assert finding.problem.what == "argument 'what' has no description"
    assert finding.problem.where == "prompt 'ask' of plugin plugin"


def test_a_plugin_that_loads_by_chance_is_not_stable(tmp_path: Path) -> None:
    source = "import os\nif os.environ['PYTHONHASHSEED'] == '2': raise RuntimeError('bad luck')\n"
    (finding,) = contract(project(tmp_path, CLEAN + source)).findings
    assert finding.rule is rules.DEFINITIONS_STABLE
    assert "one process can load it and another cannot" in finding.problem.what
    assert "RuntimeError: bad luck" in finding.problem.what


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (["b", "a"], "two processes get different tools: their order differs"),
        (["a"], "two processes get different tools: only one has 'b'"),
    ],
)
def test_which_definitions_there_are_and_their_order_are_compared(other: list[str], says: str) -> None:
    def listing(names: list[str]) -> Listing:
        return {"tools": [{"name": name} for name in names], "resources": [], "templates": [], "prompts": []}

    verdicts = Verdicts()
    judge_stability(listing(["a", "b"]), listing(other), "it", verdicts)
    found = {result.rule: result.findings for result in verdicts.results()}[rules.DEFINITIONS_STABLE]
    assert [finding.problem.what for finding in found] == [says]


def test_a_rule_that_was_never_checked_is_not_kept() -> None:
    assert {result.answer for result in Verdicts().results()} == {"not checked"}


# Which plugin


async def test_an_object_is_looked_at_where_it_is_even_on_a_running_loop() -> None:
    plugin = Plugin()
    plugin.tool(name="nothing", description="Do nothing.", read_only=True)(lambda: None)
    report = contract(plugin, name="mine")
    assert report.problems == ()
    assert (report.plugin, report.source) == ("mine", "an object in memory")
    unchecked = {result.rule for result in report.not_checked}
    assert {*rules.OF_THE_IMPORT, rules.DEFINITIONS_STABLE, rules.HOST_RANGE} == unchecked
    assert "a fresh interpreter cannot import this object" in str(report)


def test_rules_about_items_that_a_plugin_does_not_have_are_not_checked() -> None:
    plugin = Plugin()
    plugin.prompt(name="empty")(lambda: "x")
    report = contract(plugin)
    assert report.result(rules.SCHEMAS_DIALECT).not_checked == "it contributes no tools"
    assert report.result(rules.SCHEMAS_DIALECT).answer == "not checked"
    empty = contract(Plugin())
    assert empty.result(rules.TEXT_VISIBLE).not_checked == (
        "it contributes no tools and no resources and no templates and no prompts"
    )


def test_parts_of_an_adopted_server_that_are_not_served_are_a_warning() -> None:
    server: MCPServer[Any] = MCPServer("s")
    server.middleware.append(server.middleware[0])
    report = contract(server)
    assert [str(finding) for finding in report.warnings] == [
        "warning [loads]: the middleware of the adopted server are not taken over"
    ]


def test_an_object_in_a_module_is_imported_in_a_fresh_interpreter(site: Site) -> None:
    site.install(
        "weather-server",
        {
            "weather_server.py": """
                from mcp.server.mcpserver import MCPServer
                from mcp.types import ToolAnnotations

                mcp = MCPServer("weather")

                @mcp.tool(annotations=ToolAnnotations(read_only_hint=True))
                def now() -> str:
                    "Tell the weather."
                    return "sunny"
            """,
            "weather_hooks.py": """
                from mcp_host import hookimpl

                @hookimpl
                def mcp_tools():
                    return []
            """,
        },
    )
    import weather_hooks  # type: ignore[import-not-found]
    import weather_server  # type: ignore[import-not-found]

    for plugin, value in (
        (weather_server.mcp, "weather_server:mcp"),
        ("weather_server:mcp", "weather_server:mcp"),
        (weather_hooks, "weather_hooks"),
    ):
        (target,) = find_targets(plugin, name="weather")
        assert (target.name, target.source) == ("weather", "weather-server 1.0")
        assert target.installed is not None
        assert target.installed.value == value
    report = contract(weather_server.mcp, import_budget=30)
    # The SDK sets up the root logger if nothing else has. That does not count against the plugin.
    assert report.findings == ()
    assert {result.rule for result in report.not_checked} == {rules.HOST_RANGE}


def test_a_folder_wins_only_when_no_plugin_has_its_name(site: Site, tmp_path: Path, monkeypatch: Any) -> None:
    site.plugin("it")
    folder = tmp_path / "work"
    folder.mkdir()
    project(folder / "it", CLEAN)
    monkeypatch.chdir(folder)
    (installed,) = find_targets("it")
    (inside,) = find_targets("./it")
    assert (installed.folders, inside.folders) == ((), (str((folder / "it/src").resolve()),))


@pytest.mark.parametrize(
    ("pyproject", "says"),
    [
        (None, "it cannot be read"),
        ("[project", "invalid TOML"),
        ("[project]\ndependencies = 3\n", "project.dependencies is not valid"),
        ('[project]\nname = "x"\n', "it names no plugin"),
        ('[project.entry-points."mcp.plugins"]\na = "pkg:plugin"\nb = "pkg:other"\n', "several plugins: a, b"),
        ('[project.entry-points."mcp.plugins"]\na = "nowhere:plugin"\n', "there is no module nowhere in it"),
    ],
)
def test_a_folder_that_is_no_plugin_s_project_is_refused_with_the_hint(
    pyproject: str | None, says: str, tmp_path: Path
) -> None:
    (tmp_path / "pkg.py").touch()
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    with pytest.raises(HostError) as caught:
        contract(tmp_path)
    assert says in caught.value.what
    assert str(tmp_path) in caught.value.where


def test_one_of_several_plugins_is_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "pkg.py").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["rich", "not a requirement", "MCP_Host[x] ~= 0.1"]\n'
        '[project.entry-points."mcp.plugins"]\na = "pkg:plugin"\nb = "pkg:other"\n'
    )
    (target,) = find_targets(tmp_path, name="b")
    assert target.installed is not None
    assert (target.name, target.installed.value, target.installed.requires_host) == ("b", "pkg:other", "~=0.1")
    assert target.installed.distribution == tmp_path.name
    with pytest.raises(HostError, match="no plugin 'c'"):
        find_targets(tmp_path, name="c")


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(HostError, match=r"no installed plugin 'stast' \(did you mean 'stats'\?\)"):
        contract("stast")


# The report


def broken_report() -> ContractReport:
    return contract(in_memory(CLEAN + tool("read_only=True", "pass") + tool("'other_too'")))


def test_a_report_raises_with_every_finding_its_place_and_its_hint() -> None:
    report = broken_report()
    with pytest.raises(ContractBrokenError) as caught:
        report.raise_for_problems()
    assert str(caught.value).splitlines() == [
        "plugin plugin (an object in memory) breaks the contract",
        "error [description-present]: it has no description",
        "  where: tool 'other' of plugin plugin",
        "  hint:  write a docstring, or description=...",
    ]
    with pytest.raises(ContractBrokenError, match="hint-read-only"):
        report.raise_for_problems(warnings=True)


def test_a_report_is_json() -> None:
    data = json.loads(json.dumps(broken_report().to_json()))
    assert {key: data[key] for key in ("plugin", "ok", "import_ms")} == {
        "plugin": "plugin",
        "ok": False,
        "import_ms": None,
    }
    by_id = {rule["id"]: rule for rule in data["rules"]}
    assert list(by_id) == [rule.id for rule in RULES]
    assert by_id["description-present"]["answer"] == "error"
    assert by_id["description-present"]["findings"][0]["where"] == "tool 'other' of plugin plugin"
    assert by_id["import-time"]["answer"] == "not checked"


def test_the_command_checks_a_project_with_the_settings_of_the_configuration(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, needing() + tool(""))
    assert check_contract(str(folder), parse_config("", environ={})) == 2
    shown = capfd.readouterr().out
    assert shown.startswith("plugin it (mcp-plugin-it 1.0), imported in ")
    assert "error settings-clear: it needs settings that are not given: token" in shown
    assert shown.endswith("The contract is broken.\n")

    config = parse_config('[plugins.it]\nenabled = false\nsettings.token = "x"\n', environ={})
    assert check_contract(str(folder), config, as_json=True) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["ok"] is True
    assert [(plugin["plugin"], plugin["ok"]) for plugin in data["plugins"]] == [("it", True)]


def test_the_command_takes_settings_and_uses_the_project_s_own_configuration(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path, needing() + tool(""))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["check", "--plugin", str(folder)]) == 2
    assert "mcp-host check --plugin ... --set token=..., or [plugins.it.settings]" in capfd.readouterr().out
    assert main(["check", "--plugin", str(folder), "--set", "token=x"]) == 0
    (folder / "mcp-host.toml").write_text('[plugins.it.settings]\ntoken = "x"\n', encoding="utf-8")
    assert main(["check", "--plugin", str(folder)]) == 0
    assert main(["check", "--plugin", str(folder), "--set", "tokn=x"]) == 2
    capfd.readouterr()
    assert main(["check", "--plugin", str(folder), "--set", "token"]) == 2
    assert "where: command line: --set\n  hint:  --set key=value" in capfd.readouterr().err
    assert main(["check", "--set", "token=x"]) == 2
    assert "--set is for --plugin" in capfd.readouterr().err


def test_settings_on_the_command_line_are_tables_and_json_if_asked() -> None:
    given = ["a=1", "b:=[1, 2]", "database.url=x", "database.pool.size:=3", "empty="]
    assert settings_of(given) == {
        "a": "1",
        "b": [1, 2],
        "database": {"url": "x", "pool": {"size": 3}},
        "empty": "",
    }
    with pytest.raises(HostError, match="is not a table"):
        settings_of(["a=x", "a.b=y"])


def test_the_command_shows_what_could_not_be_checked() -> None:
    lines = "\n".join(report_lines(broken_report(), io.StringIO()))
    assert lines.startswith("plugin plugin (an object in memory)\n\nrule")
    assert ["import-silent", "not checked", IN_MEMORY] in [re.split(r"\s{2,}", line) for line in lines.splitlines()]
    assert "error description-present: it has no description\n  where: tool 'other' of plugin plugin" in lines


# Texts and schemas


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain\n\ttext, 日本語, café, 👍🏽", []),
        ("👩\u200d👩\u200d👧 क\u094d\u200dष ❤\ufe0f", []),
        ("a\u200db", ["U+200D ZERO WIDTH JOINER"]),
        ("\x1b[31mred", ["U+001B control character"]),
        ("soft\u00adhyphen \ufeff", ["U+00AD SOFT HYPHEN", "U+FEFF ZERO WIDTH NO-BREAK SPACE"]),
        ("tags \U000e0041", ["U+E0041 TAG LATIN CAPITAL LETTER A"]),
        ("😀\U000e0101", ["U+E0101 VARIATION SELECTOR-18"]),
        ("\u2066isolate\u2069", ["U+2066 LEFT-TO-RIGHT ISOLATE", "U+2069 POP DIRECTIONAL ISOLATE"]),
    ],
)
def test_invisible_characters_are_named_except_the_ones_that_scripts_need(text: str, found: list[str]) -> None:
    assert invisible(text) == found


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs", "Mn", "Mc"), max_codepoint=0xDFFFF)))
def test_letters_and_marks_of_any_script_are_shown(text: str) -> None:
    assert invisible(text) == []


def test_hidden_text_is_found_wherever_it_is_in_a_definition() -> None:
    plugin = Plugin()
    schema = {"type": "object", "properties": {"a\u200b": {"description": "x", "enum": ["\u202e"]}}}
    plugin.tool(name="t", title="\u2060t", description="T.", input_schema=schema, read_only=True)(lambda a: a)
    report = contract(plugin)
    assert sorted(finding.problem.what.split(" contains ")[0] for finding in report.problems) == [
        "a name in inputSchema.properties",
        "inputSchema.properties.a\u200b.enum[0]",
        "title",
    ]
