"""Each plugin is loaded stage by stage. If something is wrong, it stops at that stage with its own error."""

from __future__ import annotations

import logging
import os
import re
import sys
import types
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mcp_host import Plugin, Tool, hookimpl
from mcp_host.api import HostFacts
from mcp_host.config import PluginSection, parse_config
from mcp_host.errors import HostError, Problem
from mcp_host.plugins.hooks import HOOKS
from mcp_host.plugins.loader import Loader
from mcp_host.plugins.records import Stage
from mcp_host.server.host import StartRefusedError
from mcp_host.testing import connect, make_host
from support.sites import GOOD, Site, problem

pytestmark = pytest.mark.anyio

HEAD = "from mcp_host import Check, Completion, Plugin, Prompt, Resource, Tool, hookimpl\n"


def hooks(body: str) -> str:
    """The source of a plugin that is a module of hooks."""
    return HEAD + dedent(body)


# --- One broken plugin never hides another


def test_a_good_plugin_passes_every_stage(site: Site) -> None:
    site.plugin("good", version="1.2")
    record = site.load("[plugins.good]")["good"]
    assert (record.distribution, record.version, record.value) == (
        "mcp-plugin-good",
        "1.2",
        "mcp_plugin_good:plugin",
    )
    assert (record.stage, record.problem, record.warnings) == (Stage.COLLECTED, None, ())
    assert record.contributed.tools == ("add",)
    assert record.import_ms is not None


BROKEN: dict[str, tuple[str, Stage | None, str]] = {
    "incompatible": ("raise AssertionError", Stage.FOUND, r"needs mcp-host>=99, this is mcp-host"),
    "unimportable": ("raise RuntimeError('no engine')", Stage.COMPATIBLE, r"failed: RuntimeError: no engine"),
    "leaving": ("raise SystemExit(3)", Stage.COMPATIBLE, r"failed: SystemExit: 3"),
    "attributeless": ("plugins = 1", Stage.COMPATIBLE, r"no attribute 'plugin' \(did you mean 'plugins'\?\)"),
    "hookless": ("plugin = 5", Stage.IMPORTED, r"is an int, which implements no hook"),
    "misconfigured": (
        HEAD + "from pydantic import BaseModel\n"
        "class Settings(BaseModel):\n    digits: int\nplugin = Plugin(settings=Settings)",
        Stage.IMPORTED,
        r"'digits' is missing",
    ),
    "uncollected": (
        HEAD + "class Broken:\n    @hookimpl\n    def mcp_tools(self):\n        return 5\nplugin = Broken()",
        Stage.CONFIGURED,
        r"mcp_tools returned an int, not an iterable of Tool or SchemaTool objects",
    ),
    "unbindable": (
        HEAD + "plugin = Plugin()\n@plugin.tool\ndef f(*values): pass",
        Stage.COLLECTED,
        r"tool 'f': parameter '\*values' of f cannot be passed by name",
    ),
}


def test_a_plugin_that_fails_at_any_stage_never_hides_another(site: Site) -> None:
    for name, (source, _, _) in BROKEN.items():
        site.plugin(name, source, requires=["mcp-host>=99"] if name == "incompatible" else ["mcp-host"])
    site.plugin("good")
    records = site.load("".join(f"[plugins.{name}]\n" for name in ("missing", *BROKEN, "good")))
    assert list(records) == ["missing", *BROKEN, "good"]
    assert records["missing"].stage is None
    for name, (_, stage, what) in BROKEN.items():
        assert records[name].stage == stage, name
        assert re.search(what, problem(records[name]).what), problem(records[name]).what
        assert f"plugins.{name}" in problem(records[name]).where
    assert records["good"].problem is None
    assert records["good"].contributed.tools == ("add",)


def test_an_incompatible_plugin_is_not_imported(site: Site) -> None:
    site.plugin("future", "raise AssertionError", requires=["mcp-host>=99"])
    assert site.load("[plugins.future]")["future"].import_ms is None
    assert "mcp_plugin_future" not in sys.modules


def test_only_the_plugins_that_the_file_enables_are_imported(site: Site) -> None:
    for name in ("installed", "off", "on"):
        site.plugin(name)
    records = site.load("[plugins.off]\nenabled = false\n[plugins.on]")
    assert {name: record.enabled for name, record in records.items()} == {"off": False, "on": True}
    assert {name for name in sys.modules if name.startswith("mcp_plugin_")} & {
        "mcp_plugin_installed",
        "mcp_plugin_off",
    } == set()


def test_an_unknown_plugin_gets_a_suggestion_and_the_line_that_installs_it(site: Site) -> None:
    site.plugin("weather")
    found = problem(site.load("[plugins.wether]")["wether"])
    assert found.what == "plugin 'wether' is not installed (did you mean 'weather'?)"
    assert found.hint == "correct the name, or mcp-host add wether"


def test_a_name_that_two_distributions_claim_is_refused(site: Site) -> None:
    site.plugin("mean")
    site.install("other", {"other.py": GOOD}, plugins={"mean": "other:plugin"})
    assert "mcp-plugin-mean 1.0 and other 1.0" in problem(site.load("[plugins.mean]")["mean"]).what


@pytest.mark.parametrize("strict", ["required = true", ""])
async def test_a_failure_that_the_file_does_not_allow_refuses_the_start(site: Site, strict: str) -> None:
    site.plugin("good")
    site.plugin("leaving", "raise SystemExit")
    toml = f"[plugins.good]\n[plugins.leaving]\n{strict}\n" + ("" if strict else '[host]\non_error = "fail"\n')
    host = site.host(toml)
    with pytest.raises(StartRefusedError, match="leaving") as caught:
        async with host.running():
            raise AssertionError("started")
    assert (strict or 'on_error = "fail"') in caught.value.what
    host = site.host("[plugins.good]\nrequired = true\n[plugins.leaving]")
    async with host.running():
        assert [record.stage for record in host.records] == [Stage.SERVING, Stage.COMPATIBLE]


# --- Import


LEAVING = ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "StopIteration", "RecursionError", "BaseException"]


@pytest.mark.parametrize("error", LEAVING)
def test_no_exception_at_import_is_more_than_the_plugins_own(site: Site, error: str) -> None:
    site.plugin("broken", f"raise {error}('why')")
    site.plugin("good")
    records = site.load("[plugins.broken]\n[plugins.good]")
    assert problem(records["broken"]).what == f"importing mcp_plugin_broken failed: {error}: why"
    assert records["good"].problem is None


def test_an_exception_that_cannot_be_shown_is_still_named(site: Site) -> None:
    site.plugin("mute", "class MuteError(Exception):\n    def __str__(self): raise SystemExit\nraise MuteError()")
    assert problem(site.load("[plugins.mute]")["mute"]).what.endswith("MuteError: (its text cannot be shown)")


NOISE = """
    import os, subprocess, sys
    print("said at import")
    sys.__stdout__.write("said to __stdout__\\n")
    os.write(1, b"written to the descriptor\\n")
    subprocess.run([sys.executable, "-c", "print('said by a child')"], check=True)
"""


def test_what_is_written_to_stdout_while_loading_goes_to_stderr(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    source = hooks(NOISE) + hooks("""
        from pydantic import BaseModel, field_validator

        class Settings(BaseModel):
            digits: int = 3

            @field_validator("digits")
            @classmethod
            def check(cls, value):
                print("said by a validator")
                return value

        @hookimpl
        def mcp_settings():
            print("said by a hook")
            return Settings

        def tool(value: "print('said by an annotation') or int") -> int:
            return 1

        @hookimpl
        def mcp_tools():
            print("said while yielding")
            yield tool

        def __getattr__(name):
            print("said by __getattr__")
            raise AttributeError(name)
    """)
    site.plugin("noisy", source, attribute="")
    site.plugin("asked", source)
    records = site.load("[plugins.noisy]\nsettings.digits = 1\n[plugins.asked]")
    assert records["noisy"].problem is None
    out, err = capfd.readouterr()
    assert out == ""
    for line in (
        "said at import",
        "said to __stdout__",
        "written to the descriptor",
        "said by a child",
        "said by a validator",
        "said by a hook",
        "said while yielding",
        "said by an annotation",
        "said by __getattr__",
    ):
        assert line in err
    print("stdout is back")
    os.write(1, b"and its descriptor\n")
    out = capfd.readouterr().out
    assert "stdout is back" in out
    assert "and its descriptor" in out


def test_a_slow_import_is_a_warning_by_name_with_its_time(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.plugin("slow")
    record = site.load('[host]\nimport_warning = "0.001ms"\n[plugins.slow]')["slow"]
    (warning,) = record.warnings
    assert re.fullmatch(
        r"importing mcp_plugin_slow took \d+ ms \(more than 0 ms\); it delays every start", warning.what
    )
    assert (warning.where, record.problem) == ("plugins.slow", None)
    line = f"plugin slow (error {record.error_id}): importing mcp_plugin_slow took"
    assert any(message.startswith(line) for message in caplog.messages)
    site.plugin("quick")
    assert site.load('[host]\nimport_warning = "10m"\n[plugins.quick]')["quick"].warnings == ()


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("import nowhere_to_be_found.part", "install the distribution that contains the module nowhere_to_be_found"),
        ("import mcp_plugin_broken.part", "pip install --force-reinstall mcp-plugin-broken"),
        ("import mcp_plugin", "install the distribution that contains the module mcp_plugin"),
        ("raise ImportError('x')", "pip install --upgrade mcp-plugin-broken, or [plugins.broken] enabled = false"),
    ],
)
def test_a_failed_import_has_a_hint_what_to_install(site: Site, source: str, hint: str) -> None:
    site.plugin("broken", source)
    assert problem(site.load("[plugins.broken]")["broken"]).hint == hint


def test_a_traceback_is_in_the_log_at_debug_level(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mcp_host.plugins")
    site.plugin("broken", "raise RuntimeError('no engine')")
    site.load("[plugins.broken]")
    assert any(record.exc_info and "importing" in record.message for record in caplog.records)


@pytest.mark.parametrize("value", ["not a module", "", ":plugin", ".relative:plugin", "mcp_plugin_odd:a b", "a..b"])
def test_a_senseless_entry_point_is_that_plugins_error(site: Site, value: str) -> None:
    site.plugin("good")
    site.install("mcp-plugin-odd", {"mcp_plugin_odd.py": ""}, plugins={"odd": value})
    records = site.load("[plugins.odd]\n[plugins.good]")
    assert records["odd"].problem is not None
    assert records["good"].problem is None


# --- An object in place of an entry point


def test_an_object_is_loaded_with_its_distribution_as_source(site: Site) -> None:
    site.install("weather-server", {"weather/server.py": GOOD}, version="2.0", requires=[])
    (site.folder / "loose.py").write_text(dedent(GOOD))
    records = site.load("""
        [plugins.weather]
        object = "weather.server:plugin"
        [plugins.loose]
        object = "loose:plugin"
        prefix = "loose_"
    """)
    assert records["weather"].source == "weather-server 2.0"
    assert records["weather"].problem is None
    assert records["loose"].source == "loose:plugin"
    assert records["loose"].contributed.tools == ("loose_add",)


def test_an_object_of_a_distribution_that_excludes_this_host_is_not_imported(site: Site) -> None:
    site.install("weather-server", {"weather_server.py": "raise AssertionError"}, requires=["mcp-host>=99"])
    record = site.load('[plugins.weather]\nobject = "weather_server:mcp"')["weather"]
    assert record.stage == Stage.FOUND
    assert problem(record).what.startswith("weather-server 1.0 needs mcp-host>=99")


def test_a_missing_object_is_an_error(site: Site) -> None:
    site.install("weather-server", {"weather_server.py": "mpc = 1"})
    record = site.load('[plugins.weather]\nobject = "weather_server:mcp"')["weather"]
    assert "weather_server:mcp does not exist: module weather_server has no attribute 'mcp'" in problem(record).what
    assert problem(record).hint == '[plugins.weather] object = "weather_server:..."'
    record = site.load('[plugins.weather]\nobject = "nowhere_server:mcp"')["weather"]
    assert problem(record).hint == "[plugins.weather] object = ...   (the name of a module that is installed here)"
    record = site.load('[plugins.weather]\nobject = "weather_server:mpc.real.nothing"')["weather"]
    assert "builtins.int has no attribute 'nothing'" in problem(record).what
    (site.folder / "loose.py").write_text("1 / 0")
    record = site.load('[plugins.weather]\nobject = "loose:mcp"')["weather"]
    assert problem(record).hint == "[plugins.weather] enabled = false"


# --- The three forms


FORMS = {
    "decorated": GOOD,
    "module": hooks("""
        def add(a: int, b: int) -> int:
            return a + b

        @hookimpl
        def mcp_tools(plugin):
            return [Tool(add)]
    """),
    "object": hooks("""
        class Hooks:
            @hookimpl
            def mcp_tools(self, plugin):
                yield self.add

            def add(self, a: int, b: int) -> int:
                return a + b

        plugin = Hooks()
    """),
    "static": hooks("""
        class Hooks:
            @staticmethod
            @hookimpl
            def mcp_tools():
                def add(a: int, b: int) -> int:
                    return a + b
                return [add]

        plugin = Hooks
    """),
    "renamed": hooks("""
        def add(a: int, b: int) -> int:
            return a + b

        @hookimpl(specname="mcp_tools")
        def my_tools():
            return [add]

        @hookimpl(optionalhook=True)
        def mcp_of_a_later_host():
            raise AssertionError
    """),
    "server": """
        from mcp.server.mcpserver import MCPServer

        plugin = MCPServer("alone")

        @plugin.tool()
        def add(a: int, b: int) -> int:
            return a + b
    """,
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_plugin_may_be_decorated_a_module_an_object_or_an_existing_server(site: Site, form: str) -> None:
    from mcp import Client

    from mcp_host.server.hostserver import HostServer

    site.plugin("form", FORMS[form], attribute="" if form in ("module", "renamed") else "plugin")
    host = site.host("[plugins.form]")
    assert host.records[0].problem is None
    async with host.running(), Client(HostServer(host)) as client:
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


def test_a_server_with_middleware_of_its_own_is_adopted_with_a_note(site: Site) -> None:
    source = """
        from mcp.server.mcpserver import MCPServer

        async def own(ctx, call_next):
            return await call_next(ctx)

        plugin = MCPServer("alone", middleware=[own])
    """
    site.plugin("server", source)
    record = site.load("[plugins.server]")["server"]
    assert [warning.what for warning in record.warnings] == ["the middleware of the adopted server are not taken over"]


# --- Hooks by name


@pytest.mark.parametrize(
    ("body", "what", "hint"),
    [
        (
            "@hookimpl\ndef mcp_tool(plugin): return []",
            "mcp_tool is not a hook (did you mean 'mcp_tools'?)",
            "hooks: mcp_checks, mcp_commands, mcp_completions,",
        ),
        ("def mcp_tool(plugin): return []", "mcp_tool is not a hook (did you mean 'mcp_tools'?)", "hooks: "),
        ("@hookimpl\ndef tools(): return []", "tools is not a hook (did you mean 'mcp_tools'?)", "hooks: "),
        ("@hookimpl(specname='mcp_tolls')\ndef tools(): return []", "mcp_tolls is not a hook", "hooks: "),
        (
            "def mcp_tools(plugin): return []",
            "mcp_tools is not marked as a hook implementation",
            "write @hookimpl above it",
        ),
        (
            "import functools\n@hookimpl\n@functools.cache\ndef mcp_tools(): return []",
            "mcp_tools is a _lru_cache_wrapper, not a function",
            "write @hookimpl above it",
        ),
        (
            "import functools\nmcp_tools = functools.partial(print)",
            "mcp_tools is a partial, not a function",
            "write @hookimpl above it",
        ),
        (
            "@hookimpl\ndef mcp_tools(context): return []",
            "Plugin 'broken' for hook 'mcp_tools' hookimpl definition: mcp_tools(context) Argument(s) {'context'}",
            "a hook has the parameter `plugin`, or none",
        ),
        (
            "@hookimpl(wrapper=True)\ndef mcp_tools():\n    return (yield)",
            "mcp_tools is a hook wrapper, but there is nothing to wrap",
            "write @hookimpl without wrapper=True",
        ),
        (
            "@hookimpl\ndef mcp_tools(): return []\n@hookimpl(specname='mcp_tools')\ndef more(): return []",
            "mcp_tools is implemented twice",
            "return everything from one function",
        ),
        ("", "mcp_plugin_broken is a module, which implements no hook", "point the entry point at a Plugin"),
        ("from mcp_host.hookspecs import mcp_tools", "mcp_plugin_broken is a module, which implements no", "point the"),
    ],
)
def test_a_hook_that_would_never_be_called_is_refused(site: Site, body: str, what: str, hint: str) -> None:
    site.plugin("broken", hooks(body), attribute="")
    found = problem(site.load("[plugins.broken]")["broken"])
    assert found.what.startswith(what)
    assert found.hint.startswith(hint)


def test_a_class_in_place_of_its_instance_is_refused(site: Site) -> None:
    source = "class Hooks:\n    @hookimpl\n    def mcp_tools(self): return []\nplugin = Hooks"
    site.plugin("broken", hooks(source))
    found = problem(site.load("[plugins.broken]")["broken"])
    assert found.what == "Hooks is a class, and its hook mcp_tools needs an instance"
    assert found.hint == "write plugin = Hooks() below it, and name the instance in the entry point"


def test_functions_of_other_modules_and_classes_may_have_any_name(site: Site) -> None:
    site.install("helper", {"mcp_helper.py": "def mcp_retry(): pass\nclass mcp_thing: pass\n"})
    body = "import mcp_helper\nfrom mcp_helper import mcp_retry, mcp_thing\nmcp_version = 3\n"
    site.plugin("fine", hooks(body + "@hookimpl\ndef mcp_tools(): return []"), attribute="")
    assert site.load("[plugins.fine]")["fine"].problem is None


# --- What hooks return and raise


ITERABLES = {
    "mcp_tools": "Tool or SchemaTool objects",
    "mcp_resources": "Resource objects",
    "mcp_prompts": "Prompt objects",
    "mcp_completions": "Completion objects",
    "mcp_middleware": "functions",
    "mcp_observers": "functions",
    "mcp_routes": "BaseRoute or HttpRoute objects",
    "mcp_checks": "Check objects",
}


def returning(hook: str, act: Any) -> object:
    """A plugin object whose only hook calls a function."""

    def implementation(self: object) -> Any:
        return act()

    implementation.__name__ = hook
    return type("Returning", (), {hook: hookimpl(implementation)})()


async def outcome(plugin: object) -> str:
    """Return the problem in the record of a plugin after it was loaded and started."""
    good = Plugin()
    good.tool("good")(lambda: "well")
    host = make_host({"bad": plugin, "good": good})
    async with host.running():
        assert host.records[1].problem is None
        assert "good" in host.catalog.tools
        return "" if host.records[0].problem is None else host.records[0].problem.what


@pytest.mark.parametrize("hook", [*ITERABLES])
@pytest.mark.parametrize("wrong", [5, "text", b"bytes", {"a": 1}, object()], ids=lambda wrong: type(wrong).__name__)
async def test_a_hook_that_returns_no_list_is_refused(hook: str, wrong: object) -> None:
    what = await outcome(returning(hook, lambda: wrong))
    assert re.fullmatch(rf"{hook} returned an? \w+, not an iterable of {ITERABLES[hook]}", what)


@pytest.mark.parametrize("hook", [*ITERABLES])
async def test_a_hook_that_returns_a_wrong_item_is_refused_by_its_position(hook: str) -> None:
    assert (
        await outcome(returning(hook, lambda: [None])) == f"{hook} returned None as item 0; expected {ITERABLES[hook]}"
    )

    async def never_awaited() -> None: ...

    what = await outcome(returning(hook, lambda: [never_awaited(), never_awaited()]))
    assert what == f"{hook} returned a coroutine as item 0; expected {ITERABLES[hook]}"


@pytest.mark.parametrize("hook", [*ITERABLES, "mcp_lifespan", "mcp_token_verifier", "mcp_settings"])
async def test_a_hook_may_return_none(hook: str) -> None:
    assert await outcome(returning(hook, lambda: None)) == ""


@pytest.mark.parametrize("hook", sorted(HOOKS))
async def test_an_async_hook_is_refused_and_its_coroutine_closed(hook: str) -> None:
    async def later() -> list[Any]:
        return []

    assert await outcome(returning(hook, later)) == f"{hook} is async; hooks are plain functions"


@pytest.mark.parametrize(
    ("hook", "wrong", "what"),
    [
        ("mcp_settings", dict, "mcp_settings returned a type, not a pydantic model class"),
        ("mcp_settings", 5, "mcp_settings returned an int, not a pydantic model class"),
        ("mcp_lifespan", 5, "mcp_lifespan returned an int, not an async context manager"),
        ("mcp_token_verifier", 5, "mcp_token_verifier returned an int, which has no verify_token"),
    ],
)
async def test_a_hook_that_returns_something_else_is_refused(hook: str, wrong: object, what: str) -> None:
    assert await outcome(returning(hook, lambda: wrong)) == what


@pytest.mark.parametrize("hook", sorted(HOOKS))
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, RuntimeError])
async def test_no_exception_of_a_hook_is_more_than_the_plugins_own(hook: str, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("why")

    what = await outcome(returning(hook, fail))
    assert what.startswith(f"{hook} failed: ")
    assert what.endswith("StopIteration" if error is StopIteration else f"{error.__name__}: why") or "StopIter" in what


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_no_exception_of_a_generator_hook_is_more_than_the_plugins_own(error: type[BaseException]) -> None:
    def generate() -> Any:
        yield lambda: 1
        raise error("why")

    assert await outcome(returning("mcp_tools", generate)) == f"mcp_tools failed: {error.__name__}: why"


class Leaving:
    """Raises for each missing attribute, and for each way to inspect an object."""

    def __dir__(self) -> list[str]:
        raise SystemExit("no looking")


class LeavingClass:
    @hookimpl
    def mcp_tools(self) -> list[Tool]:
        return []

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise KeyboardInterrupt("no class")


class Verifier:
    @property
    def verify_token(self) -> Any:
        raise GeneratorExit("no verifier")


async def test_no_exception_of_an_objects_attributes_is_more_than_the_plugins_own() -> None:
    assert await outcome(Leaving()) == "loading failed: SystemExit: no looking"
    assert "KeyboardInterrupt: no class" in await outcome(LeavingClass())
    assert await outcome(returning("mcp_token_verifier", Verifier)) == "collecting failed: GeneratorExit: no verifier"
    module = types.ModuleType("leaving")
    module.__getattr__ = lambda name: exec("raise SystemExit('no attribute')")  # type: ignore[method-assign]
    assert "implements no hook" in await outcome(module)


async def test_a_property_that_raises_is_not_read_in_the_search_for_hooks() -> None:
    class Lazy:
        @property
        def expensive(self) -> Any:
            raise SystemExit("not now")

        @hookimpl
        def mcp_tools(self) -> list[Tool]:
            return []

    assert await outcome(Lazy()) == ""


def test_an_attribute_that_raises_at_the_entry_point_is_that_plugins_error(site: Site) -> None:
    site.plugin("lazy", "def __getattr__(name):\n    raise SystemExit('not now')")
    site.plugin("good")
    records = site.load("[plugins.lazy]\n[plugins.good]")
    assert problem(records["lazy"]).what == "loading failed: SystemExit: not now"
    assert records["good"].problem is None


# --- Settings


SETTINGS = hooks("""
    from pydantic import BaseModel, SecretStr, field_validator

    class Units(BaseModel, extra="forbid"):
        digits: int = 3

    class Settings(BaseModel, extra="forbid"):
        units: Units = Units()
        token: SecretStr = SecretStr("")
        quit: bool = False

        @field_validator("quit")
        @classmethod
        def leave(cls, value):
            if value:
                raise SystemExit("with the secret sesame-open")
            return value

    plugin = Plugin(settings=Settings)

    @hookimpl
    def mcp_lifespan(plugin):
        raise RuntimeError(f"cannot log in with {plugin.settings.token.get_secret_value()}")

    plugin.mcp_lifespan = mcp_lifespan
""")


@pytest.mark.parametrize(
    ("line", "what", "where"),
    [
        ("settings.units.digits = 'x'", "'digits' must be a whole number", ":2: plugins.s.settings.units.digits"),
        ("settings.unit.digits = 1", "unknown key 'unit' (did you mean 'units'?)", ":2: plugins.s.settings.unit"),
        ("settings.quit = true", "its settings model raised SystemExit", "plugins.s (mcp-plugin-s 1.0)"),
    ],
)
def test_settings_that_do_not_fit_are_named_by_their_keys(site: Site, line: str, what: str, where: str) -> None:
    site.plugin("s", SETTINGS)
    record = site.load(f"[plugins.s]\n{line}\n")["s"]
    assert (record.stage, problem(record).what) == (Stage.IMPORTED, what)
    assert problem(record).where.removeprefix("mcp-host.toml") == where


def test_a_plugin_without_a_model_takes_no_settings(site: Site) -> None:
    site.plugin("good")
    found = problem(site.load("[plugins.good]\nsettings.digits = 1")["good"])
    assert found.what == "plugin 'good' takes no settings"


async def test_no_record_and_no_log_of_a_plugin_has_its_secrets(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.plugin("s", SETTINGS)
    host = site.host('[plugins.s]\nsettings.token = { env = "TOKEN" }', environ={"TOKEN": "sesame-open"})
    async with host.running():
        assert problem(host.records[0]).what == "mcp_lifespan failed: RuntimeError: cannot log in with ***"
    host.plugins[0].warn("sesame-open is weak", hint="choose another")
    host.plugins[0].warn("sesame-open is weak")
    assert [warning.what for warning in host.records[0].warnings] == ["*** is weak"]
    assert "sesame-open" not in "".join(caplog.messages)


def test_a_plugin_sees_its_name_settings_folder_logger_and_the_host(site: Site) -> None:
    site.plugin("s", SETTINGS)
    host = site.host("[plugins.s]\nsettings.units.digits = 5")
    context = host.plugins[0].own_context
    assert (context.name, context.settings.units.digits, context.log.name) == ("s", 5, "mcp_host.plugin.s")
    assert context.data_dir == site.folder / "data" / "s"
    assert context.data_dir.is_dir()
    assert context.host.transport == "stdio"
    assert "data_dir" not in repr(context)


def test_the_settings_model_is_available_without_valid_settings(site: Site) -> None:
    site.plugin("s", SETTINGS)
    site.plugin("leaving", "raise SystemExit")
    site.plugin("wrong", hooks("@hookimpl\ndef mcp_settings(): return 5"), attribute="")
    config = site.config("[plugins.s]\n[plugins.good]\n[plugins.leaving]")
    facts = HostFacts("test", "0", "stdio", Path())
    loader = Loader(config, installed=site.discover(), facts=facts)
    model = loader.settings_model("s", PluginSection())
    assert model is not None
    assert list(model.model_fields) == ["units", "token", "quit"]
    for name in ("leaving", "wrong", "missing"):
        with pytest.raises(HostError):
            loader.settings_model(name, PluginSection())
    # An object given in place of an entry point is not asked to be adopted when nothing adopts.
    loader = Loader(parse_config(""), installed=(), objects={"mine": 5}, facts=facts)
    assert (
        problem(loader.load("mine", PluginSection()).record).what == "builtins.int is an int, which implements no hook"
    )


# --- Everything a Plugin collects


async def test_decorators_and_dataclasses_contribute_the_same() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    decorated = Plugin()
    decorated.tool("plus", read_only=True)(add)
    as_data = returning("mcp_tools", lambda: [Tool(add, "plus", read_only=True)])
    listings = []
    for plugin in (decorated, as_data):
        async with connect(plugin) as client:
            listings.append((await client.list_tools()).tools)
    assert listings[0] == listings[1]


# --- Codes and hints


RAISING = {
    "import": "raise HostError({arguments})",
    "hook": "@hookimpl\ndef mcp_tools(): raise HostError({arguments})",
    "generator hook": "@hookimpl\ndef mcp_tools():\n    yield len\n    raise HostError({arguments})",
    "iterator hook": """
        class Items(list):
            def __iter__(self): raise HostError({arguments})
        @hookimpl
        def mcp_tools(): return Items()
    """,
    "property of the object": """
        class Parts:
            @hookimpl
            def mcp_tools(self): return []
            @property
            def __dir__(self): raise HostError({arguments})
        import sys
        sys.modules[__name__] = Parts()
    """,
    "lifespan hook": "@hookimpl\ndef mcp_lifespan(plugin): raise HostError({arguments})",
    "lifespan": """
        from contextlib import asynccontextmanager
        @asynccontextmanager
        async def live(plugin):
            raise HostError({arguments})
            yield
        @hookimpl
        def mcp_lifespan(plugin): return live(plugin)
    """,
    "field of a contribution": """
        class Late(Prompt):
            @property
            def title(self): raise HostError({arguments})
            @title.setter
            def title(self, value): pass
        @hookimpl
        def mcp_prompts(): return [Late(lambda: "", name="late")]
    """,
    "schema of a parameter": """
        class Value:
            @classmethod
            def __get_pydantic_core_schema__(cls, source, handler): raise HostError({arguments})
        def work(value: Value) -> str: return ""
        @hookimpl
        def mcp_tools(): return [work]
    """,
    "schema of a result": """
        class Value:
            @classmethod
            def __get_pydantic_core_schema__(cls, source, handler): raise HostError({arguments})
        def work() -> Value: return ""
        @hookimpl
        def mcp_tools(): return [Tool(work, structured_output=True)]
    """,
    "path of a route": """
        from starlette.routing import BaseRoute
        class Odd(BaseRoute):
            @property
            def path(self): raise HostError({arguments})
        @hookimpl
        def mcp_routes(): return [Odd()]
    """,
}
OWN_CODES = {
    "import": "import-failed",
    "hook": "hook-failed",
    "generator hook": "hook-failed",
    "iterator hook": "hook-failed",
    "lifespan hook": "hook-failed",
    "lifespan": "start-failed",
}


async def stopped(site: Site, where: str, arguments: str) -> Problem:
    source = "from mcp_host import HostError\n" + hooks(RAISING[where]).replace("{arguments}", arguments)
    site.plugin("bad", source, attribute="")
    host = site.host("[plugins.bad]")
    async with host.running():
        return problem(host.records[0])


@pytest.mark.parametrize("where", RAISING)
async def test_an_error_of_the_authors_keeps_its_hint_and_its_code(site: Site, where: str) -> None:
    found = await stopped(site, where, "'no engine', hint='install it', code='no-engine'")
    assert found.what.endswith("no engine")
    assert found.where == "plugins.bad (mcp-plugin-bad 1.0)"
    assert (found.hint, found.code) == ("install it", "no-engine")


@pytest.mark.parametrize("where", RAISING)
async def test_an_error_of_the_authors_without_a_code_has_the_code_of_its_stage(site: Site, where: str) -> None:
    found = await stopped(site, where, "'no engine'")
    assert found.what.endswith("no engine")
    assert found.code == OWN_CODES.get(where, "other")
    assert found.where == "plugins.bad (mcp-plugin-bad 1.0)"
