"""Tools that ask the user or the client's model during a call, in both eras."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult, Resolve, Sample
from mcp.types import CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel, Field, JsonValue

from mcp_host import Context, Tool


class User(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    """A default of every primitive type (SEP-1034)."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


_CHOICES: list[JsonValue] = [
    {"const": f"value{number}", "title": f"{ordinal} Option"}
    for number, ordinal in enumerate(("First", "Second", "Third"), start=1)
]


class Enums(BaseModel):
    """The five forms of a choice (SEP-1330)."""

    untitledSingle: Literal["option1", "option2", "option3"]  # noqa: N815
    titledSingle: str = Field(json_schema_extra={"oneOf": _CHOICES})  # noqa: N815
    legacyEnum: Literal["opt1", "opt2", "opt3"] = Field(  # noqa: N815
        json_schema_extra={"enumNames": ["Option One", "Option Two", "Option Three"]}
    )
    untitledMulti: list[Literal["option1", "option2", "option3"]]  # noqa: N815
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": _CHOICES}})  # noqa: N815


async def test_elicitation(message: str, ctx: Context) -> str:
    """Ask for a name and an address."""
    return _said(await ctx.elicit(message, User))


async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Ask with defaults."""
    return _said(await ctx.elicit("Please check the defaults", Defaults))


async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Ask with choices."""
    return _said(await ctx.elicit("Please choose", Enums))


def _said(answer: ElicitationResult[Any]) -> str:
    content = answer.data.model_dump_json() if isinstance(answer, AcceptedElicitation) else "{}"
    return f"Elicitation completed: action={answer.action}, content={content}"


def _ask_model(prompt: str) -> Sample:
    return Sample([SamplingMessage(role="user", content=TextContent(type="text", text=prompt))], max_tokens=100)


def test_sampling(prompt: str, answer: Annotated[CreateMessageResult, Resolve(_ask_model)]) -> str:
    """Ask the client's model."""
    return f"LLM response: {_text(answer)}"


def _ask_model_something() -> Sample:
    return _ask_model("anything")


def test_missing_capability(answer: Annotated[CreateMessageResult, Resolve(_ask_model_something)]) -> str:
    """Need a client that has a model."""
    return _text(answer)


def _text(answer: CreateMessageResult) -> str:
    return answer.content.text if isinstance(answer.content, TextContent) else "no text"


def _ask_user() -> Elicit[User]:
    return Elicit("Who are you?", User)


async def test_streaming_elicitation(user: Annotated[User, Resolve(_ask_user)], ctx: Context) -> str:
    """Ask, and report progress on the answer's stream."""
    await ctx.report_progress(1, 1)
    return f"Hello, {user.username}!"


TOOLS = [
    Tool(test_elicitation),
    Tool(test_elicitation_sep1034_defaults),
    Tool(test_elicitation_sep1330_enums),
    Tool(test_sampling),
    Tool(test_missing_capability),
    Tool(test_streaming_elicitation),
]
