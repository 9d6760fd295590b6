"""Makes the protocol's results from what functions return: runs iterators to their end, caps sizes, makes JSON.

This may run a plugin's code (generators, serializers, `__str__`), so `python_function` calls it where the plugin's
code runs. An object that JSON does not know becomes its `str()`, in every kind of result.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterable, Iterator, Mapping, Set
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar, cast

import mcp.types as types
import pydantic_core
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.prompts.base import Message, UserMessage, message_validator
from mcp.server.mcpserver.utilities.types import Audio, Image
from pydantic import BaseModel

from mcp_host.catalog.sizes import Size, cut_text, is_dataclass_object, is_encodable, measure, text_size
from mcp_host.errors import RefusedError
from mcp_host.plugins.bulkhead import caller_has_left
from mcp_host.plugins.plugin import LoadedPlugin

ToolResult = types.CallToolResult | types.InputRequiredResult
_ResultT = TypeVar("_ResultT", bound=BaseModel)
Contents = list[ReadResourceContents] | types.InputRequiredResult
PromptResult = types.GetPromptResult | types.InputRequiredResult

_TURN = 100
"""After so many items of an asynchronous generator, the event loop gets a turn."""

_PER_ITEM = 2
"""The bytes of JSON between two items of a list. They count also if an item has no size."""


class Output(Protocol):
    """The check of the results of a tool with an output schema."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the structured content."""

    @property
    def wrapped(self) -> bool:
        """Whether the structured content is an object with the result under the key `result`."""

    @property
    def runs_code(self) -> bool:
        """Whether the check calls functions of the author."""

    def structured(self, result: Any, drained: Callable[[Any], Any]) -> dict[str, Any]:
        """Return the structured content in JSON's types. `drained` makes lists from the iterators in it.

        Raises:
            Exception: The result does not fit.
        """


@dataclass(frozen=True)
class Converter:
    """Converts the results of one item. `what` names it in errors, and `plugin` owns it and has the caps."""

    what: str
    plugin: LoadedPlugin

    # Lazy parts

    def drained(self, value: Any) -> Any:
        """Return the value with lists instead of its iterators, also those inside collections and objects with fields.

        An iterator without an end is refused when it exceeds the cap. It is stopped when the caller has left.
        """
        if isinstance(value, Iterator):
            return self._items(value)
        if isinstance(value, Mapping):
            pairs = {key: self.drained(item) for key, item in value.items()}
            return pairs if any(pairs[key] is not item for key, item in value.items()) else value
        if isinstance(value, list | tuple | Set | deque):
            return self._with_items_drained(value)
        if isinstance(value, BaseModel) or is_dataclass_object(value):
            return self._with_fields_drained(value)
        return value

    def _with_items_drained(self, items: Collection[Any]) -> Any:
        drained = [self.drained(item) for item in items]
        if all(new is old for new, old in zip(drained, items, strict=True)):
            return items
        return tuple.__new__(type(items), drained) if isinstance(items, tuple) else drained

    def _with_fields_drained(self, value: Any) -> Any:
        fields = getattr(value, "__dict__", None)
        if not isinstance(fields, dict):  # a dataclass with slots
            fields = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        extra = value.__pydantic_extra__ if isinstance(value, BaseModel) else None
        drained, drained_extra = self.drained(fields), self.drained(extra)
        if drained is fields and drained_extra is extra:
            return value
        changed = copy.copy(value)
        for name, item in drained.items():
            if item is not fields[name]:
                object.__setattr__(changed, name, item)
        if drained_extra is not extra:
            object.__setattr__(changed, "__pydantic_extra__", drained_extra)
        return changed

    def _items(self, iterator: Iterator[Any]) -> list[Any]:
        items: list[Any] = []
        size = 0
        try:
            for item in iterator:
                if caller_has_left():
                    raise RefusedError(f"the caller of {self.what} has left", "cancelled")
                items.append(self.drained(item))
                size = self._added(size, items[-1])
        finally:
            if isinstance(iterator, Generator):
                iterator.close()
        return items

    async def drained_from(self, iterator: AsyncIterator[Any], most: int | None = None) -> list[Any]:
        """Return the items of an asynchronous iterator: the first `most`, or all, if they fit the cap."""
        items: list[Any] = []
        size = 0
        if not hasattr(iterator, "aclose"):
            iterator = _closable(iterator)
        async with aclosing(iterator) as closing:  # type: ignore[type-var]
            async for item in closing:
                items.append(item)
                if len(items) == most:
                    break
                # This is the event loop, so no code of the item may run here.
                size = self._added(size, item, plain_only=True)
                if len(items) % _TURN == 0:
                    await asyncio.sleep(0)
        return items

    def _added(self, size: int, item: object, *, plain_only: bool = False) -> int:
        most = self.plugin.limits.result_size
        size += measure(item, most, plain_only=plain_only).size + _PER_ITEM
        if size > most:
            raise self._too_large()
        return size

    # Caps

    def capped(self, result: Any, measured: Size | None = None) -> tuple[Any, bool]:
        """Return the result, with a text that is too long cut, and whether its measured size is that of its JSON.

        If serializers, computed fields or `__str__` make its JSON, that JSON must be measured, too.

        Raises:
            RefusedError: It is too large and is not a text, or has numbers that JSON does not have.
        """
        most = self.plugin.limits.result_size
        if isinstance(result, str) and is_encodable(result):
            return cut_text(result, most, self._whose), True
        if isinstance(result, types.CallToolResult) and _is_text(result):
            return self._with_cut_text(result), True
        return result, self.refuse_larger(result, measured).plain

    def refuse_larger(self, result: object, measured: Size | None = None) -> Size:
        """Return the size of a result.

        Raises:
            RefusedError: It is too large, or JSON or UTF-8 cannot express it.
        """
        size = measured or self.size(result)
        if size.size > self.plugin.limits.result_size:
            raise self._too_large()
        if not size.finite:
            raise RefusedError(
                f"The result of {self.what} has a NaN or an infinity, which JSON cannot express", "failed"
            )
        if not size.encodable:
            raise RefusedError(
                f"The result of {self.what} has half of a surrogate pair, which UTF-8 cannot encode", "failed"
            )
        return size

    def size(self, result: object, *, plain_only: bool = False) -> Size:
        """Measure a result. What a tool says twice, as text and as structure, counts once: the larger of the two."""
        most = self.plugin.limits.result_size
        if type(result) is not types.CallToolResult or result.structured_content is None:
            return measure(result, most, plain_only=plain_only)
        rest = [result.content, result.meta]
        structured = measure(result.structured_content, most, plain_only=plain_only)
        return measure(rest, most, plain_only=plain_only).beside(structured)

    def _too_large(self) -> RefusedError:
        most = self.plugin.limits.result_size
        return RefusedError(
            f"The result of {self.what} is larger than the {most} bytes that {self._whose} may return. "
            "Ask for less of it",
            "too-large",
        )

    def _with_cut_text(self, result: types.CallToolResult) -> types.CallToolResult:
        most = self.plugin.limits.result_size
        blocks: list[types.ContentBlock] = []
        for block in result.content:
            assert isinstance(block, types.TextContent)
            size = text_size(block.text)
            if size > most:
                text = cut_text(block.text, most, self._whose)
                return result.model_copy(update={"content": [*blocks, block.model_copy(update={"text": text})]})
            blocks.append(block)
            most -= size
        return result

    @property
    def _whose(self) -> str:
        return f"plugin {self.plugin.name}"

    # The kinds of results

    def tool_result(self, result: Any, output: Output | None, measured: Size | None = None) -> ToolResult:
        """Return the result of a tool: its text and, with an output schema, its structured content.

        Raises:
            RefusedError: It is too large and cannot be cut, or JSON cannot express it.
        """
        if isinstance(result, types.InputRequiredResult):
            return result
        # A measured value is plain, and a plain value has no iterators.
        drained = self.drained if measured is None else _as_it_is
        result, is_measured = self.capped(drained(result), measured)
        if isinstance(result, types.CallToolResult):
            if output is not None and not result.is_error:
                given = result.structured_content
                # An author may give the whole structured content, or only the result inside it.
                inner = given["result"] if output.wrapped and given and given.keys() == {"result"} else given
                result = result.model_copy(update={"structured_content": output.structured(inner, self.drained)})
                is_measured = False
            # An author may make one without validation.
            own: types.CallToolResult = _as_json(result)
            if not is_measured:
                self.refuse_larger(own)
            return own
        if output is None:
            made = types.CallToolResult(content=list(_blocks(result)))
            if not is_measured:
                made = _as_json(made)
                self.refuse_larger(made.content)
            return made
        structured = output.structured(result, drained)
        if not is_measured or output.runs_code:
            self.refuse_larger(structured)
        if _has_blocks(result):
            made = types.CallToolResult(content=list(_blocks(result)), structured_content=structured)
            return made if is_measured else _as_json(made)
        shown = structured["result"] if output.wrapped else structured
        return types.CallToolResult(content=list(_texts(result, shown)), structured_content=structured)

    def contents(
        self, result: Any, mime_type: str, meta: dict[str, Any] | None, measured: Size | None = None
    ) -> Contents:
        """Return the contents of a resource: text, bytes, or the JSON of another value."""
        if isinstance(result, types.InputRequiredResult):
            return result
        own = result if isinstance(result, ReadResourceContents) else None
        if own is not None and own.meta is not None:
            self.refuse_larger(own.meta)
            meta = pydantic_core.to_jsonable_python(own.meta, by_alias=True, fallback=str)
        content = own.content if own is not None else result
        mime_type = (own and own.mime_type) or mime_type
        if isinstance(content, str) and mime_type.startswith("text/") and is_encodable(content):
            content = cut_text(content, self.plugin.limits.result_size, self._whose)
        elif isinstance(content, str | bytes):
            self.refuse_larger(content)
        else:
            content, is_measured = self.capped(self.drained(content), measured if own is None else None)
            content = pydantic_core.to_json(content, fallback=str, indent=2).decode()
            if not is_measured:
                self.refuse_larger(content)
        return [ReadResourceContents(content=content, mime_type=mime_type, meta=meta)]

    def prompt_result(self, result: Any, description: str | None, measured: Size | None = None) -> PromptResult:
        """Return the messages of a prompt: the items of a sequence or a generator, or a single value."""
        if isinstance(result, types.InputRequiredResult):
            return result
        rendered = self.drained(result)
        items = rendered if isinstance(rendered, list | tuple) else [rendered]
        messages = [types.PromptMessage(role=message.role, content=message.content) for message in map(_message, items)]
        self.refuse_larger(messages)
        made = types.GetPromptResult(description=description, messages=messages)
        if measured is None:
            made = _as_json(made)
            self.refuse_larger(made.messages)
        return made

    def completion(self, result: Any) -> types.Completion:
        """Return a completer's candidates, the first 100 of them (spec: Completion)."""
        if not isinstance(result, types.Completion):
            # A completer may return an iterator without an end.
            result = [result] if isinstance(result, str) else result
            candidates = [str(value) for value in islice(self._until_caller_leaves(result), MOST_COUNTED + 1)]
            counted = len(candidates) <= MOST_COUNTED
            result = types.Completion(
                values=candidates[:_MOST_VALUES],
                total=len(candidates) if counted else None,
                has_more=len(candidates) > _MOST_VALUES,
            )
        elif len(result.values) > _MOST_VALUES:
            total = len(result.values) if result.total is None else result.total
            result = types.Completion(values=result.values[:_MOST_VALUES], total=total, has_more=True)
        self.refuse_larger(result)
        return cast("types.Completion", result)

    def _until_caller_leaves(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if caller_has_left():
                raise RefusedError(f"the caller of {self.what} has left", "cancelled")
            yield value


Finish = Callable[[Any, Size | None], Any]
"""Makes a result from what a function returned. The second argument is its size if all of it is plain."""

_MOST_VALUES = 100
MOST_COUNTED = 10_000


def _as_it_is(value: Any) -> Any:
    return value


def _as_json(result: _ResultT) -> _ResultT:
    """Return an equal result whose data has only JSON's types. An object that JSON does not know becomes its text."""
    return type(result).model_validate_json(result.model_dump_json(by_alias=True, fallback=str, warnings=False))


async def _closable(iterator: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for item in iterator:
        yield item


def _is_text(result: types.CallToolResult) -> bool:
    return result.structured_content is None and all(
        isinstance(block, types.TextContent) and is_encodable(block.text) for block in result.content
    )


def _has_blocks(result: Any) -> bool:
    if isinstance(result, list | tuple):
        return any(_has_blocks(item) for item in result)
    return isinstance(result, types.ContentBlock | Image | Audio)


def _blocks(result: Any) -> Iterator[types.ContentBlock]:
    """Yield the content blocks of a result, one for each item of a list, as the SDK does."""
    if result is None:
        return
    if isinstance(result, types.ContentBlock):
        yield result
    elif isinstance(result, Image):
        yield result.to_image_content()
    elif isinstance(result, Audio):
        yield result.to_audio_content()
    elif isinstance(result, list | tuple):
        for item in result:
            yield from _blocks(item)
    else:
        yield _text(result if isinstance(result, str) else _json(result))


def _texts(result: Any, shown: Any) -> Iterator[types.ContentBlock]:
    """Yield the same blocks for a result whose JSON form is `shown`. It is not made again."""
    if result is None:
        return
    if isinstance(result, list | tuple) and isinstance(shown, list) and len(result) == len(shown):
        for item, part in zip(result, shown, strict=True):
            yield from _texts(item, part)
    else:
        yield _text(shown if isinstance(result, str) and isinstance(shown, str) else _json(shown))


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _json(value: Any) -> str:
    return pydantic_core.to_json(value, fallback=str, indent=2).decode()


def _message(item: Any) -> Message:
    if isinstance(item, Message):
        return item
    if isinstance(item, types.PromptMessage):
        return Message(role=item.role, content=item.content)
    if isinstance(item, dict):
        return message_validator.validate_python(item)
    if isinstance(item, str | types.ContentBlock | Image | Audio):
        return UserMessage(item)
    return UserMessage(_json(item))
