"""Serves a Python function: checks its arguments, runs it, and makes its result, all in the plugin's compartment.

Only this module knows the SDK's `Context` and `Resolve` parameters, and the tools that an `MCPServer` has made.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

import mcp.types as types
from mcp.server.mcpserver import Context as SDKContext
from mcp.server.mcpserver.resolve import (
    build_resolver_plans,
    find_resolved_parameters,
    resolve_arguments,
    returns_input_required,
)
from mcp.server.mcpserver.tools import Tool as SDKTool
from mcp.shared.uri_template import UriTemplate
from pydantic import ValidationError

from mcp_host.api import Prompt, Resource, Tool
from mcp_host.catalog.arguments import Arguments, with_json_read
from mcp_host.catalog.implementations import PromptBody, ResourceBody, ToolBody
from mcp_host.catalog.outputs import output_of
from mcp_host.catalog.resolvers import Plans, Resolved, with_own_resolvers
from mcp_host.catalog.results import MOST_COUNTED, Contents, Converter, Finish, PromptResult, ToolResult
from mcp_host.catalog.served import Complete, PreparedTool, Question
from mcp_host.catalog.signatures import Function, inspect_function
from mcp_host.catalog.sizes import Size
from mcp_host.errors import BadArgumentsError, HostError, describe_validation
from mcp_host.plugins.bulkhead import Bulkhead
from mcp_host.plugins.plugin import LoadedPlugin


@dataclass(frozen=True)
class Compartment:
    """Runs one function of a plugin: in the event loop if it is async, otherwise in a thread of the plugin.

    `arguments` check what the caller sent. They are None if the host makes the arguments. The result is made (`Finish`)
    in a thread of the plugin, too, or in the event loop if no code of the plugin runs then. The deadline is the same.
    """

    function: Function
    bulkhead: Bulkhead
    converter: Converter
    arguments: Arguments | None = None
    output_runs_code: bool = False
    most_items: int | None = None
    """The most items that are taken from an asynchronous iterator. If it is None, the cap is the only limit."""

    async def run(self, given: Mapping[str, Any], extra: Mapping[str, Any], finish: Finish) -> Any:
        """Check the arguments, call the function with them and `extra`, and finish its result."""
        if self.function.is_async:
            checked = await self.check(given)
            returned = self.function.call(**checked, **extra)
            return await self._finished(returned, finish)
        result, returned = await self.bulkhead.call_in_thread(functools.partial(self._run_whole, given, extra, finish))
        # A plain function may return a coroutine, for example a lambda that calls an async function.
        return result if returned is None else await self._finished(returned, finish)

    async def check(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the checked keyword arguments. If the check calls functions of the author, it runs in a thread."""
        if self.arguments is None:
            return given
        if not self.arguments.runs_code:
            return self.arguments.validate(given, self.converter.what)
        return cast("Mapping[str, Any]", await self._in_a_thread(self.arguments.validate, given, self.converter.what))

    def _run_whole(self, given: Mapping[str, Any], extra: Mapping[str, Any], finish: Finish) -> tuple[Any, Any]:
        """Return the finished result and None, or None and what must be awaited."""
        checked = given if self.arguments is None else self.arguments.validate(given, self.converter.what)
        returned = self.function.call(**checked, **extra)
        if inspect.isawaitable(returned) or isinstance(returned, AsyncIterator):
            return None, returned
        return finish(returned, self._measured_if_plain(returned)), None

    async def _finished(self, returned: Any, finish: Finish) -> Any:
        result = returned
        while inspect.isawaitable(result):  # a function may return a future
            result = await result
        if isinstance(result, AsyncIterator):
            result = await self.converter.drained_from(result, self.most_items)
        measured = self._measured_if_plain(result)
        return await self._in_a_thread(finish, result, None) if measured is None else finish(result, measured)

    def _measured_if_plain(self, result: Any) -> Size | None:
        """Return the size of a result, or None if code of the author runs when its JSON is made."""
        if self.output_runs_code:
            return None
        measured = self.converter.size(result, plain_only=True)
        return measured if measured.plain else None

    async def _in_a_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await self.bulkhead.call_in_thread(functools.partial(call, *arguments))


def python_tool(plugin: LoadedPlugin, name: str, tool: Tool) -> ToolBody:
    """Return a tool that runs a Python function."""
    function = inspect_function(tool.fn)
    resolved: Resolved = find_resolved_parameters(_annotated(function))
    if resolved and returns_input_required(_annotated(function)):
        raise HostError(
            "it has Resolve(...) parameters and returns an InputRequiredResult, but a call can ask in only one way",
            hint="ask for everything with Resolve(...), or for everything with the result",
        )
    reader = _Reader(plugin, f"tool {name}", function, skip=resolved)
    output, warnings = output_of(function, tool.structured_output)
    for warning in (*function.warnings, *warnings):
        plugin.warn(f"tool {name!r}: {warning}")
    plans: Plans = build_resolver_plans(resolved, {parameter.name for parameter in reader.parameters})
    resolved, plans = with_own_resolvers(resolved, plans, plugin.bulkhead)
    compartment = reader.compartment(output_runs_code=output is not None and output.runs_code)

    def finish(result: Any, measured: Size | None) -> ToolResult:
        return compartment.converter.tool_result(result, output, measured)

    async def run(arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> ToolResult:
        return cast("ToolResult", await compartment.run(arguments, reader.extra(context), finish))

    async def run_resolved(arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> ToolResult:
        checked = await compartment.check(arguments)
        injected = await resolve_arguments(resolved, plans, dict(checked), context)
        if isinstance(injected, types.InputRequiredResult):
            return injected
        extra = {**checked, **injected, **reader.extra(context)}
        result = await replace(compartment, arguments=None).run({}, extra, finish)
        if isinstance(result, types.InputRequiredResult):
            raise RuntimeError("a tool with Resolve(...) parameters returned an InputRequiredResult")
        return cast("ToolResult", result)

    return ToolBody(
        run=run_resolved if resolved else run,
        doc=function.doc,
        input_schema=reader.arguments.schema if tool.input_schema is None else dict(tool.input_schema),
        output_schema=output.schema if output else None,
    )


class _Reader:
    """A function, its arguments, and the parameter that takes the Context."""

    def __init__(
        self, plugin: LoadedPlugin, what: str, function: Function, *, skip: Collection[str] = (), checked: bool = True
    ) -> None:
        self._plugin = plugin
        self._what = what
        self.function = function
        self.context_parameter = _context_parameter(function)
        self.parameters = [
            parameter
            for parameter in function.signature.parameters.values()
            if parameter.name != self.context_parameter and parameter.name not in skip
        ]
        self._checked = checked
        self.arguments = Arguments(
            function.name, self.parameters if checked else (), depth=plugin.limits.argument_depth
        )

    def extra(self, context: object) -> dict[str, object]:
        return {} if self.context_parameter is None else {self.context_parameter: context}

    def compartment(self, *, output_runs_code: bool = False) -> Compartment:
        return Compartment(
            self.function,
            self._plugin.bulkhead,
            Converter(self._what, self._plugin),
            self.arguments if self._checked else None,
            output_runs_code,
        )


def _context_parameter(function: Function) -> str | None:
    """Return the parameter that is annotated with the SDK's or the host's Context, alone or in a union."""
    for parameter in function.signature.parameters.values():
        for kind in (parameter.annotation, *get_args(parameter.annotation)):
            origin = getattr(kind, "__origin__", kind)
            if isinstance(origin, type) and issubclass(origin, SDKContext):
                return parameter.name
    return None


def _annotated(function: Function) -> Callable[..., Any]:
    """Return a function from which the SDK reads the evaluated annotations of another one."""

    def shown() -> None: ...

    shown.__name__ = shown.__qualname__ = function.name
    shown.__signature__ = function.signature  # type: ignore[attr-defined]
    shown.__annotations__ = {
        name: parameter.annotation
        for name, parameter in function.signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }
    if function.signature.return_annotation is not inspect.Signature.empty:
        shown.__annotations__["return"] = function.signature.return_annotation
    return shown


def python_resource(
    plugin: LoadedPlugin, template: UriTemplate, resource: Resource, mime_type: str, meta: dict[str, Any]
) -> ResourceBody:
    """Return a resource whose function returns its contents. The template's variables are the parameters."""
    reader = _Reader(plugin, f"resource {resource.uri}", inspect_function(resource.fn))
    variables, parameters = set(template.variable_names), {parameter.name for parameter in reader.parameters}
    if parameters != variables:
        raise HostError(
            f"its URI has the variables {_names(variables)} and its function the parameters {_names(parameters)}",
            hint="give them the same names",
        )
    for parameter in reader.parameters:
        if parameter.name in template.query_variable_names and parameter.default is parameter.empty:
            raise HostError(
                f"the query variable {parameter.name!r} has no default, and a client may leave it out",
                hint=f"write {parameter.name}=... in the function's signature",
            )
    compartment = reader.compartment()

    def finish(result: Any, measured: Size | None) -> Contents:
        return compartment.converter.contents(result, mime_type, meta, measured)

    async def run(arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> Contents:
        contents = cast("Contents", await compartment.run(arguments, reader.extra(context), finish))
        if isinstance(contents, types.InputRequiredResult) and not variables:
            raise TypeError("only a resource template can ask for input")
        return contents

    return ResourceBody(run, reader.function.name, reader.function.doc)


def _names(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def python_prompt(plugin: LoadedPlugin, name: str, prompt: Prompt) -> PromptBody:
    """Return a prompt whose function returns its messages."""
    reader = _Reader(plugin, f"prompt {name}", inspect_function(prompt.fn))
    compartment = reader.compartment()
    description = prompt.description or reader.function.doc or None

    def finish(result: Any, measured: Size | None) -> PromptResult:
        return compartment.converter.prompt_result(result, description, measured)

    async def run(arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> PromptResult:
        missing = sorted(reader.arguments.required - set(arguments))
        if missing:
            raise BadArgumentsError(f"Prompt {name}: missing argument {', '.join(missing)}")
        return cast("PromptResult", await compartment.run(arguments, reader.extra(context), finish))

    properties = reader.arguments.schema.get("properties", {})
    arguments = [
        types.PromptArgument(
            name=argument, description=described.get("description"), required=argument in reader.arguments.required
        )
        for argument, described in properties.items()
    ]
    return PromptBody(run, reader.function.doc, arguments)


def python_completer(plugin: LoadedPlugin, what: str, fn: Callable[..., Any]) -> Complete:
    """Return the function that asks a completer. The completer gets what it has parameters for.

    Raises:
        HostError: It has no parameter for the typed value, or more parameters than the host can fill.
    """
    reader = _Reader(plugin, what, inspect_function(fn), checked=False)
    # After the value, a parameter with a default is not filled, unless it is `arguments`.
    value, *rest = [
        parameter.name
        for index, parameter in enumerate(reader.parameters)
        if index == 0 or parameter.name == "arguments" or parameter.default is parameter.empty
    ] or [""]
    if not value or len(rest) > 1:
        raise HostError("a completer takes the value typed so far, and may take the other arguments and a Context")
    compartment = replace(reader.compartment(), most_items=MOST_COUNTED + 1)

    def finish(result: Any, measured: Size | None) -> types.Completion:
        return compartment.converter.completion(result)

    async def complete(question: Question, context: SDKContext[Any, Any]) -> types.Completion:
        given: dict[str, Any] = {value: question.value}
        if rest:
            given[rest[0]] = dict(question.chosen)
        return cast("types.Completion", await compartment.run(given, reader.extra(context), finish))

    return complete


def prepared_tool(plugin: LoadedPlugin, name: str, prepared: PreparedTool) -> ToolBody:
    """Return a tool that an `MCPServer` has made.

    Its function is run like any other, and its input schema stays as published. If the host cannot read the function,
    the SDK's metadata runs it.
    """
    tool = prepared.sdk
    published = tool.fn_metadata
    try:
        if published.output_schema is not None and published.output_model is None:
            return _sdk_tool(plugin, name, tool)  # The author wrote the metadata by hand.
        structured = published.output_schema is not None
        as_it_is = Tool(tool.fn, input_schema=tool.parameters, structured_output=structured)
        return python_tool(plugin, name, as_it_is)
    except HostError:
        return _sdk_tool(plugin, name, tool)


def _sdk_tool(plugin: LoadedPlugin, name: str, tool: SDKTool) -> ToolBody:
    metadata = tool.fn_metadata
    function = Function(tool.fn, name, "", inspect.Signature(), tool.is_async)
    # The metadata may be of a class of the author, whose code may run.
    compartment = Compartment(function, plugin.bulkhead, Converter(f"tool {name}", plugin), output_runs_code=True)
    depth = plugin.limits.argument_depth
    params, plans = with_own_resolvers(tool.resolved_params, tool.resolver_plans, plugin.bulkhead)

    def finish(result: Any, measured: Size | None) -> ToolResult:
        return compartment.converter.tool_result(metadata.convert_result(compartment.converter.drained(result)), None)

    async def run(arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> ToolResult:
        try:
            model = metadata.arg_model.model_validate(dict(arguments))
        except ValidationError as error:
            try:
                read = with_json_read(arguments, list(arguments), depth)
                model = metadata.arg_model.model_validate(read)
            except ValidationError:
                text = f"Invalid arguments for tool {name}: {describe_validation(error)}"
                raise BadArgumentsError(text) from None
        extra = {} if tool.context_kwarg is None else {tool.context_kwarg: context}
        if params:
            given = model.model_dump_one_level()
            resolved = await resolve_arguments(params, plans, given, context)
            if isinstance(resolved, types.InputRequiredResult):
                return resolved
            extra = {**extra, **resolved}
        return cast("ToolResult", await compartment.run(model.model_dump_one_level(), extra, finish))

    return ToolBody(run, tool.description, tool.parameters, tool.output_schema)
