"""Finds the prompt or the template of each completer of a plugin."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import mcp.types as types

from mcp_host.api import Completion
from mcp_host.catalog.facts import author_name
from mcp_host.catalog.filters import guarded
from mcp_host.catalog.python_function import python_completer
from mcp_host.catalog.results import Converter
from mcp_host.catalog.served import Complete, Question, Served, ServedPrompt, ServedTemplate, ServerCompletion
from mcp_host.errors import HostError, did_you_mean
from mcp_host.plugins.plugin import LoadedPlugin


def completers_of(
    plugin: LoadedPlugin, completions: Sequence[Completion], served: Sequence[Served]
) -> tuple[Mapping[tuple[str, str], Complete], Complete | None]:
    """Return the completers by served name and argument, and the completer of an adopted server.

    If a prompt or template was filtered out, its completers are left out, too.
    """
    prefix = plugin.section.prefix
    uris = {resource.uri for resource in plugin.contributions.resources}
    every = uris | {author_name(prompt) for prompt in plugin.contributions.prompts}
    arguments = {item.name: _arguments(item) for item in served}
    completers: dict[tuple[str, str], Complete] = {}
    any_completer: Complete | None = None
    for completion in completions:
        if isinstance(completion, ServerCompletion):
            any_completer = _server_completer(plugin, completion)
            continue
        what = f"completion of {completion.ref!r}"
        if completion.ref not in every:
            raise HostError(
                f"{what}: the plugin has no such prompt or template{did_you_mean(completion.ref, every)}",
                where=plugin.where,
            )
        ref = completion.ref if completion.ref in uris else prefix + completion.ref
        if ref not in arguments:
            continue
        if completion.argument not in arguments[ref]:
            raise HostError(
                f"{what}: it has no argument {completion.argument!r}"
                f"{did_you_mean(completion.argument, arguments[ref])}",
                where=plugin.where,
            )
        if (ref, completion.argument) in completers:
            raise HostError(f"{what}: {completion.argument!r} has two completers", where=plugin.where)
        completers[ref, completion.argument] = guarded(
            plugin,
            "completion",
            None,
            completion.ref,
            completion,
            lambda _, part: python_completer(plugin, "a completion", part.fn),
        )
    return completers, any_completer


def _arguments(item: Served) -> set[str]:
    if isinstance(item, ServedPrompt):
        return {argument.name for argument in item.wire.arguments or ()}
    return set(item.template.variable_names) if isinstance(item, ServedTemplate) else set()


def _server_completer(plugin: LoadedPlugin, completion: ServerCompletion) -> Complete:
    """Return the completer of an adopted server. Its one handler knows the names without the prefix."""
    converter = Converter("a completion", plugin)

    async def complete(question: Question, context: Any) -> types.Completion:
        ref = question.ref
        if isinstance(ref, types.PromptReference):
            ref = ref.model_copy(update={"name": ref.name.removeprefix(plugin.section.prefix)})
        argument = types.CompletionArgument(name=question.argument, value=question.value)
        chosen = types.CompletionContext(arguments=dict(question.chosen)) if question.chosen else None
        found: Any = completion.fn(ref, argument, chosen)
        result = await found if inspect.isawaitable(found) else found
        return converter.completion(result if isinstance(result, types.Completion) else types.Completion(values=[]))

    return complete
