"""The rules about a plugin's settings, its loading, and its starts and stops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mcp_host.authoring.plugincheck import rules
from mcp_host.authoring.plugincheck.observations import Life, Observations, SettingsSeen
from mcp_host.authoring.plugincheck.report import Verdicts
from mcp_host.authoring.plugincheck.rules import Severity
from mcp_host.errors import Problem


def judge_settings(seen: SettingsSeen | None, plugin: str, given: bool, verdicts: Verdicts) -> bool:
    """Return whether all that is needed was given, as far as can be told: else there is nothing to load it with."""
    if seen is None:
        verdicts.skipped("its settings model could not be had", rules.SETTINGS_CLEAR)
        return True
    where = f"[plugins.{plugin}.settings]"
    verdicts.extend(rules.SETTINGS_CLEAR, _unclear(seen, where))
    if not seen.required or given:
        return True
    names = [setting.name for setting in seen.required]
    example = ", ".join(f'"{name}": ...' for name in names if "." not in name)
    verdicts.broken(
        rules.SETTINGS_CLEAR,
        Problem(
            f"it needs settings that it was not given: {', '.join(names)}",
            where,
            f"contract(..., settings={{{example}}}), or a mcp-host.toml with {where} for mcp-host check",
        ),
    )
    return False


def _unclear(seen: SettingsSeen, where: str) -> Iterator[Problem]:
    for what in seen.invalid:
        yield Problem(
            f"its defaults are not valid settings: {what}",
            where,
            "give valid defaults, or none to the settings that a user must write",
        )
    for setting in seen.required:
        if not setting.description:
            yield Problem(
                f"it needs {setting.name!r} and does not describe it",
                where,
                f'{setting.name}: ... = Field(description="...")',
            )


def judge_loading(seen: Observations, verdicts: Verdicts) -> None:
    """Say why the host does not serve it, if so, and what it leaves out."""
    verdicts.extend(rules.LOADS, [seen.problem] if seen.problem is not None else [])
    for note in seen.notes:
        verdicts.broken(rules.LOADS, Problem(note), Severity.WARNING)


def judge_life(seen: Life, plugin: str, verdicts: Verdicts) -> None:
    """Apply the rules about starting, listing and stopping."""
    where = f"plugin {plugin}"

    def problems(found: Iterable[str], what: str, hint: str) -> Iterator[Problem]:
        for each in found:
            yield Problem(what.format(each), where, hint)

    verdicts.extend(rules.LISTS, problems(seen.lists, "{}", "give only what JSON can say: text, numbers, lists, dicts"))
    verdicts.extend(
        rules.LIFESPAN,
        problems(seen.failures, "{}", "make everything anew in the lifespan, and end all of it after the yield"),
    )
    verdicts.extend(
        rules.LEAKS_TASKS,
        problems(seen.tasks, "task {} is left when it has stopped", "cancel it after the yield, or use a task group"),
    )
    verdicts.extend(
        rules.LEAKS_THREADS,
        problems(seen.threads, "thread {} is left when it has stopped", "stop and join it after the yield"),
    )
    if seen.descriptors is None:
        verdicts.skipped("this system does not list open descriptors", rules.LEAKS_DESCRIPTORS)
    else:
        verdicts.extend(
            rules.LEAKS_DESCRIPTORS,
            problems(seen.descriptors, "{} is open when it has stopped", "close it after the yield"),
        )
