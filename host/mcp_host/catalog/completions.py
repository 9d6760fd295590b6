"""Ties the completers of a plugin to the prompts and templates that they complete."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial

from mcp.server.mcpserver.utilities.context_injection import find_context_parameter

from mcp_host.api import Completion
from mcp_host.catalog.facts import author_name
from mcp_host.catalog.functions import as_async, inspect_function
from mcp_host.catalog.guarding import guarded
from mcp_host.catalog.served import Completer, Parts, ServerCompletion
from mcp_host.errors import HostError, did_you_mean
from mcp_host.plugins.plugin import LoadedPlugin


def completers_of(
    plugin: LoadedPlugin, completions: Sequence[Completion], kept: Parts
) -> tuple[Mapping[tuple[str, str], Completer], Completion | None]:
    """Tie each completion to what it completes; one whose prompt or template was filtered out goes with it."""
    prefix = plugin.section.prefix
    uris = {resource.uri for resource in plugin.contributions.resources}
    every = uris | {author_name(prompt) for prompt in plugin.contributions.prompts}
    arguments = {prompt.name: {a.name for a in prompt.wire.arguments or ()} for prompt in kept.prompts}
    arguments |= {template.name: set(template.template.variable_names) for template in kept.templates}
    arguments |= {resource.name: set() for resource in kept.resources}
    completers: dict[tuple[str, str], Completer] = {}
    server_completion: Completion | None = None
    for completion in completions:
        if isinstance(completion, ServerCompletion):
            server_completion = completion
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
            plugin, "completion", completion.ref, completion, partial(_completer, plugin)
        )
    return completers, server_completion


def _completer(plugin: LoadedPlugin, _: str, completion: Completion) -> Completer:
    function = inspect_function(completion.fn)
    run = as_async(function, plugin.bulkhead)
    context_parameter = find_context_parameter(run)
    names = [name for name in function.signature.parameters if name != context_parameter]
    # Beyond the value, a parameter with a default is the author's own business, unless it is `arguments`.
    value, *rest = [
        name
        for index, name in enumerate(names)
        if index == 0 or name == "arguments" or function.signature.parameters[name].default is inspect.Parameter.empty
    ] or [""]
    if not value or len(rest) > 1:
        raise HostError("a completer takes the value typed so far, and may take the other arguments and a Context")
    return Completer(plugin, run, rest[0] if rest else None, value, context_parameter)
