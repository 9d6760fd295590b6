"""The whole contract: examines one plugin, in fresh interpreters if possible, and applies all rules."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from mcp_host.authoring.plugincheck import rules
from mcp_host.authoring.plugincheck.definitions import judge_definitions, judge_stability
from mcp_host.authoring.plugincheck.imports import judge_import
from mcp_host.authoring.plugincheck.observations import Life, Observations, SettingsSeen, Stage, Subject
from mcp_host.authoring.plugincheck.report import ContractReport, Verdicts
from mcp_host.authoring.plugincheck.rules import Severity
from mcp_host.authoring.plugincheck.subprocess import Seen, look_at
from mcp_host.authoring.plugincheck.targets import Target, find_target
from mcp_host.config import parse_config
from mcp_host.errors import HostError, Problem

IN_MEMORY = (
    "a fresh interpreter cannot import this object: name the plugin, its project's folder, or package.module:attribute"
)


def contract(
    plugin: object,
    *,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    base_dir: Path | None = None,
    import_budget: float = 0.5,
    timeout: float = 120.0,
) -> ContractReport:
    """Check a plugin against all rules and return a report.

    ```python
    from mcp_host.testing import contract
    from mcp_plugin_mean import plugin


    def test_the_plugin_keeps_the_contract():
        contract(plugin).raise_for_problems()
    ```

    `plugin` is the name of an installed plugin, the folder of its project (a `Path` or a text), its
    `package.module:attribute`, or the plugin object. It is imported in fresh interpreters, so that nothing in this
    process has an effect, unless it is an object that no module contains. `settings` are its settings, in the form of
    the TOML. `name` chooses one plugin of a project that has several. Relative paths start at `base_dir`, by default
    the working directory. `import_budget` and `timeout` (of all processes together) are in seconds.

    Raises:
        HostError: There is no such plugin, or the settings cannot be written as TOML.
    """
    target = find_target(plugin, name=name)
    base_dir = (base_dir or Path.cwd()).resolve()
    toml = _toml(target.name, settings or {})
    parse_config(toml, environ={})  # raises if the name is not valid
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(
            name=target.name,
            installed=target.installed,
            toml=toml,
            base_dir=base_dir,
            data_dir=Path(folder, "data"),
            live=True,
        )
        if target.installed is None:
            first, second = Seen(_in_this_process(subject, target.plugin)), None
        else:
            watched = subject.model_copy(update={"watch_import": True})
            again = subject.model_copy(update={"live": False})
            path = [*target.folders, *sys.path]
            first, second = look_at((watched, again), path=path, folder=Path(folder), timeout=timeout)
    return _judge(target, first, second, given=bool(settings), import_budget=import_budget)


def _toml(name: str, settings: Mapping[str, Any]) -> str:
    try:
        return tomlkit.dumps({"plugins": {name: {"settings": dict(settings)}}})
    except (TOMLKitError, TypeError, ValueError) as error:
        raise HostError(f"the settings cannot be written as TOML: {error}", where="contract(settings=...)") from None


def _in_this_process(subject: Subject, plugin: object) -> Observations:
    """Examine an object in this process, in a thread with its own event loop, because a loop may be running here."""
    from mcp_host.authoring.plugincheck.lifecycle import examine

    seen = Observations()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(examine, subject, seen, lambda: None, plugin).result()
    return seen


def _judge(target: Target, first: Seen, second: Seen | None, *, given: bool, import_budget: float) -> ContractReport:
    verdicts = Verdicts()
    seen, plugin = first.observations, target.name
    _judge_range(target, verdicts)

    if seen.imported is not None and seen.imported.error is None:
        judge_import(seen.imported, plugin, import_budget, verdicts)
    else:
        verdicts.skipped(IN_MEMORY if target.installed is None else "it cannot be imported", *rules.OF_THE_IMPORT)

    complete = _judge_settings(seen.settings, plugin, given, verdicts)
    later = (*rules.OF_THE_DEFINITIONS, rules.DEFINITIONS_STABLE, *rules.OF_THE_LIFE)
    if not complete:
        verdicts.skipped("it needs settings", rules.LOADS, *later)
        return _report(target, seen, verdicts)
    if first.ended and seen.stage is not Stage.LIVING:
        verdicts.broken(rules.LOADS, Problem(first.ended, f"plugin {plugin}"))
    elif not first.ended or seen.listing is not None:
        _judge_loading(seen, verdicts)
    if seen.listing is None:
        verdicts.skipped("it cannot be loaded", rules.LOADS, *later)
        return _report(target, seen, verdicts)

    judge_definitions(seen.listing, plugin, verdicts)
    if second is None:
        verdicts.skipped(IN_MEMORY, rules.DEFINITIONS_STABLE)
    elif second.observations.listing is None:
        problem = second.observations.problem
        why = second.ended or (problem.what if problem is not None else "")
        what = f"one process can load it and another cannot: {why}"
        verdicts.broken(rules.DEFINITIONS_STABLE, Problem(what, f"plugin {plugin}"))
    else:
        judge_stability(seen.listing, second.observations.listing, plugin, verdicts)
    if seen.life is not None:
        _judge_life(seen.life, plugin, verdicts)
    else:
        verdicts.broken(rules.LIFESPAN, Problem(first.ended, f"plugin {plugin}"))
        verdicts.skipped("it could not be started and stopped twice", *rules.OF_THE_LIFE)
    return _report(target, seen, verdicts)


def _judge_range(target: Target, verdicts: Verdicts) -> None:
    installed = target.installed
    if installed is None or not target.by_entry_point:
        verdicts.skipped("no entry point of a distribution names it", rules.HOST_RANGE)
        return
    problem = Problem(
        f"{installed.distribution} does not state which mcp-host it needs",
        f"{installed.distribution}: pyproject.toml: [project] dependencies",
        'dependencies = ["mcp-host>=0.1,<1"]',
    )
    verdicts.extend(rules.HOST_RANGE, [] if installed.requires_host else [problem])


def _judge_settings(seen: SettingsSeen | None, plugin: str, given: bool, verdicts: Verdicts) -> bool:
    """Return whether the required settings were given, as far as that is known. Without them, it cannot be loaded."""
    if seen is None:
        verdicts.skipped("its settings model could not be loaded", rules.SETTINGS_CLEAR)
        return True
    where = f"[plugins.{plugin}.settings]"
    verdicts.extend(rules.SETTINGS_CLEAR, _unclear(seen, where))
    if not seen.required or given:
        return True
    names = [setting.name for setting in seen.required]
    options = " ".join(f"--set {name}=..." for name in names)
    example = ", ".join(f'"{name}": ...' for name in names if "." not in name)
    verdicts.broken(
        rules.SETTINGS_CLEAR,
        Problem(
            f"it needs settings that are not given: {', '.join(names)}",
            where,
            f"mcp-host check --plugin ... {options}, or {where} in mcp-host.toml; in a test, "
            f"contract(..., settings={{{example}}})",
        ),
    )
    return False


def _unclear(seen: SettingsSeen, where: str) -> Iterator[Problem]:
    for what in seen.invalid:
        yield Problem(
            f"its defaults are not valid settings: {what}",
            where,
            "give valid defaults, or no default if the user must write the setting",
        )
    for setting in seen.required:
        if not setting.description:
            yield Problem(
                f"it needs {setting.name!r} but does not describe it",
                where,
                f'{setting.name}: ... = Field(description="...")',
            )


def _judge_loading(seen: Observations, verdicts: Verdicts) -> None:
    """Add why the host cannot load it, and what the host does not serve of it."""
    verdicts.extend(rules.LOADS, [seen.problem] if seen.problem is not None else [])
    for note in seen.notes:
        verdicts.broken(rules.LOADS, Problem(note), Severity.WARNING)


def _judge_life(seen: Life, plugin: str, verdicts: Verdicts) -> None:
    """Apply the rules about starting, listing and stopping."""
    where = f"plugin {plugin}"

    def problems(found: Iterable[str], what: str, hint: str) -> Iterator[Problem]:
        for each in found:
            yield Problem(what.format(each), where, hint)

    verdicts.extend(
        rules.LIFESPAN,
        problems(seen.failures, "{}", "create everything in the lifespan, and end all of it after the yield"),
    )
    verdicts.extend(
        rules.LEAKS_TASKS,
        problems(seen.tasks, "task {} still runs when it has stopped", "cancel it after the yield or use a task group"),
    )
    verdicts.extend(
        rules.LEAKS_THREADS,
        problems(seen.threads, "thread {} still runs when it has stopped", "stop and join it after the yield"),
    )
    if seen.descriptors is None:
        verdicts.skipped("this system does not list open descriptors", rules.LEAKS_DESCRIPTORS)
    else:
        verdicts.extend(
            rules.LEAKS_DESCRIPTORS,
            problems(seen.descriptors, "{} is still open when it has stopped", "close it after the yield"),
        )


def _report(target: Target, seen: Observations, verdicts: Verdicts) -> ContractReport:
    import_ms = seen.imported.milliseconds if seen.imported is not None else None
    return ContractReport(target.name, target.source, tuple(verdicts.results()), import_ms)
