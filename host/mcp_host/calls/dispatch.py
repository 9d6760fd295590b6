"""The one pipeline every call, read, prompt and completion goes through, whichever way it came in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
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
from mcp_host.asking import AnswerError, answer_error_in
from mcp_host.calls.outgoing import Outgoing, OutgoingError, new_error_id, unexpected
from mcp_host.catalog.catalog import Catalog
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

Kind = Literal["tool", "resource", "prompt"]
_T = TypeVar("_T")


class FailedError(Exception):
    """A call that came to nothing, as its caller may see it: the text, and the code where the protocol has one."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class UnfitError(FailedError):
    """A call whose arguments do not fit."""


class Dispatcher:
    """Runs what a catalog serves: find the owner, authorize, limit, deadline, middleware, scoped Context, run, mask.

    A call keeps the generation it started with, for what it reads in turn, too. With `debug`, callers see
    the text of crashes. `authorize` turns on the check of scopes against the request's token. `after_call` is told
    the plugin whose code has just run.
    """

    def __init__(
        self,
        generations: Generations,
        *,
        outgoing: Outgoing,
        debug: bool = False,
        authorize: bool = False,
        after_call: Callable[[LoadedPlugin], None] | None = None,
    ) -> None:
        self._generations = generations
        self._outgoing = outgoing
        self._debug = debug
        self._authorize = authorize
        self._after_call = after_call or (lambda plugin: None)
        self.closing = False

    # Doors

    async def call_tool(self, name: str, arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> ToolResult:
        """Call a tool.

        Anything that goes wrong in the tool is a result with `is_error`, for the model to read. An `MCPError`
        of the tool's own, and a name that is not served (-32602), are protocol errors.
        """
        catalog = self._catalog_of(context)
        tool = catalog.tools.get(name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {name}{did_you_mean(name, catalog.tools)}")
        try:
            return cast("ToolResult", await self._call("tool", tool, name, arguments, context, catalog))
        except FailedError as error:
            return types.CallToolResult(content=[types.TextContent(type="text", text=error.text)], is_error=True)

    async def read_resource(self, uri: str, context: SDKContext[Any, Any]) -> Contents:
        """Read a resource, whoever asks: a client, or a plugin through `ctx.read_resource`.

        Raises:
            ResourceNotFoundError: No resource or template has this URI.
            ResourceError: Reading failed; the text is for the caller.
            MCPError: Raised by the resource's own function.
        """
        catalog = self._catalog_of(context)
        served, arguments = catalog.find_resource(uri)
        try:
            return cast("Contents", await self._call("resource", served, uri, arguments, context, catalog))
        except UnfitError as error:
            raise ResourceNotFoundError(f"Unknown resource: {uri} ({error.text})") from None
        except FailedError as error:
            raise ResourceError(error.text) from None

    async def get_prompt(self, name: str, arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> PromptResult:
        """Render a prompt.

        Raises:
            MCPError: -32602 for an unknown prompt, a missing or unfit argument or a `ToolError`; -32603 otherwise.
        """
        catalog = self._catalog_of(context)
        prompt = catalog.prompts.get(name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name}{did_you_mean(name, catalog.prompts)}")
        try:
            return cast("PromptResult", await self._call("prompt", prompt, name, arguments, context, catalog))
        except FailedError as error:
            raise OutgoingError(error.code, error.text) from None

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
        completer = catalog.completer_of(served, argument.name)
        if completer is None:
            return types.Completion(values=[])
        given = dict((chosen and chosen.arguments) or {})
        question = Question(ref, argument.name, argument.value, given)
        work = self._work(served, f"completion of {argument.name} for {name}")
        run = partial(completer, question, self._scoped(context, work, catalog, served.timeout))
        try:
            completion = await self._run(work, served, {argument.name: argument.value, **given}, catalog, run)
            return self._outgoing.of(served.plugin).completion(completion)
        except FailedError as error:
            raise OutgoingError(INTERNAL_ERROR, error.text) from None

    # The pipeline

    def _catalog_of(self, context: SDKContext[Any, Any]) -> Catalog:
        """The generation a request belongs to: that of the call it is part of, or the current one.

        Raises:
            MCPError: -32603 for a new request when the host is about to stop.
        """
        if isinstance(context, Context) and context.catalog is not None:
            return cast("Catalog", context.catalog)
        if self.closing:
            raise MCPError(INTERNAL_ERROR, "The server is shutting down")
        return self._generations.current

    def _work(self, served: Served, what: str) -> Work:
        deadline = None if served.timeout is None else asyncio.get_running_loop().time() + served.timeout
        return Work(served.plugin, what, deadline)

    def _scoped(
        self, context: SDKContext[Any, Any], work: Work, catalog: Catalog, timeout: float | None
    ) -> Context[Any, Any]:
        plugin = work.plugin
        extends = timeout is not None and plugin.limits.progress_extends
        return Context.scoped(
            context,
            plugin.own_context,
            plugin.state,
            catalog,
            on_progress=partial(work.extend, cast("float", timeout)) if extends else None,
            asking=work.asking,
            outgoing=self._outgoing.of(plugin),
        )

    async def _call(
        self,
        kind: Kind,
        served: Served,
        name: str,
        arguments: Mapping[str, Any],
        context: SDKContext[Any, Any],
        catalog: Catalog,
    ) -> Any:
        """Run what the middleware of all plugins is around, the TOML's first plugin outermost."""
        work = self._work(served, f"{kind} {name}")
        scoped = self._scoped(context, work, catalog, served.timeout)
        call = Call(kind, served.plugin.name, name, arguments, scoped)
        step: Callable[[Call], Awaitable[Any]] = partial(_innermost, served)
        inner = served.plugin
        for plugin, middleware in reversed(catalog.middleware):
            step = partial(self._through, work, plugin, inner, middleware, step)
            inner = plugin
        return await self._run(work, served, arguments, catalog, partial(_outermost, work, inner, step, call))

    async def _through(
        self,
        work: Work,
        plugin: LoadedPlugin,
        inner: LoadedPlugin,
        middleware: Middleware,
        step: Callable[[Call], Awaitable[Any]],
        call: Call,
    ) -> Any:
        """Run one middleware, with `work` naming its plugin while its own code runs. `inner` is whose turn is next."""

        async def call_next(call: Call) -> Any:
            self._after_call(plugin)
            work.plugin = inner
            result = await step(call)
            # Not when that raised: then it is the inner one that failed.
            self._after_call(inner)
            work.plugin = plugin
            return result

        return await middleware(call, call_next)

    async def _run(
        self,
        work: Work,
        served: Served,
        arguments: Mapping[str, Any],
        catalog: Catalog,
        run: Callable[[], Awaitable[_T]],
    ) -> _T:
        """Run one piece of work within its plugin's limits.

        Raises:
            FailedError: It came to nothing, for whatever reason but those below.
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
                self._note(visit, work, plugin, outcome, served.timeout)
            if outcome.unanswered:
                most = work.plugin.limits.answer_timeout
                raise RefusedError(f"{work} was stopped: the client did not answer its question within {most:g} s")
            if outcome.timed_out:
                raise RefusedError(f"{work} did not finish within {served.timeout:g} s and was stopped")
            return cast("_T", outgoing.result(outcome.result()))
        except AnswerError as error:
            raise FailedError(outgoing.text(self._explain(error, work)), INTERNAL_ERROR) from None
        except MCPError as error:
            raise outgoing.error(error) from error.__cause__
        except ResourceNotFoundError as error:
            raise ResourceNotFoundError(outgoing.text(str_of(error))) from None
        except BadArgumentsError as error:
            raise UnfitError(outgoing.text(str(error)), INVALID_PARAMS) from None
        except RefusedError as error:
            raise FailedError(outgoing.text(str(error)), INTERNAL_ERROR) from None
        except BaseException as error:
            if _is_cancellation(error):
                raise
            code = INVALID_PARAMS if _anticipated(error) else INTERNAL_ERROR
            raise FailedError(outgoing.text(self._explain(error, work)), code) from None
        finally:
            self._after_call(work.plugin)

    @staticmethod
    def _note(visit: Visit, work: Work, plugin: LoadedPlugin, outcome: Outcome[Any], timeout: float | None) -> None:
        """Tell the plugin's circuit breaker how it did, unless another plugin's middleware or the client failed."""
        error = outcome.error
        if outcome.unanswered or answer_error_in(error) is not None:
            return
        if outcome.timed_out:
            failure = f"{work.what} did not finish within {timeout:g} s"
        elif error is None or _anticipated(error) or isinstance(error, _ANSWERS):
            visit.succeeded()
            return
        else:
            failure = f"{work.what} raised {type(error).__name__}"
        if work.plugin is plugin:
            visit.failed(failure)

    def _check_scopes(self, served: Served) -> None:
        if not self._authorize or not served.scopes:
            return
        token = get_access_token()
        missing = sorted(served.scopes - set(token.scopes if token else ()))
        if missing:
            raise RefusedError(f"{served.name} needs the scope {', '.join(missing)}, which this token does not have")

    def _explain(self, error: BaseException, work: Work) -> str:
        """The text a caller sees: an anticipated failure's own, or an id that finds the crash in the log."""
        told = error if _anticipated(error) else answer_error_in(error)
        if told is not None:
            text = str_of(told)
            logger.info("%s failed: %r", work, text)
            return text
        error_id = new_error_id()
        logger.error("%s crashed (error %s)", work, error_id, exc_info=error)
        text = unexpected(work.what, error_id)
        if self._debug:
            text += f": {type(error).__name__}: {str_of(error)}"
        return text[0].upper() + text[1:]


_ANSWERS = (MCPError, ResourceNotFoundError, BadArgumentsError, RefusedError)
"""What a plugin that works may raise."""


async def _innermost(served: Served, call: Call) -> Any:
    return await served.run(call.arguments, call.context)


async def _outermost(work: Work, plugin: LoadedPlugin, step: Callable[[Call], Awaitable[Any]], call: Call) -> Any:
    work.plugin = plugin
    return await step(call)


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


def _anticipated(error: BaseException) -> bool:
    """Whether the author meant the caller to read the text: the SDK's rule for what is not a crash."""
    return isinstance(error, ToolError | ResourceError) and not isinstance(
        error, UnexpectedToolError | UnexpectedResourceError
    )


def _is_cancellation(error: BaseException) -> bool:
    """Whether this call is being cancelled; a function that raises the exception by itself has crashed."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
