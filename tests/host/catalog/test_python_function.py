"""Whatever callable an author gives, the host has one async function of it, with its name, doc and signature."""

import asyncio
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.catalog.python_function import Compartment
from mcp_host.catalog.results import Converter
from mcp_host.catalog.signatures import Function, function_name, inspect_function
from mcp_host.config import Limits, PluginSection
from mcp_host.errors import HostError, RefusedError
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.records import PluginRecord

pytestmark = pytest.mark.anyio


@dataclass
class Point:
    x: int = 0


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


async def add_later(a: int, b: int = 2) -> int:
    """Add two numbers, later."""
    await asyncio.sleep(0)
    return a + b


class Adder:
    """Adds to what it was made with."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __call__(self, a: int) -> int:
        return self.start + a

    def method(self, a: int) -> int:
        """Add as a method."""
        return self.start + a

    async def method_later(self, a: int) -> int:
        return self.start + a

    @classmethod
    def of_class(cls, a: int) -> int:
        return a

    @staticmethod
    def of_nobody(a: int) -> int:
        return a


class LaterAdder:
    async def __call__(self, a: int) -> int:
        """Add, later."""
        return a


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def plugin_with_one_thread() -> LoadedPlugin:
    return LoadedPlugin("p", PluginSection(), PluginRecord(name="p"), limits=Limits(threads=1))


def running(function: Function, plugin: LoadedPlugin) -> Callable[..., Any]:
    """Run the function in the plugin's compartment, and return its result as it is."""
    compartment = Compartment(function, plugin.bulkhead, Converter("tool f", plugin))
    return lambda **arguments: compartment.run(arguments, {}, lambda result, measured: result)


@pytest.mark.parametrize(
    ("fn", "name", "doc", "parameters"),
    [
        (add, "add", "Add two numbers.", ["a", "b"]),
        (add_later, "add_later", "Add two numbers, later.", ["a", "b"]),
        (functools.partial(add, 1), "add", "Add two numbers.", ["b"]),
        (functools.partial(add, b=1), "add", "Add two numbers.", ["a"]),
        (functools.partial(functools.partial(add, b=1), b=3), "add", "Add two numbers.", ["a"]),
        (functools.partial(add_later, 1), "add_later", "Add two numbers, later.", ["b"]),
        (functools.partial(Adder(1).method, a=1), "method", "Add as a method.", []),
        (Adder(1), "adder", "Adds to what it was made with.", ["a"]),
        (functools.partial(Adder(1), a=4), "adder", "Adds to what it was made with.", []),
        (LaterAdder(), "later_adder", "Add, later.", ["a"]),
        (Adder(1).method, "method", "Add as a method.", ["a"]),
        (Adder(1).method_later, "method_later", "", ["a"]),
        (Adder.of_class, "of_class", "", ["a"]),
        (Adder.of_nobody, "of_nobody", "", ["a"]),
        (wrapped(add), "add", "Add two numbers.", ["a", "b"]),
        (wrapped(add_later), "add_later", "Add two numbers, later.", ["a", "b"]),
        (functools.lru_cache(add), "add", "Add two numbers.", ["a", "b"]),
        (Adder, "Adder", "Adds to what it was made with.", ["start"]),
        (lambda a: a, "<lambda>", "", ["a"]),
    ],
)
async def test_every_kind_of_callable_is_read_and_runs(
    fn: Callable[..., Any], name: str, doc: str, parameters: list[str]
) -> None:
    function = inspect_function(fn)
    assert (function.name, function.doc, list(function.signature.parameters)) == (name, doc, parameters)
    assert function_name(fn) == name
    run = running(function, plugin_with_one_thread())
    given_values = dict.fromkeys(parameters, 5)
    expected = fn(**given_values)
    expected = await expected if inspect.isawaitable(expected) else expected
    result = await run(**given_values)
    assert result == expected or isinstance(result, Adder)


async def test_a_sync_function_runs_in_a_thread_of_its_plugin_and_an_async_one_on_the_loop() -> None:
    def where() -> int:
        return threading.get_ident()

    async def where_async() -> int:
        return threading.get_ident()

    threads = plugin_with_one_thread()
    assert await running(inspect_function(where), threads)() != threading.get_ident()
    assert await running(inspect_function(where_async), threads)() == threading.get_ident()


async def test_a_plain_function_that_hands_back_a_coroutine_is_awaited() -> None:
    def start(a: int) -> Awaitable[int]:
        return add_later(a)

    assert await running(inspect_function(start), plugin_with_one_thread())(a=1) == 3


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_what_a_function_in_a_thread_raises_reaches_its_caller(error: type[BaseException]) -> None:
    def stop() -> None:
        raise error("why")

    with pytest.raises(RuntimeError if error is StopIteration else error):
        await running(inspect_function(stop), plugin_with_one_thread())()


async def test_a_sync_function_left_behind_keeps_its_thread_until_it_ends() -> None:
    plugin = plugin_with_one_thread()
    bulkhead = plugin.bulkhead
    entered, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        loop.call_soon_threadsafe(entered.set)
        leave.wait()

    task = asyncio.create_task(running(inspect_function(hold), plugin)())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bulkhead.health.abandoned == 1
    with pytest.raises(RefusedError, match="plugin p is stuck: all of its 1 threads"):
        await running(inspect_function(lambda: None), plugin)()
    leave.set()
    with anyio.fail_after(30):
        while bulkhead.health.abandoned:
            await anyio.lowlevel.checkpoint()
    assert await running(inspect_function(lambda: 1), plugin)() == 1


def nested(points: list["Point"], mixed: "list['Point'] | None" = None, bare=1) -> dict[str, "Point"]:  # type: ignore[no-untyped-def]
    return {}


def quoted(table: "dict[str, list[Point]]", again: "Annotated[Point, 1]", none: None) -> "Point":
    return Point()


def test_annotations_are_evaluated_the_names_inside_them_too() -> None:
    signature = inspect_function(nested).signature
    assert [parameter.annotation for parameter in signature.parameters.values()] == [
        list[Point],
        list[Point] | None,
        inspect.Parameter.empty,
    ]
    assert signature.return_annotation == dict[str, Point]
    signature = inspect_function(quoted).signature
    assert signature.parameters["table"].annotation == dict[str, list[Point]]
    assert signature.parameters["again"].annotation == Annotated[Point, 1]
    assert signature.parameters["none"].annotation is None


def variadic(*values: int) -> None: ...
def keywords(**values: int) -> None: ...
def positional(value: int, /) -> None: ...


class Unreadable:
    __signature__ = "no signature"

    def __call__(self) -> None: ...


def annotated(annotation: object) -> Callable[..., None]:
    """A function whose one annotation is this, as `from __future__ import annotations` leaves it: a text."""

    def function(value: int) -> None: ...

    function.__annotations__ = {"value": annotation}
    return function


@pytest.mark.parametrize(
    ("fn", "what"),
    [
        (variadic, "parameter '*values' of variadic cannot be passed by name"),
        (keywords, "parameter '**values' of keywords cannot be passed by name"),
        (positional, "parameter 'value' of positional cannot be passed by name"),
        (annotated("Nowhere"), "the annotations of function cannot be evaluated: name 'Nowhere' is not defined"),
        (annotated(list["Nowhere"]), "the annotations of function cannot be evaluated: name 'Nowhere' is not defined"),  # type: ignore[name-defined]  # noqa: F821
        (annotated("inspect.Nowhere"), "function has no readable signature: AttributeError"),
        (annotated("1 +"), "function has no readable signature: SyntaxError"),
        (5, "int has no readable signature: TypeError: 5 is not a callable object"),
        (Unreadable(), "unreadable has no readable signature"),
    ],
)
def test_what_cannot_be_called_by_name_is_refused_with_the_reason(fn: Any, what: str) -> None:
    with pytest.raises(HostError) as caught:
        inspect_function(fn)
    assert caught.value.what.startswith(what)


@given(st.sets(st.sampled_from(["a", "b", "c"])), st.integers(0, 3))
def test_a_partial_shows_the_parameters_that_are_left(bound: set[str], positional_count: int) -> None:
    def function(a: int, b: int, c: int) -> tuple[int, int, int]:
        return a, b, c

    first = list("abc")[:positional_count]
    by_name = bound - set(first)
    fn = functools.partial(function, *range(positional_count), **dict.fromkeys(by_name, 7))
    left = [name for name in "abc" if name not in first and name not in by_name]
    assert list(inspect_function(fn).signature.parameters) == left
    assert fn(**dict.fromkeys(left, 9)) == tuple(
        index if name in first else 7 if name in by_name else 9 for index, name in enumerate("abc")
    )
