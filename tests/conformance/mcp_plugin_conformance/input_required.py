"""Tools and a prompt that ask with an `InputRequiredResult` of their own (SEP-2322)."""

from __future__ import annotations

from typing import Any

from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

from mcp_host import Context, Prompt, Tool


def _elicit(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


def _ask(state: str | None = None, /, **questions: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=questions, request_state=state)


def _answer(ctx: Context, key: str, kind: type[Any]) -> Any:
    answer = (ctx.input_responses or {}).get(key)
    return answer if isinstance(answer, kind) else None


def _field(ctx: Context, key: str, name: str) -> Any:
    """Return the field of an accepted form, or None."""
    answer = _answer(ctx, key, ElicitResult)
    return (answer.content or {}).get(name) if answer is not None else None


def test_input_required_result_elicitation(ctx: Context) -> str | InputRequiredResult:
    """Ask for a name."""
    name = _field(ctx, "user_name", "name")
    return f"Hello, {name}!" if name else _ask(user_name=_elicit("What is your name?", "name"))


def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
    """Ask the client's model."""
    answer = _answer(ctx, "capital_question", CreateMessageResult)
    return str(answer.content) if answer else _ask(capital_question=_sample("What is the capital of France?"))


def test_input_required_result_list_roots(ctx: Context) -> str | InputRequiredResult:
    """Ask for the client's roots."""
    answer = _answer(ctx, "client_roots", ListRootsResult)
    return f"Roots: {[str(root.uri) for root in answer.roots]}" if answer else _ask(client_roots=ListRootsRequest())


def test_input_required_result_request_state(ctx: Context) -> str | InputRequiredResult:
    """Ask, and read the state that was sent with the question."""
    if ctx.request_state == "asked" and _field(ctx, "confirm", "ok") is not None:
        return "state-ok"
    return _ask("asked", confirm=_elicit("Please confirm", "ok", "boolean"))


def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
    """Ask the user, the model and the client at the same time."""
    name = _field(ctx, "user_name", "name")
    greeting = _answer(ctx, "greeting", CreateMessageResult)
    roots = _answer(ctx, "client_roots", ListRootsResult)
    if name and greeting and roots and ctx.request_state == "asked":
        return f"{greeting.content}, {name}! {len(roots.roots)} roots"
    return _ask(
        "asked",
        user_name=_elicit("What is your name?", "name"),
        greeting=_sample("Generate a greeting"),
        client_roots=ListRootsRequest(),
    )


def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
    """Ask twice, one after the other."""
    name, color = _field(ctx, "step1", "name"), _field(ctx, "step2", "color")
    if name:
        return _ask(f"name={name}", step2=_elicit("Step 2: What is your favorite color?", "color"))
    if color and ctx.request_state:
        return f"{ctx.request_state}, color={color}"
    return _ask("nothing yet", step1=_elicit("Step 1: What is your name?", "name"))


def test_input_required_result_capabilities(ctx: Context) -> str | InputRequiredResult:
    """Ask only what the client supports."""
    can = ctx.client_capabilities
    questions: dict[str, InputRequest] = {}
    if can and can.elicitation:
        questions["user_name"] = _elicit("What is your name?", "name")
    if can and can.sampling:
        questions["greeting"] = _sample("Generate a greeting")
    return _ask(None, **questions) if questions and not ctx.input_responses else "nothing to ask"


def test_input_required_result_prompt(ctx: Context) -> str | InputRequiredResult:
    """Ask for the topic of the prompt."""
    context = _field(ctx, "user_context", "context")
    if context is None:
        return _ask(user_context=_elicit("What context should the prompt use?", "context"))
    return f"Use this context: {context}"


TOOLS = [
    Tool(test_input_required_result_elicitation),
    Tool(test_input_required_result_sampling),
    Tool(test_input_required_result_list_roots),
    Tool(test_input_required_result_request_state),
    Tool(test_input_required_result_request_state, name="test_input_required_result_tampered_state"),
    Tool(test_input_required_result_multiple_inputs),
    Tool(test_input_required_result_multi_round),
    Tool(test_input_required_result_capabilities),
]
PROMPTS = [Prompt(test_input_required_result_prompt)]
