"""A bit of everything that works."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Annotated, Literal

from mcp.server.mcpserver import Elicit, Image, Resolve
from mcp.types import ResourceLink
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from mcp_host import Context, Plugin, PluginContext, ToolError


class Settings(BaseModel, extra="forbid"):
    greeting: str = Field("Hello", description="The word to greet with.")


class Level(Enum):
    LOW = "1"
    HIGH = "2"


class Place(BaseModel):
    name: str
    population: int


class Answer(BaseModel):
    colour: Literal["red", "blue"] = Field(description="The colour to paint it in.")
    coats: int = Field(1, ge=1, le=3)
    glossy: bool = False


def trace(line: str) -> None:
    if os.environ.get("GOOD_TRACE"):
        with open(os.environ["GOOD_TRACE"], "a", encoding="utf-8") as file:
            file.write(line + "\n")


@asynccontextmanager
async def lifespan(plugin: PluginContext) -> AsyncIterator[str]:
    trace("start")
    try:
        yield "the state"
    finally:
        trace("stop")


plugin = Plugin(settings=Settings, lifespan=lifespan)


@plugin.tool(read_only=True)
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


@plugin.tool
def greet(name: str, ctx: Context[Settings]) -> str:
    """Greet somebody."""
    return f"{ctx.settings.greeting}, {name}!"


@plugin.tool
def places() -> list[Place]:
    """Some places."""
    return [Place(name="Ulm", population=126949), Place(name="Bern", population=134506)]


@plugin.tool
def state(ctx: Context) -> str:
    """What the lifespan yielded."""
    return str(ctx.state)


@plugin.tool
async def work(steps: int, ctx: Context) -> str:
    """Report progress."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps, f"step {step + 1}")
    return "worked"


@plugin.tool
async def wander(ctx: Context) -> str:
    """Report progress without a total."""
    await ctx.report_progress(1)
    await ctx.report_progress(2, message="on the way")
    return "there"


@plugin.tool
async def talk(ctx: Context) -> str:
    """Send log messages to the client."""
    await ctx.info("said to the client")
    return "talked"


@plugin.tool
def refuse() -> str:
    """Fail on purpose."""
    raise ToolError("not on a Sunday")


@plugin.tool
def crash() -> str:
    """Fail by accident."""
    raise RuntimeError("the inner workings")


@plugin.tool
def leave() -> str:
    """Try to end the process."""
    raise SystemExit(3)


@plugin.tool
def picture() -> Image:
    """One pixel."""
    return Image(data=b"\x89PNG pixel", format="png")


@plugin.tool(structured_output=False)
def pictures() -> list[Image]:
    """Two pixels."""
    return [Image(data=b"\x89PNG one", format="png"), Image(data=b"\x89PNG two", format="png")]


@plugin.tool(structured_output=False)
def link() -> ResourceLink:
    """Where to look."""
    return ResourceLink(type="resource_link", name="today", uri="note://today")


@plugin.tool
def kinds(
    text: str = "",
    number: float = 0,
    flag: bool = False,
    maybe: str | None = None,
    choice: Literal["a", "b"] = "a",
    items: list[int] | None = None,
    level: Level = Level.LOW,
) -> dict[str, object]:
    """Show what came in."""
    return {
        "text": text,
        "number": number,
        "flag": flag,
        "maybe": maybe,
        "choice": choice,
        "items": items,
        "level": level.value,
    }


@plugin.tool
async def paint(thing: str, ctx: Context) -> str:
    """Ask how to paint in the middle of the call."""
    answer = await ctx.elicit(f"How shall {thing} be painted?", Answer)
    if answer.action != "accept":
        return f"{answer.action}: left as it is"
    return f"{thing}: {answer.data.coats} x {answer.data.colour}{', glossy' if answer.data.glossy else ''}"


def which_colour() -> Elicit[Answer]:
    return Elicit("Which colour?", Answer)


@plugin.tool
async def dye(thing: str, answer: Annotated[Answer, Resolve(which_colour)]) -> str:
    """Ask before the call."""
    return f"{thing}: {answer.colour}"


class Order(BaseModel):
    sizes: list[Literal["s", "m", "l"]]
    weight: float
    note: str | None = None
    tier: Literal["free", "paid"] = "free"


@plugin.tool(structured_output=False)
async def order(ctx: Context) -> str:
    """Ask for one field of each kind."""
    await ctx.report_progress(1, 2)
    answer = await ctx.elicit("What shall it be?", Order)
    assert answer.action == "accept"
    return answer.data.model_dump_json(exclude_none=True)


@plugin.tool
async def sign_in(ctx: Context) -> str:
    """Send the person elsewhere."""
    return (await ctx.elicit_url("Sign in, please.", "https://login.example/", "1")).action


@plugin.tool
async def talk_and_work(ctx: Context) -> str:
    """Report progress and log."""
    await ctx.report_progress(1, 2)
    await ctx.info("half of it")
    await ctx.report_progress(2, 2)
    return "done"


@plugin.tool(description="\x1b[2J wiped")
def evil() -> str:
    return "\x1b[2J"


@plugin.tool
async def hold(ctx: Context) -> str:
    """Say so, then wait for ever."""
    import asyncio

    trace("holding")
    await ctx.report_progress(0, message="holding")
    try:
        await asyncio.Event().wait()
    finally:
        trace("let go")
    return ""


@plugin.tool
async def take_a_while(ctx: Context) -> str:
    """Say so, and be done half a second later."""
    import asyncio

    await ctx.report_progress(0, message="holding")
    await asyncio.sleep(0.5)
    trace("done")
    return "done"


@plugin.tool
def hang() -> str:
    """Hang in a thread, where nothing can stop it."""
    import threading

    trace("hanging")
    threading.Event().wait()
    return ""


@plugin.resource("note://today")
def today() -> str:
    """The note of the day."""
    return "buy milk"


@plugin.resource("note://by/{author}")
def by(author: str) -> str:
    """The notes of an author."""
    return f"notes by {author}"


@plugin.resource("pixel://one", mime_type="image/png")
def pixel() -> bytes:
    """One pixel."""
    return b"\x89PNG pixel"


@plugin.prompt
def review(topic: str, tone: str = "kind") -> str:
    """Ask for a review."""
    return f"Review {topic} in a {tone} tone."


@plugin.completion("review", "topic")
def topics(value: str) -> list[str]:
    return [topic for topic in ("cats", "cars", "dogs") if topic.startswith(value)]


@plugin.completion("note://by/{author}", "author")
def authors(value: str) -> list[str]:
    return ["ann", "bob"]


@plugin.route("/good/health")
async def health(request: Request) -> PlainTextResponse:
    return PlainTextResponse("well")


@plugin.check
def is_ready() -> str | None:
    return os.environ.get("GOOD_TROUBLE")
