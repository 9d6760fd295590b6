"""What is particular to tools, resources, prompts and completers: arguments in, the function run, the result out."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import mcp.types as types
import pydantic_core
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.mcpserver.prompts.base import Message, UserMessage, message_validator
from mcp.server.mcpserver.resolve import resolve_arguments
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.server.mcpserver.utilities.types import Audio, Image
from pydantic import BaseModel, ValidationError

from mcp_host.api import Call
from mcp_host.catalog.catalog import Catalog
from mcp_host.catalog.served import Bound, Completer, ServedPrompt, ServedResource, ServedTemplate, ServedTool
from mcp_host.catalog.sizes import cut_text, is_encodable, measure, text_size
from mcp_host.errors import BadArgumentsError, RefusedError, did_you_mean
from mcp_host.plugins.plugin import LoadedPlugin

ToolResult = types.CallToolResult | types.InputRequiredResult
Contents = list[ReadResourceContents] | types.InputRequiredResult
PromptResult = types.GetPromptResult | types.InputRequiredResult

# Tools


async def invoke_tool(tool: ServedTool, call: Call) -> ToolResult:
    """Validate, run, and convert as the return annotation says.

    Raises:
        BadArgumentsError: The arguments do not fit.
        RefusedError: The result is too large to be cut, or JSON cannot say it.
    """
    sdk = tool.sdk
    metadata = sdk.fn_metadata
    arguments = _validated(metadata, call.arguments, f"tool {tool.name}")
    extra: dict[str, Any] = {}
    if sdk.context_kwarg is not None:
        extra[sdk.context_kwarg] = call.context
    if sdk.resolved_params:
        resolved = await resolve_arguments(sdk.resolved_params, sdk.resolver_plans, arguments, call.context)
        if isinstance(resolved, types.InputRequiredResult):
            return resolved
        extra |= resolved
    what, plugin = f"tool {tool.name}", tool.plugin
    result = _capped(await sdk.fn(**arguments, **extra), what, plugin)
    converted = metadata.convert_result(result)
    if isinstance(converted, types.CallToolResult):
        if result is converted:
            # The tool's own: nothing has looked yet whether it is one, and whether JSON can say it.
            types.CallToolResult.model_validate_json(converted.model_dump_json(by_alias=True, warnings=False))
        if _is_plain_object(result):
            # The SDK shows such an object as its repr; its text should say what its structured content says.
            text = pydantic_core.to_json(converted.structured_content, indent=2).decode()
            return converted.model_copy(update={"content": [types.TextContent(type="text", text=text)]})
    return converted


def _capped(result: Any, what: str, plugin: LoadedPlugin) -> Any:
    """Return the result, its text cut if need be.

    Raises:
        RefusedError: It is too large and no text, or holds numbers that JSON does not have.
    """
    most = plugin.limits.result_size
    if isinstance(result, str) and is_encodable(result):
        return cut_text(result, most, _whose(plugin))
    if isinstance(result, Iterator):
        # One that never ends would be made into a list for ever.
        result = list(islice(result, most + 1))
    if isinstance(result, types.CallToolResult) and _is_text(result):
        return _with_cut_text(result, most, _whose(plugin))
    _refuse_larger(result, what, plugin)
    return result


def _refuse_larger(result: object, what: str, plugin: LoadedPlugin) -> None:
    most = plugin.limits.result_size
    size = measure(result, most)
    if size.size > most:
        raise RefusedError(
            f"The result of {what} is larger than the {most} bytes that {_whose(plugin)} may return. Ask for less of it"
        )
    if not size.finite:
        raise RefusedError(f"The result of {what} holds a NaN or an infinity, which JSON cannot say")
    if not size.encodable:
        raise RefusedError(f"The result of {what} holds half of a surrogate pair, which UTF-8 cannot say")


def _is_text(result: types.CallToolResult) -> bool:
    return result.structured_content is None and all(
        isinstance(block, types.TextContent) and is_encodable(block.text) for block in result.content
    )


def _with_cut_text(result: types.CallToolResult, most: int, whose: str) -> types.CallToolResult:
    blocks: list[types.ContentBlock] = []
    for block in result.content:
        assert isinstance(block, types.TextContent)
        size = text_size(block.text)
        if size > most:
            text = cut_text(block.text, most, whose)
            return result.model_copy(update={"content": [*blocks, block.model_copy(update={"text": text})]})
        blocks.append(block)
        most -= size
    return result


_PLAIN_TYPES = (BaseModel, dict, list, tuple, str, int, float, bool, bytes, types.CallToolResult, type(None))


def _is_plain_object(result: Any) -> bool:
    """Whether a tool returned an instance of an ordinary annotated class, which JSON alone cannot say."""
    return (
        not isinstance(result, (*_PLAIN_TYPES, Image, Audio, types.InputRequiredResult))
        and not hasattr(result, "__dataclass_fields__")
        and bool(getattr(type(result), "__annotations__", None))
    )


def _whose(plugin: LoadedPlugin) -> str:
    return f"plugin {plugin.name}"


# Resources


def find_resource(catalog: Catalog, uri: str) -> tuple[ServedResource | ServedTemplate, Mapping[str, Any]]:
    """Return what serves the URI and the arguments it carries: fixed URIs first, then templates in order.

    Raises:
        ResourceNotFoundError: Nothing does, or the URI's arguments do not fit.
    """
    fixed = catalog.resources.get(uri)
    if fixed is not None:
        return fixed, {}
    for template in catalog.templates.values():
        values = template.template.match(uri)
        if values is None:
            continue
        if template.security.validate(values) is not None:
            # Stop at the first template that refuses: a later, laxer one must not get what this one turned down.
            break
        metadata = template.bound.metadata
        try:
            return template, _validated(metadata, values, f"resource {uri}")
        except BadArgumentsError as error:
            raise ResourceNotFoundError(f"Unknown resource: {uri} ({error})") from None
    raise ResourceNotFoundError(f"Unknown resource: {uri}{did_you_mean(uri, catalog.resources)}")


async def invoke_resource(
    served: ServedResource | ServedTemplate, arguments: Mapping[str, Any], call: Call
) -> Contents:
    """Run the function and make contents of what it returns: text, bytes, or anything else as JSON.

    A function that knows better than its template which media type this is returns a `ReadResourceContents`.
    """
    returned = await _run_bound(served.bound, arguments, call.context)
    if isinstance(returned, types.InputRequiredResult):
        if isinstance(served, ServedResource):
            raise TypeError("only a resource template can ask for input")
        return returned
    own = returned if isinstance(returned, ReadResourceContents) else None
    content = own.content if own is not None else returned
    mime_type = (own and own.mime_type) or served.mime_type
    what, plugin = f"resource {call.name}", served.plugin
    if isinstance(content, str) and mime_type.startswith("text/") and is_encodable(content):
        content = cut_text(content, plugin.limits.result_size, _whose(plugin))
    elif isinstance(content, str | bytes):
        _refuse_larger(content, what, plugin)
    else:
        content = pydantic_core.to_json(_capped(content, what, plugin), fallback=str, indent=2).decode()
    return [ReadResourceContents(content=content, mime_type=mime_type, meta=(own and own.meta) or served.wire.meta)]


# Prompts


async def invoke_prompt(prompt: ServedPrompt, call: Call) -> PromptResult:
    """Validate, run, and make messages of what the function returns.

    Raises:
        BadArgumentsError: An argument is missing or does not fit.
    """
    missing = sorted(prompt.required - set(call.arguments))
    if missing:
        raise BadArgumentsError(f"Prompt {prompt.name}: missing argument {', '.join(missing)}")
    arguments = _validated(prompt.bound.metadata, call.arguments, f"prompt {prompt.name}")
    rendered = await _run_bound(prompt.bound, arguments, call.context)
    if isinstance(rendered, types.InputRequiredResult):
        return rendered
    messages = [types.PromptMessage(role=message.role, content=message.content) for message in _messages(rendered)]
    _refuse_larger(messages, f"prompt {prompt.name}", prompt.plugin)
    return types.GetPromptResult(description=prompt.wire.description, messages=messages)


def _messages(rendered: Any) -> Iterable[Message]:
    for item in rendered if isinstance(rendered, list | tuple) else [rendered]:
        if isinstance(item, Message):
            yield item
        elif isinstance(item, dict):
            yield message_validator.validate_python(item)
        elif isinstance(item, str | types.ContentBlock | Image | Audio):
            yield UserMessage(item)
        else:
            yield UserMessage(pydantic_core.to_json(item, fallback=str, indent=2).decode())


# Completers

_MOST_VALUES = 100
_MOST_COUNTED = 10_000


async def invoke_completer(
    completer: Completer, value: str, chosen: Mapping[str, str], context: Any
) -> types.Completion:
    """Ask an author's completer, passing what it has parameters for."""
    given: dict[str, Any] = {completer.value_parameter: value}
    if completer.arguments_parameter:
        given[completer.arguments_parameter] = dict(chosen)
    if completer.context_parameter:
        given[completer.context_parameter] = context
    values = await completer.run(**given)
    completion = values if isinstance(values, types.Completion) else _completion(values)
    _refuse_larger(completion, "a completion", completer.plugin)
    return completion


async def invoke_server_completion(
    handler: Any, ref: Any, argument: types.CompletionArgument, chosen: Any, plugin: LoadedPlugin
) -> types.Completion:
    """Ask an adopted server's one handler, which knows the names its author gave."""
    prefix = plugin.section.prefix
    if isinstance(ref, types.PromptReference) and prefix:
        ref = ref.model_copy(update={"name": ref.name.removeprefix(prefix)})
    found = handler(ref, argument, chosen)
    result = await found if inspect.isawaitable(found) else found
    completion = result if isinstance(result, types.Completion) else types.Completion(values=[])
    _refuse_larger(completion, "a completion", plugin)
    return completion


def _completion(values: Iterable[str]) -> types.Completion:
    # A completer may hand over an iterator without end.
    candidates = [str(value) for value in islice(values, _MOST_COUNTED + 1)]
    counted = len(candidates) <= _MOST_COUNTED
    return types.Completion(
        values=candidates[:_MOST_VALUES],
        total=len(candidates) if counted else None,
        has_more=len(candidates) > _MOST_VALUES,
    )


# Arguments


def check_arguments(arguments: Mapping[str, Any], what: str, plugin: LoadedPlugin) -> None:
    """Refuse arguments that are larger or deeper than the plugin takes, or not finite, before anything is made of them.

    Raises:
        BadArgumentsError: They are.
    """
    limits = plugin.limits
    size = measure(arguments, limits.argument_size, limits.argument_depth)
    if size.size > limits.argument_size:
        raise BadArgumentsError(f"The arguments of {what} are larger than {limits.argument_size} bytes")
    if size.depth > limits.argument_depth:
        raise BadArgumentsError(f"The arguments of {what} are nested deeper than {limits.argument_depth} levels")
    if not size.finite:
        raise BadArgumentsError(f"The arguments of {what} hold a number that is too large, NaN or an infinity")


async def _run_bound(bound: Bound, arguments: Mapping[str, Any], context: Any) -> Any:
    if bound.context_parameter is not None:
        return await bound.run(**arguments, **{bound.context_parameter: context})
    return await bound.run(**arguments)


def _validated(metadata: FuncMetadata, given: Mapping[str, Any], what: str) -> dict[str, Any]:
    try:
        return metadata.validate_arguments(dict(given))
    except ValidationError as error:
        lines = [describe_validation(error)]
        # Arguments nobody takes are passed over when the rest fits; here they are likely what went wrong.
        known = [field.alias or name for name, field in metadata.arg_model.model_fields.items()]
        lines += [f"there is no argument {name!r}{did_you_mean(name, known)}" for name in given if name not in known]
        raise BadArgumentsError(f"Invalid arguments for {what}: {'; '.join(lines)}") from None


def describe_validation(error: ValidationError) -> str:
    """Say which fields do not fit and why, without the values given and without addresses of the library's site."""
    lines = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in detail["loc"]) or "arguments"
        # The messages of tagged unions are the ones that quote the input.
        message = "the tag fits no variant" if detail["type"] == "union_tag_invalid" else detail["msg"]
        lines.append(f"{field}: {message}")
    return "; ".join(lines)
