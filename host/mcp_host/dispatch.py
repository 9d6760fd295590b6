"""The one pipeline every call, read, prompt and completion goes through, whichever way it came in."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar, cast

import anyio
import mcp.types as types
import pydantic_core
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context as SDKContext
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.server.mcpserver.prompts.base import Message, UserMessage, message_validator
from mcp.server.mcpserver.resolve import resolve_arguments
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.server.mcpserver.utilities.types import Audio, Image
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic import BaseModel, ValidationError

from mcp_host.api import Call, Middleware
from mcp_host.binding import Bound, Served, ServedPrompt, ServedResource, ServedTemplate, ServedTool
from mcp_host.catalog import Catalog
from mcp_host.config.secrets import Redactor
from mcp_host.context import Context
from mcp_host.errors import did_you_mean, text_of
from mcp_host.generations import Generations
from mcp_host.loader import LoadedPlugin

logger = logging.getLogger(__name__)

Kind = Literal["tool", "resource", "prompt"]
_T = TypeVar("_T")
_ToolResult = types.CallToolResult | types.InputRequiredResult
_Contents = list[ReadResourceContents] | types.InputRequiredResult
_PromptResult = types.GetPromptResult | types.InputRequiredResult


class RefusedError(Exception):
    """The host, not the plugin, ended the call; the text is for the caller."""


class BadArgumentsError(Exception):
    """The caller's arguments do not fit; the text names the fields and echoes no value."""


class Dispatcher:
    """Runs what a catalog serves: find the owner, authorize, deadline, middleware, scoped Context, run, mask.

    A call keeps the generation it started with, for what it reads in turn, too. With `debug`, callers see
    the text of crashes. `authorize` turns on the check of scopes against the request's token.
    """

    def __init__(
        self, generations: Generations, *, redactor: Redactor, debug: bool = False, authorize: bool = False
    ) -> None:
        self._generations = generations
        self._redactor = redactor
        self._debug = debug
        self._authorize = authorize

    # Doors

    async def call_tool(self, name: str, arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> _ToolResult:
        """Call a tool.

        Anything that goes wrong in the tool is a result with `is_error`, for the model to read. An `MCPError`
        of the tool's own, and a name that is not served (-32602), are protocol errors.
        """
        catalog = self._catalog_of(context)
        tool = catalog.tools.get(name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {name}{did_you_mean(name, catalog.tools)}")

        async def invoke(call: Call) -> _ToolResult:
            return await _invoke_tool(tool, call)

        try:
            return await self._run("tool", tool, name, arguments, context, invoke, catalog)
        except MCPError:
            raise
        except (RefusedError, BadArgumentsError) as error:
            return _tool_error(str(error))
        except BaseException as error:
            if _is_cancellation(error):
                raise
            return _tool_error(self._explain(error, f"tool {name}", tool.plugin))

    async def read_resource(self, uri: str, context: SDKContext[Any, Any]) -> _Contents:
        """Read a resource, whoever asks: a client, or a plugin through `ctx.read_resource`.

        Raises:
            ResourceNotFoundError: No resource or template has this URI.
            ResourceError: Reading failed; the text is for the caller.
            MCPError: Raised by the resource's own function.
        """
        catalog = self._catalog_of(context)
        served, arguments = _find_resource(catalog, uri)

        async def invoke(call: Call) -> _Contents:
            content = await _run_bound(served.bound, arguments, call.context)
            return _contents(content, served)

        try:
            return await self._run("resource", served, uri, arguments, context, invoke, catalog)
        except (MCPError, ResourceNotFoundError):
            raise
        except (RefusedError, BadArgumentsError) as error:
            raise ResourceError(str(error)) from None
        except BaseException as error:
            if _is_cancellation(error):
                raise
            raise ResourceError(self._explain(error, f"resource {uri}", served.plugin)) from None

    async def get_prompt(self, name: str, arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> _PromptResult:
        """Render a prompt.

        Raises:
            MCPError: -32602 for an unknown prompt, a missing or unfit argument or a `ToolError`; -32603 otherwise.
        """
        catalog = self._catalog_of(context)
        prompt = catalog.prompts.get(name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name}{did_you_mean(name, catalog.prompts)}")

        async def invoke(call: Call) -> _PromptResult:
            return await _invoke_prompt(prompt, call)

        try:
            return await self._run("prompt", prompt, name, arguments, context, invoke, catalog)
        except MCPError:
            raise
        except BadArgumentsError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None
        except RefusedError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from None
        except BaseException as error:
            if _is_cancellation(error):
                raise
            code = INVALID_PARAMS if _anticipated(error) else INTERNAL_ERROR
            raise MCPError(code, self._explain(error, f"prompt {name}", prompt.plugin)) from None

    async def complete(
        self,
        ref: types.PromptReference | types.ResourceTemplateReference,
        argument: types.CompletionArgument,
        chosen: types.CompletionContext | None,
        context: SDKContext[Any, Any],
    ) -> types.Completion:
        """Complete one argument; no completer means no candidates.

        At most 100 values are returned (spec: Completion); `has_more` says when some were left out.

        Raises:
            MCPError: -32602 for a prompt or template that is not served; -32603 when the completer fails.
        """
        catalog = self._catalog_of(context)
        served: Served | None
        if isinstance(ref, types.PromptReference):
            name, served = ref.name, catalog.prompts.get(ref.name)
        else:
            name, served = str(ref.uri), catalog.templates.get(str(ref.uri)) or catalog.resources.get(str(ref.uri))
        if served is None:
            raise MCPError(INVALID_PARAMS, f"Unknown completion reference: {name}")
        plugin = served.plugin
        completer = catalog.completers.get((name, argument.name))
        everything = catalog.parts[plugin].server_completion
        scoped = Context.scoped(context, plugin.own_context, plugin.state, catalog)

        async def run() -> types.Completion:
            if completer is not None:
                given: dict[str, Any] = {completer.value_parameter: argument.value}
                if completer.arguments_parameter:
                    given[completer.arguments_parameter] = dict((chosen and chosen.arguments) or {})
                if completer.context_parameter:
                    given[completer.context_parameter] = scoped
                values = await completer.run(**given)
                return values if isinstance(values, types.Completion) else _completion(values)
            if everything is not None:
                found = everything.fn(_own_ref(ref, plugin), argument, chosen)
                result = await found if inspect.isawaitable(found) else found
                if isinstance(result, types.Completion):
                    return result
            return types.Completion(values=[])

        try:
            self._check_scopes(served)
            with self._generations.call(catalog):
                return await _within(served, f"completing {argument.name}", run())
        except MCPError:
            raise
        except RefusedError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from None
        except BaseException as error:
            if _is_cancellation(error):
                raise
            raise MCPError(INTERNAL_ERROR, self._explain(error, f"completion of {argument.name}", plugin)) from None

    # The pipeline

    def _catalog_of(self, context: SDKContext[Any, Any]) -> Catalog:
        """The generation a request belongs to: that of the call it is part of, or the current one."""
        if isinstance(context, Context) and context.catalog is not None:
            return cast("Catalog", context.catalog)
        return self._generations.current

    async def _run(
        self,
        kind: Kind,
        served: Served,
        name: str,
        arguments: Mapping[str, Any],
        context: SDKContext[Any, Any],
        invoke: Callable[[Call], Awaitable[_T]],
        catalog: Catalog,
    ) -> _T:
        plugin = served.plugin
        self._check_scopes(served)
        call = Call(
            kind, plugin.name, name, arguments, Context.scoped(context, plugin.own_context, plugin.state, catalog)
        )
        # The middleware of all plugins, the TOML's first plugin outermost.
        step: Callable[[Call], Awaitable[Any]] = invoke
        for _, middleware in reversed(catalog.middleware):
            step = partial(_through, middleware, step)
        with self._generations.call(catalog):
            result: _T = await _within(served, f"{kind} {name}", step(call))
        return result

    def _check_scopes(self, served: Served) -> None:
        if not self._authorize or not served.scopes:
            return
        token = get_access_token()
        missing = sorted(served.scopes - set(token.scopes if token else ()))
        if missing:
            raise RefusedError(f"{served.name} needs the scope {', '.join(missing)}, which this token does not have")

    # Failures

    def _explain(self, error: BaseException, what: str, plugin: LoadedPlugin) -> str:
        """The text a caller sees: an anticipated failure's own, or an id that finds the crash in the log."""
        if _anticipated(error):
            logger.info("%s of plugin %s failed: %r", what, plugin.name, str(error))
            return self._redactor.redact(str(error))
        error_id = secrets.token_hex(4)
        logger.error("%s of plugin %s crashed (error %s)", what, plugin.name, error_id, exc_info=error)
        text = f"{what} failed unexpectedly (error {error_id}; the server's log has the details)"
        if self._debug:
            text += f": {text_of(error)}"
        return self._redactor.redact(text[0].upper() + text[1:])


async def _through(middleware: Middleware, step: Callable[[Call], Awaitable[Any]], call: Call) -> Any:
    return await middleware(call, step)


async def _within(served: Served, what: str, running: Awaitable[_T]) -> _T:
    """Await under the deadline of what is served."""
    if served.timeout is None:
        return await running
    with anyio.move_on_after(served.timeout) as scope:
        return await running
    assert scope.cancelled_caught
    raise RefusedError(
        f"{what} of plugin {served.plugin.name} did not finish within {served.timeout:g} s and was stopped"
    )


# One door's own part of the pipeline: validate, run, convert


async def _invoke_tool(tool: ServedTool, call: Call) -> _ToolResult:
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
    result = await sdk.fn(**arguments, **extra)
    converted = metadata.convert_result(result)
    if isinstance(converted, types.CallToolResult) and _is_plain_object(result):
        # The SDK shows such an object as its repr; its text should say what its structured content says.
        text = pydantic_core.to_json(converted.structured_content, indent=2).decode()
        return converted.model_copy(update={"content": [types.TextContent(type="text", text=text)]})
    return converted


async def _invoke_prompt(prompt: ServedPrompt, call: Call) -> _PromptResult:
    missing = sorted(prompt.required - set(call.arguments))
    if missing:
        raise BadArgumentsError(f"Prompt {prompt.name}: missing argument {', '.join(missing)}")
    metadata = prompt.bound.metadata
    arguments = _validated(metadata, call.arguments, f"prompt {prompt.name}")
    rendered = await _run_bound(prompt.bound, arguments, call.context)
    if isinstance(rendered, types.InputRequiredResult):
        return rendered
    return types.GetPromptResult(
        description=prompt.wire.description,
        messages=[types.PromptMessage(role=message.role, content=message.content) for message in _messages(rendered)],
    )


async def _run_bound(bound: Bound, arguments: Mapping[str, Any], context: Any) -> Any:
    if bound.context_parameter is not None:
        return await bound.run(**arguments, **{bound.context_parameter: context})
    return await bound.run(**arguments)


def _find_resource(catalog: Catalog, uri: str) -> tuple[ServedResource | ServedTemplate, Mapping[str, Any]]:
    """Return what serves the URI and the arguments it carries: fixed URIs first, then templates in order."""
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


# Conversions


def _contents(content: Any, served: ServedResource | ServedTemplate) -> _Contents:
    if isinstance(content, types.InputRequiredResult):
        if isinstance(served, ServedResource):
            raise TypeError("only a resource template can ask for input")
        return content
    if not isinstance(content, str | bytes):
        content = pydantic_core.to_json(content, fallback=str, indent=2).decode()
    return [ReadResourceContents(content=content, mime_type=served.mime_type, meta=served.wire.meta)]


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


_MOST_VALUES = 100


def _completion(values: Iterable[str]) -> types.Completion:
    candidates = [str(value) for value in values]
    return types.Completion(
        values=candidates[:_MOST_VALUES], total=len(candidates), has_more=len(candidates) > _MOST_VALUES
    )


def _own_ref(ref: Any, plugin: LoadedPlugin) -> Any:
    """The reference under the name its author gave it, for an adopted server's one handler."""
    prefix = plugin.section.prefix
    if isinstance(ref, types.PromptReference) and prefix:
        return ref.model_copy(update={"name": ref.name.removeprefix(prefix)})
    return ref


_PLAIN_TYPES = (BaseModel, dict, list, tuple, str, int, float, bool, bytes, types.CallToolResult, type(None))


def _is_plain_object(result: Any) -> bool:
    """Whether a tool returned an instance of an ordinary annotated class, which JSON alone cannot say."""
    return (
        not isinstance(result, (*_PLAIN_TYPES, Image, Audio, types.InputRequiredResult))
        and not hasattr(result, "__dataclass_fields__")
        and bool(getattr(type(result), "__annotations__", None))
    )


def _tool_error(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


# What went wrong


def _anticipated(error: BaseException) -> bool:
    """Whether the author meant the caller to read the text: the SDK's rule for what is not a crash."""
    return isinstance(error, ToolError | ResourceError) and not isinstance(
        error, UnexpectedToolError | UnexpectedResourceError
    )


def _is_cancellation(error: BaseException) -> bool:
    """Whether this call is being cancelled; a function that raises the exception by itself has crashed."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


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
