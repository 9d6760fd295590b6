"""A plugin's record has its source, the stage that it reached, and why it failed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from mcp_host.errors import (
    ConfigError,
    ErrorCode,
    HostError,
    InvalidConfigError,
    Problem,
    did_you_mean,
    shortened,
    text_of,
)
from mcp_host.plugins.records import Circuit, Contributed, Health, PluginRecord, Stage


def test_the_stages_follow_one_another() -> None:
    assert [str(stage) for stage in Stage] == [
        "found",
        "compatible",
        "imported",
        "configured",
        "collected",
        "started",
        "serving",
    ]


def test_a_record_names_its_source_by_distribution_or_else_by_object() -> None:
    assert PluginRecord("mean", distribution="mcp-plugin-mean", version="1.0").source == "mcp-plugin-mean 1.0"
    assert PluginRecord("weather", value="weather_server:mcp").source == "weather_server:mcp"
    assert PluginRecord("wether").source == "not installed"


def test_a_record_is_json() -> None:
    failed = PluginRecord("mean", stage=Stage.FOUND, problem=Problem("what", "where", "hint"))
    assert failed.failed
    assert json.loads(json.dumps(failed.to_json())) == {
        "name": "mean",
        "distribution": None,
        "version": None,
        "value": None,
        "enabled": True,
        "required": False,
        "stage": "found",
        "problem": {"what": "what", "where": "where", "hint": "hint", "code": "other"},
        "warnings": [],
        "import_ms": None,
        "contributed": {
            "tools": [],
            "resources": [],
            "templates": [],
            "prompts": [],
            "middleware": [],
            "observers": [],
            "routes": [],
        },
        "middleware": "own",
        "health": None,
        "connection": None,
        "error_id": None,
    }
    serving = PluginRecord("mean", health=Health(calls=2, circuit=Circuit("open", 3, "why", 1.5)))
    assert serving.to_json()["health"] == {
        "calls": 2,
        "waiting": 0,
        "abandoned": 0,
        "circuit": {"state": "open", "failures": 3, "last_failure": "why", "retry_in": 1.5},
    }
    assert PluginRecord("mean").to_json()["stage"] is None


def test_a_client_sees_the_stage_and_the_id_of_a_failure_but_no_text() -> None:
    problem = Problem("no licence at https://u:pass@x", "/etc/mcp-host.toml:2", "pip install secret")
    failed = PluginRecord("mean", stage=Stage.FOUND, problem=problem, warnings=(problem,), error_id="1a2b3c4d")
    shown = failed.for_clients()
    assert (shown.name, shown.stage, shown.error_id, shown.failed) == ("mean", Stage.FOUND, "1a2b3c4d", True)
    assert shown.problem is not None
    assert shown.problem.what == "it failed after found (error 1a2b3c4d; the server's log has the details)"
    assert [warning.what for warning in shown.warnings] == [
        "something is wrong with it (error 1a2b3c4d; the server's log has the details)"
    ]
    text = json.dumps(shown.to_json())
    assert not any(word in text for word in ("licence", "/etc", "pip"))
    assert PluginRecord("mean", stage=Stage.SERVING).for_clients() == PluginRecord("mean", stage=Stage.SERVING)


def test_a_record_has_the_stage_that_its_plugin_reached() -> None:
    assert PluginRecord("mean", stage=Stage.SERVING).fate == "serving"
    assert PluginRecord("mean", stage=Stage.FOUND, problem=Problem("what")).fate == "failed after found"
    assert PluginRecord("mean", problem=Problem("what")).fate == "failed"


def test_what_is_contributed_is_counted_in_words() -> None:
    assert str(Contributed()) == "nothing"
    assert (
        str(Contributed(tools=("a",), resources=("x://a", "x://b"), prompts=("p",))) == "1 tool, 2 resources, 1 prompt"
    )
    code = Contributed(middleware=("a", "b"), observers=("c",), routes=("/d", "/e"))
    assert str(code) == "2 middleware, 1 observer, 2 routes"


def test_an_error_has_the_problem_that_records_keep() -> None:
    error = HostError("it broke", where="plugins.mean", hint="repair it", code=ErrorCode.NAME_CONFLICT)
    assert error.problem == Problem("it broke", "plugins.mean", "repair it", "name-conflict")
    assert (error.what, error.where, error.hint, error.code) == dataclasses.astuple(error.problem)
    assert HostError("it broke").problem == Problem("it broke", code="other")
    assert ConfigError("it broke").code == ErrorCode.INVALID_CONFIG


def test_every_problem_has_one_form_on_lines_of_its_own_or_on_one_line() -> None:
    problem = Problem("it broke", "plugins.mean", "repair it")
    assert problem.text("error") == "error: it broke\n  where: plugins.mean\n  hint:  repair it"
    assert problem.text("error", one_line=True) == "error: it broke | where: plugins.mean | hint: repair it"
    assert str(HostError(**vars(problem))) == str(problem) == "it broke\n  where: plugins.mean\n  hint:  repair it"
    assert str(HostError("it broke")) == "it broke"


def test_several_problems_are_one_error_that_keeps_the_code_of_each() -> None:
    error = InvalidConfigError([Problem("one", code=ErrorCode.NOT_INSTALLED), Problem("two", hint="three")])
    assert [problem.code for problem in error.problems] == ["not-installed", "invalid-config"]
    assert error.problem == Problem("one (and 1 more)", code="not-installed")
    assert str(error) == "one\ntwo\n  hint:  three"


def test_an_error_made_from_any_values_contains_plain_text() -> None:
    class Loud(str):
        def __str__(self) -> str:
            raise SystemExit("no text for you")

    unfit: Any = UnspeakableError()
    problem = HostError(unfit, where=Loud("here"), hint=7).problem  # type: ignore[arg-type]
    assert problem == Problem("(its text cannot be shown)", "here", "7")
    assert {type(value) for value in vars(problem).values()} == {str}


# --- Texts of errors


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text for you")


class WordlessError(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]  # noqa: PLE0307


def test_any_exception_has_a_text_of_one_line() -> None:
    assert text_of(ValueError("first\nsecond")) == "ValueError: first"
    assert text_of(KeyboardInterrupt()) == "KeyboardInterrupt: (no text)"
    assert text_of(UnspeakableError()) == "UnspeakableError: (its text cannot be shown)"
    assert text_of(WordlessError()) == "WordlessError: (its text cannot be shown)"
    assert text_of(ValueError("x" * 10_000)) == f"ValueError: {'x' * 10_000}"
    assert shortened(text_of(ValueError("x" * 10_000))) == f"ValueError: {'x' * 988} ..."


def test_a_suggestion_is_made_only_when_something_is_close() -> None:
    assert did_you_mean("wether", ["mean", "weather"]) == " (did you mean 'weather'?)"
    assert did_you_mean("zzz", ["mean", "weather"]) == ""
    assert did_you_mean("zzz", ()) == ""
