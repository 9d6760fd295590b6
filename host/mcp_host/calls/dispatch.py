"""The one pipeline of every call, read, prompt and completion, from any transport or plugin."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar, cast

import mcp.types as types
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context as SDKContext
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS

from mcp_host.api import Call, Middleware
from mcp_host.calls.asking import AskingSession, answer_error_in
from mcp_host.calls.observers import Ending, Observers
from mcp_host.calls.outgoing import Outgoing, OutgoingError, new_error_id, unexpected
from mcp_host.catalog.catalog import Catalog
from mcp_host.catalog.forms import AnswerError
from mcp_host.catalog.generations import Generations
from mcp_host.catalog.results import Contents, PromptResult, ToolResult
from mcp_host.catalog.served import Question, Served
from mcp_host.catalog.sizes import measure
from mcp_host.containment.runner import Outcome, Work, run_apart
from mcp_host.context import Context
from mcp_host.errors import BadArgumentsError, RefusedError, did_you_mean, str_of
from mcp_host.plugins.bulkhead import Visit
from mcp_host.plugins.plugin import LoadedPlugin

logger = logging.getLogger(__name__)

CallKind = Literal["tool", "resource", "prompt"]
_T = TypeVar("_T")


class FailedError(Exception):
    """A failed call as its caller may see it: the text, and the code where the protocol has one."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class UnfitError(FailedError):
    """A failed call: its arguments do not fit."""


class Dispatcher:
    """Runs what a catalog serves: find the owner, authorize, limit, deadline, middleware, scoped Context, run, mask.

    A call, and each resource that it reads, uses the generation with which the call started. With `debug`, callers see
    the text of crashes. With `authorize`, scopes are checked against the request's token. `after_call` is called with
    the plugin whose code has just run.
    """

    def __init__(
        self,
        generations: Generations,
        *,
        outgoing: Outgoing,
        observers: Observers,
        debug: bool = False,
        authorize: bool = False,
        after_call: Callable[[LoadedPlugin], None] | None = None,
    ) -> None:
        self._generations = generations
        self._outgoing = outgoing
        self._observers = observers
        self._debug = debug
        self._authorize = authorize
        self._after_call = after_call or (lambda plugin: None)
        self.closing = False

    # Requests

    async def call_tool(self, name: str, arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> ToolResult:
        """Call a tool.

        A failure of the tool is a result with `is_error`, for the model to read.

        Raises:
            MCPError: Raised by the tool's own function, or -32602 for an unknown tool.
        """
        with self._ending("tools/call", name, context) as ending:
            catalog = self._catalog_of(context, ending)
            tool = catalog.tools.get(name)
            if tool is None:
                ending.reason = "unknown"
                raise MCPError(INVALID_PARAMS, f"Unknown tool: {name}{did_you_mean(name, catalog.tools)}")
            try:
                result = cast("ToolResult", await self._call("tool", tool, name, arguments, context, catalog, ending))
            except FailedError as error:
                return _tool_error(error.text)
            except ResourceNotFoundError as error:
                return _tool_error(str(error))
            if isinstance(result, types.CallToolResult) and result.is_error:
                ending.reason = "failed"
            return result

    async def read_resource(self, uri: str, context: SDKContext[Any, Any]) -> Contents:
        """Read a resource for a client, or for a plugin that calls `ctx.read_resource`.

        Raises:
            ResourceNotFoundError: No resource or template has this URI.
            ResourceError: Reading failed; the text is for the caller.
            MCPError: Raised by the resource's own function.
        """
        with self._ending("resources/read", uri, context) as ending:
            catalog = self._catalog_of(context, ending)
            try:
                served, arguments = catalog.find_resource(uri)
            except ResourceNotFoundError:
                ending.reason = "unknown"
                raise
            try:
                return cast("Contents", await self._call("resource", served, uri, arguments, context, catalog, ending))
            except UnfitError as error:
                raise ResourceNotFoundError(f"Unknown resource: {uri} ({error.text})") from None
            except FailedError as error:
                raise ResourceError(error.text) from None

    async def get_prompt(self, name: str, arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> PromptResult:
        """Render a prompt.

        Raises:
            MCPError: -32602 for an unknown prompt, a missing or unfit argument or a `ToolError`; -32603 otherwise.
        """
        with self._ending("prompts/get", name, context) as ending:
            catalog = self._catalog_of(context, ending)
            prompt = catalog.prompts.get(name)
            if prompt is None:
                ending.reason = "unknown"
                raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name}{did_you_mean(name, catalog.prompts)}")
            try:
                return cast(
                    "PromptResult", await self._call("prompt", prompt, name, arguments, context, catalog, ending)
                )
            except FailedError as error:
                raise OutgoingError(error.code, error.text) from None

    async def complete(
        self,
        ref: types.PromptReference | types.ResourceTemplateReference,
        argument: types.CompletionArgument,
        chosen: types.CompletionContext | None,
        context: SDKContext[Any, Any],
    ) -> types.Completion:
        """Complete one argument. Without a completer, there are no candidates.

        At most 100 values are returned (spec: Completion). `has_more` is true if there are more.

        Raises:
            MCPError: -32602 for a prompt or template that is not served; -32603 when the completer fails.
        """
        name = ref.name if isinstance(ref, types.PromptReference) else str(ref.uri)
        with self._ending("completion/complete", name, context) as ending:
            catalog = self._catalog_of(context, ending)
            served: Served | None
            if isinstance(ref, types.PromptReference):
                served = catalog.prompts.get(name)
            else:
                served = catalog.templates.get(name) or catalog.resources.get(name)
            if served is None:
                ending.reason = "unknown"
                raise MCPError(INVALID_PARAMS, f"Unknown completion reference: {name}")
            ending.of(served)
            completer = catalog.completer_of(served, argument.name)
            if completer is None:
                return types.Completion(values=[])
            given = dict((chosen and chosen.arguments) or {})
            question = Question(ref, argument.name, argument.value, given)
            what = f"completion of {argument.name} for {name}"
            # An adopted server completes arguments of any name.
            work = self._work(served, what, f"a completion for {name}")
            run = partial(completer, question, self._scoped(context, work, served.plugin, catalog, served))
            try:
                completion = await self._run(
                    work, served, {argument.name: argument.value, **given}, catalog, run, ending, context
                )
                return self._outgoing.of(served.plugin).completion(completion)
            except FailedError as error:
                raise OutgoingError(INTERNAL_ERROR, error.text) from None

    # The pipeline

    def _ending(self, method: str, name: str, context: SDKContext[Any, Any]) -> Ending:
        """Return the notes for observers about the current request."""
        nested = isinstance(context, Context) and context.catalog is not None
        ending = self._observers.part(method, context.protocol_version, nested=nested)
        ending.asked_for(name)
        return ending

    def _catalog_of(self, context: SDKContext[Any, Any], ending: Ending) -> Catalog:
        """Return the generation of a request: its caller's for a nested read, otherwise the current one.

        Raises:
            MCPError: -32603 for a new request while the host stops.
        """
        if isinstance(context, Context) and context.catalog is not None:
            return cast("Catalog", context.catalog)
        if self.closing:
            ending.reason = "shutting-down"
            raise MCPError(INTERNAL_ERROR, "The server is shutting down")
        return self._generations.current

    def _work(self, served: Served, what: str, item: str) -> Work:
        deadline = None if served.timeout is None else asyncio.get_running_loop().time() + served.timeout
        return Work(served.plugin, what, deadline, item=item)

    def _scoped(
        self, context: SDKContext[Any, Any], work: Work, plugin: LoadedPlugin, catalog: Catalog, served: Served
    ) -> Context[Any, Any]:
        """Return the context of a plugin for a call of `served`. A middleware's plugin may not be the owner."""
        extends = served.timeout is not None and served.plugin.limits.progress_extends
        return Context.scoped(
            context,
            plugin.own_context,
            plugin.state,
            catalog,
            on_progress=partial(work.extend, cast("float", served.timeout)) if extends else None,
            session=partial(AskingSession, asking=work.asking, outgoing=self._outgoing.of(plugin)),
        )

    async def _call(
        self,
        kind: CallKind,
        served: Served,
        name: str,
        arguments: Mapping[str, Any],
        context: SDKContext[Any, Any],
        catalog: Catalog,
        ending: Ending,
    ) -> Any:
        """Run an item with the middleware around it."""
        ending.of(served)
        work = self._work(served, f"{kind} {name}", f"{kind} {served.name}")
        call = Call(
            kind, served.plugin.name, name, arguments, self._scoped(context, work, served.plugin, catalog, served)
        )
        middleware = catalog.middleware.get(served.plugin, ())
        if middleware:
            scoped = partial(self._scoped, context, work, catalog=catalog, served=served)
            passage = _Passage(work, served, call, middleware, scoped, self._after_call)
            return await self._run(work, served, arguments, catalog, passage.run, ending, context)
        run = partial(served.run, arguments, call.context)
        return await self._run(work, served, arguments, catalog, run, ending, context)

    async def _run(
        self,
        work: Work,
        served: Served,
        arguments: Mapping[str, Any],
        catalog: Catalog,
        run: Callable[[], Awaitable[_T]],
        ending: Ending,
        context: SDKContext[Any, Any],
    ) -> _T:
        """Run one piece of work within its plugin's limits.

        Raises:
            FailedError: It failed in any other way than below.
            MCPError, ResourceNotFoundError: Raised by the plugin, for the caller.
            asyncio.CancelledError: The caller left.
        """
        what, plugin = work.what, served.plugin
        outgoing = self._outgoing.of(plugin)
        try:
            self._check_scopes(served)
            check_arguments(arguments, what, plugin)
            with self._generations.call(catalog), await plugin.bulkhead.enter(work.deadline) as visit:
                outcome = await run_apart(run(), work)
                failed = outcome.timed_out or outcome.error is not None
                left = failed and await _caller_has_left(context)
                self._note(visit, work, plugin, outcome, served.timeout, caller_has_left=left)
            if outcome.unanswered:
                most = work.plugin.limits.answer_timeout
                raise RefusedError(
                    f"{work} was stopped: the client did not answer its question within {most:g} s", "unanswered"
                )
            if outcome.timed_out:
                raise RefusedError(f"{work} did not finish within {served.timeout:g} s and was stopped", "timed-out")
            return cast("_T", outgoing.result(outcome.result()))
        except AnswerError as error:
            raise FailedError(outgoing.text(self._explain(error, work, ending)), INTERNAL_ERROR) from None
        except MCPError as error:
            ending.reason = "failed"
            raise outgoing.error(error) from error.__cause__
        except ResourceNotFoundError as error:
            ending.reason = "failed"
            raise ResourceNotFoundError(outgoing.text(str_of(error))) from None
        except BadArgumentsError as error:
            ending.reason = error.reason
            raise UnfitError(outgoing.text(str(error)), INVALID_PARAMS) from None
        except RefusedError as error:
            ending.reason = error.reason
            raise FailedError(outgoing.text(str(error)), INTERNAL_ERROR) from None
        except BaseException as error:
            if _is_cancellation(error):
                raise
            code = INVALID_PARAMS if _anticipated(error) else INTERNAL_ERROR
            raise FailedError(outgoing.text(self._explain(error, work, ending)), code) from None
        finally:
            self._after_call(work.plugin)

    @staticmethod
    def _note(
        visit: Visit,
        work: Work,
        plugin: LoadedPlugin,
        outcome: Outcome[Any],
        timeout: float | None,
        *,
        caller_has_left: bool,
    ) -> None:
        """Report success or failure to the plugin's circuit breaker, unless a middleware or the client failed."""
        error = outcome.error
        if outcome.unanswered or answer_error_in(error) is not None:
            return
        if outcome.timed_out:
            failure = f"{work.item} did not finish within {timeout:g} s"
            logger.warning("%s did not finish within %g s and was stopped", work, timeout)
        elif error is None or _anticipated(error) or isinstance(error, _ANSWERS):
            visit.succeeded()
            return
        else:
            failure = f"{work.item} raised {type(error).__name__}"
        if work.plugin is plugin and not caller_has_left:
            visit.failed(failure)

    def _check_scopes(self, served: Served) -> None:
        if not self._authorize or not served.scopes:
            return
        token = get_access_token()
        missing = sorted(served.scopes - set(token.scopes if token else ()))
        if missing:
            raise RefusedError(
                f"{served.name} needs the scope {', '.join(missing)}, which this token does not have", "denied"
            )

    def _explain(self, error: BaseException, work: Work, ending: Ending) -> str:
        """Return the text for the caller: that of an anticipated failure, or the id of a crash in the log."""
        shown = error if _anticipated(error) else answer_error_in(error)
        if shown is not None:
            text = str_of(shown)
            ending.reason = "unanswered" if isinstance(shown, AnswerError) else "failed"
            logger.info("%s failed: %r", work, text)
            return text
        error_id = new_error_id()
        ending.crashed(error_id)
        logger.error("%s crashed (error %s)", work, error_id, exc_info=error)
        text = unexpected(work.what, error_id)
        if self._debug:
            text += f": {type(error).__name__}: {str_of(error)}"
        return text[0].upper() + text[1:]


_ANSWERS = (MCPError, ResourceNotFoundError, BadArgumentsError, RefusedError)
"""Exceptions that do not count as failures of the plugin."""


@dataclass
class _Passage:
    """One call on its way through the middleware to the item. `work` names the plugin whose code is running.

    Each middleware gets the context of its own plugin, and the item gets its owner's. Of the call that a middleware
    passes on, only the `arguments` are used.
    """

    work: Work
    served: Served
    call: Call
    middleware: Sequence[tuple[LoadedPlugin, Middleware]]
    scoped: Callable[[LoadedPlugin], Context[Any, Any]]
    after_call: Callable[[LoadedPlugin], None]

    async def run(self) -> Any:
        return await self._step(0, self.call.arguments)

    async def _step(self, index: int, arguments: Mapping[str, Any]) -> Any:
        if index == len(self.middleware):
            self.work.plugin = self.served.plugin
            return await self.served.run(arguments, self.call.context)
        plugin, middleware = self.middleware[index]
        inner = self.middleware[index + 1][0] if index + 1 < len(self.middleware) else self.served.plugin
        self.work.plugin = plugin

        async def call_next(call: Call) -> Any:
            self.after_call(plugin)
            result = await self._step(index + 1, call.arguments)
            # This is skipped if it raised, so that the failure counts against the inner plugin.
            self.after_call(inner)
            self.work.plugin = plugin
            return result

        context = self.call.context if plugin is self.served.plugin else self.scoped(plugin)
        return await middleware(replace(self.call, arguments=arguments, context=context), call_next)


def _tool_error(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


def check_arguments(arguments: Mapping[str, Any], what: str, plugin: LoadedPlugin) -> None:
    """Check the size, depth and numbers of arguments before they are used.

    Raises:
        BadArgumentsError: They are larger or deeper than the plugin's limits, or have a number that JSON does not have.
    """
    limits = plugin.limits
    size = measure(arguments, limits.argument_size, limits.argument_depth)
    if size.size > limits.argument_size:
        text = f"The arguments of {what} are larger than {limits.argument_size} bytes"
        raise BadArgumentsError(text, "too-large")
    if size.depth > limits.argument_depth:
        text = f"The arguments of {what} are nested deeper than {limits.argument_depth} levels"
        raise BadArgumentsError(text, "too-large")
    if not size.finite:
        raise BadArgumentsError(f"The arguments of {what} have a number that is too large, NaN or an infinity")


def _anticipated(error: BaseException) -> bool:
    """Return whether the text is for the caller. This is the SDK's rule for what is not a crash."""
    return isinstance(error, ToolError | ResourceError) and not isinstance(
        error, UnexpectedToolError | UnexpectedResourceError
    )


async def _caller_has_left(context: SDKContext[Any, Any]) -> bool:
    """Return whether the client has closed the connection of its request over HTTP.

    A call of a handshake version goes on then, and what it sends to its client hangs or fails.
    """
    try:
        request: Any = context.request_context.request
    except ValueError:  # it is not for a request
        return False
    return request is not None and bool(await request.is_disconnected())


def _is_cancellation(error: BaseException) -> bool:
    """Return whether this call is being cancelled. A function that raises the exception itself has crashed."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
