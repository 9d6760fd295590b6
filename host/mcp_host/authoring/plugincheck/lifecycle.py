"""Loads one plugin with the real host, starts and stops it twice, and records what happens."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from mcp_host._version import __version__
from mcp_host.api import HostFacts, Plugin
from mcp_host.authoring.plugincheck.imports import open_descriptors, opened_since
from mcp_host.authoring.plugincheck.observations import (
    Life,
    Listing,
    Observations,
    RequiredSetting,
    SettingsSeen,
    Stage,
    Subject,
)
from mcp_host.catalog.served import Parts
from mcp_host.config import HostConfig, parse_config
from mcp_host.containment import lifespan
from mcp_host.errors import HostError, text_of
from mcp_host.plugins.kinds import KINDS
from mcp_host.plugins.loader import Adopt, Adopted, Loader, Surroundings
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host

_GRACE = 1.0
"""Seconds that a thread has to end."""

Save = Callable[[], None]


def examine(subject: Subject, seen: Observations, save: Save, plugin: object = None) -> None:
    """Fill in the observations of a plugin. `save` is called after each step. `plugin` is the object, if given."""
    seen.stage = Stage.LOADING
    save()
    config = parse_config(subject.toml, source=subject.base_dir / "mcp-host.toml", environ={})
    config = config.model_copy(
        update={"host": config.host.model_copy(update={"data_dir": subject.data_dir, "import_warning": float("inf")})}
    )
    given: dict[str, Any] = (
        {"installed": [subject.installed]} if subject.installed is not None else {"objects": {subject.name: plugin}}
    )
    seen.settings = _settings(config, subject.name, given)
    host = Host(config, adopt=_noting(seen.notes), **given)
    (loaded,) = host.plugins
    seen.problem = loaded.record.problem
    if seen.problem is not None:
        seen.stage = Stage.DONE
        save()
        return
    seen.listing = _listing(host.catalog.parts[loaded])
    if subject.live:
        seen.stage = Stage.LIVING
        save()
        seen.life = _live(partial(Host, config, adopt=adopt, **given))
    seen.stage = Stage.DONE
    save()


def _noting(notes: list[str]) -> Adopt:
    """Return `adopt`, extended to record its notes about what is not adopted."""

    def noting(found: object, plugin: LoadedPlugin, around: Surroundings) -> Adopted | None:
        adopted = adopt(found, plugin, around)
        notes.extend(adopted.notes if adopted is not None else ())
        return adopted

    return noting


def _settings(config: HostConfig, name: str, given: Mapping[str, Any]) -> SettingsSeen | None:
    """Make an instance of the settings model without arguments. Return None if loading fails, which reports why."""
    facts = HostFacts(config.host.name, __version__, config.transport.kind, config.base_dir)
    loader = Loader(config, **{"installed": (), **given}, adopt=adopt, facts=facts)
    try:
        model = loader.settings_model(name, config.plugins[name])
    except HostError:
        return None
    if model is None:
        return SettingsSeen()
    try:
        model.model_validate({})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        return SettingsSeen(
            required=[
                RequiredSetting(name=".".join(map(str, detail["loc"])), description=_description(model, detail["loc"]))
                for detail in details
                if detail["type"] == "missing"
            ],
            invalid=[
                f"{'.'.join(map(str, detail['loc'])) or 'as a whole'}: {detail['msg']}"
                for detail in details
                if detail["type"] != "missing"
            ],
        )
    except Exception as error:
        return SettingsSeen(invalid=[f"the model raised {type(error).__name__}"])
    return SettingsSeen()


def _description(model: type[BaseModel], location: tuple[int | str, ...]) -> str | None:
    for name, field in model.model_fields.items():
        if location[0] in (name, field.alias, field.validation_alias):
            return field.description
    return None


def _listing(parts: Parts) -> Listing:
    return {kind.plural: [_wire(item.wire) for item in parts.items[kind]] for kind in KINDS}


def _wire(model: BaseModel) -> dict[str, Any]:
    # A value that is not JSON is a separate finding, when a client lists the items.
    return model.model_dump(by_alias=True, mode="json", exclude_none=True, fallback=lambda value: type(value).__name__)


# Starting and stopping


def _live(make_host: Callable[[], Host]) -> Life:
    seen = Life()
    asyncio.run(_once(_empty_host(), Life()))  # so that what the SDK itself opens and keeps is open before
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    asyncio.run(_twice(make_host, seen))
    seen.threads = [thread.name for thread in threading.enumerate() if thread not in threads and _stays(thread)]
    seen.descriptors = opened_since(descriptors)
    deadline = time.monotonic() + _GRACE
    while seen.descriptors and time.monotonic() < deadline:
        # A thread of a library may still be closing its descriptors.
        time.sleep(0.05)
        seen.descriptors = opened_since(descriptors)
    return seen


def _empty_host() -> Host:
    return Host(parse_config("[plugins.empty]", environ={}), objects={"empty": Plugin()})


def _stays(thread: threading.Thread) -> bool:
    """Return whether a thread still runs. The threads of AnyIO and asyncio end with the event loop."""
    thread.join(_GRACE)
    return thread.is_alive()


async def _twice(make_host: Callable[[], Host], seen: Life) -> None:
    for turn in ("first", "second"):
        found = Life()
        host = make_host()
        await _once(host, found)
        seen.failures += [f"{turn} time: {failure}" for failure in found.failures]
        seen.tasks += sorted(task for plugin in host.plugins for task in plugin.left_tasks)


async def _once(host: Host, seen: Life) -> None:
    """Start and stop. Every failure is added to `seen`."""
    (loaded,) = host.plugins
    warned = len(loaded.record.warnings)
    with _errors_in_the_log(seen.failures):
        async with host.running():
            if loaded.record.problem is not None:
                seen.failures.append(loaded.record.problem.what)
    seen.failures += [warning.what for warning in loaded.record.warnings[warned:]]
    # The text of a plugin's exception may quote its settings.
    seen.failures = [host.redactor.redact(failure) for failure in seen.failures]


def _text(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return text_of(error)


@contextmanager
def _errors_in_the_log(failures: list[str]) -> Iterator[None]:
    """Record the errors that are only logged: nothing waits for the end of stopping, so it raises none."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            failures.append(record.getMessage() + (f": {text_of(error)}" if error is not None else ""))

    logger, listener = logging.getLogger(lifespan.__name__), Listener(logging.ERROR)
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
