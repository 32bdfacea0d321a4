"""What the model is asked: a thread, a run and its own turns so far as one chat request. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from clew.core.citing import place_of
from clew.core.code import DATA, Inside, arguments_of
from clew.core.content import Content, ImageFileContent, ImageUrlContent, RefusalContent, TextContent
from clew.core.decisions import CallModel
from clew.core.options import OPTIONS, Json, option_values
from clew.core.records import Call, Message, Run, Step, TurnFacts
from clew.core.tools import CODE_INTERPRETER, FILE_SEARCH, FunctionDefinition, NamedTool
from clew.model.chat import ChatRequest, tokens_of_images

_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4
_ANSWER_RESERVE = 512
"""Tokens of a model's context that are kept free for its answer."""

MOST_OUTPUT = 64 * 1024
"""Bytes of a call's output that a model is told, at most."""

_MODEL_ID = 9
"""Characters of an id for a call to which the model gave none: what every endpoint takes."""

_MOST_MESSAGES = 2**31
"""More than any thread holds, and still a number that every database takes."""

_MOST_NAMED = 100
"""Files of a session that a model is told of."""

_encode = msgspec.json.Encoder().encode


_Side: TypeAlias = Literal["newest", "oldest"]


class Told(NamedTuple):
    """A message of a thread as a model is told it, with what it takes of the prompt."""

    chat: Json
    tokens: int
    run_id: str | None
    message_id: str
    images: bool = False
    """Whether it shows images."""


class DoesNotFit(Exception):
    """Not even the newest message fits the tokens that are left."""


class Prompt(NamedTuple):
    """A request to a model, what is known of it, and how many of the thread's messages it shows."""

    request: ChatRequest
    facts: TurnFacts
    shown: int = 0
    citable: Mapping[str, str] | None = None
    """The files of the results that an answer may cite, by their places; None where nothing is searched."""
    images: bool = False
    """Whether messages of the request show images, which are put in when it is sent."""
    linkable: Mapping[str, str] | None = None
    """The files that an answer may link to, by their names in the session; None where no code is run."""
    plots: tuple[str, ...] = ()
    """Files that the answer's message shows: plots that no message of the run has shown yet."""


class Addressee(NamedTuple):
    """Who is asked: a model of an endpoint, and the tokens that its context holds, if they are known."""

    endpoint: str
    model: str
    context_tokens: int | None = None


def build(
    run: Run,
    to: Addressee,
    history: Sequence[Told],
    own_steps: Sequence[Step],
    own_messages: Sequence[Message],
    call: CallModel,
    offered: Sequence[FunctionDefinition] = (),
    inside: Sequence[Inside] | None = None,
) -> Prompt:
    """Return the request for a run's next turn.

    ``history`` is the thread without what this run wrote; ``own_*`` is what it wrote and called so
    far, which is never cut. ``offered`` are the functions that the server runs; ``inside`` are the files
    that code finds, None if no code can be run.

    Raises:
        DoesNotFit: the instructions, the newest message and the run's own turns are too long.
    """
    config = run.config
    instructions = _instructions(config.instructions, inside)
    head = [{"role": "system", "content": instructions}] if instructions else []
    tail = _own_turns(own_steps, own_messages, to)
    tools = _functions(run, offered)
    limit = _limit(call.prompt_tokens_left, to.context_tokens)
    shown = history
    if limit is not None:
        shown = _drop_middle(history, limit - _tokens(head) - _tokens(tail) - _tokens(tools))
    messages = (*head, *[each.chat for each in shown], *tail)
    if config.tool_choice == "none":
        tools = []
    options = dict(zip(OPTIONS, option_values(config), strict=True))
    if config.response_format == "auto":
        options["response_format"] = None
    request = ChatRequest(
        model=to.model,
        messages=messages,
        tools=tuple(tools),
        tool_choice=_tool_choice(run) if tools else None,
        parallel_tool_calls=config.parallel_tool_calls,
        max_completion_tokens=call.completion_tokens_left,
        **options,
    )
    digest = sha256(_encode(request)).hexdigest()[:32]
    facts = TurnFacts(
        model=to.model,
        endpoint=to.endpoint,
        first=shown[0].message_id if shown else None,
        last=shown[-1].message_id if shown else None,
        dropped=len(history) - len(shown),
        request=digest,
    )
    request = replace(request, idempotency_key=f"{run.id}/{run.turns + 1}/{digest}")
    images = True in [each.images for each in shown]
    linkable = None if inside is None else {each.name: each.file_id for each in inside}
    return Prompt(request, facts, len(shown), _citable(run, own_steps), images, linkable, _plots(own_steps))


def _instructions(given: str | None, inside: Sequence[Inside] | None) -> str | None:
    """Return what a model is told first: its instructions, and which files code finds."""
    if not inside:
        return given
    lines = [f"- {each.name} ({each.file_id}), {each.bytes:,} bytes" for each in inside[:_MOST_NAMED]]
    if more := len(inside) - len(lines):
        lines.append(f"- and {more} more")
    files = "\n".join([f"Files in {DATA}, where Python code finds them:", *lines])
    return f"{given}\n\n{files}" if given else files


def _plots(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the plots that calls have made since the run's last message."""
    plots: list[str] = []
    for step in steps:
        if step.message_id is not None:
            plots.clear()
        for call in step.calls:
            if call.kind == CODE_INTERPRETER and call.detail is not None:
                plots += [
                    each["image"]["file_id"] for each in call.detail["outputs"] if each["type"] == "image"
                ]
    return tuple(plots)


def _citable(run: Run, steps: Sequence[Step]) -> Mapping[str, str] | None:
    if all(offer.kind != FILE_SEARCH for offer in run.config.offers.values()):
        return None
    found = (
        result
        for step in steps
        for call in step.calls
        if call.kind == FILE_SEARCH and call.detail is not None
        for result in call.detail.get("results", ())
    )
    return {place_of(result["marker"]) or "": result["file_id"] for result in found}


def _functions(run: Run, offered: Sequence[FunctionDefinition]) -> list[Json]:
    """Return all that the model may call, as chat completions want it: the client's functions first."""
    if not run.config.tools:
        return []
    definitions = [tool.function for tool in run.config.functions()] + list(offered)
    return [{"type": "function", "function": msgspec.to_builtins(each)} for each in definitions]


def told(message: Message) -> Told | None:
    """Return a message as a model is told it; None for one of the assistant's that says nothing.

    Such a message, sent, makes a thread unusable for ever with endpoints that refuse it.
    """
    chat = _chat_message(message)
    if message.role == "assistant" and not (chat["content"] and str(chat["content"]).strip()):
        return None
    images = tokens_of_images(chat["content"])
    return Told(chat, _tokens([chat]) + images, message.run_id, message.id, images > 0)


def history_limit(run: Run) -> int | None:
    """Return how many of the newest messages the model is given; None for all that fit."""
    strategy = run.config.truncation_strategy
    limit = strategy.last_messages if strategy.type == "last_messages" else None
    return None if limit is None else min(limit, _MOST_MESSAGES)


def _tool_choice(run: Run) -> str | Json | None:
    """Forcing a call applies to the first turn only: for ever forced, a run would never end."""
    choice = run.config.tool_choice
    if run.turns:
        return None
    if not isinstance(choice, NamedTool):
        return choice
    if choice.function is not None:
        return {"type": "function", "function": {"name": choice.function.name}}
    named = [name for name, offer in run.config.offers.items() if offer.kind == choice.type]
    return {"type": "function", "function": {"name": named[0]}} if len(named) == 1 else "required"


def _limit(budget: int | None, context_tokens: int | None) -> int | None:
    room = None if context_tokens is None else max(context_tokens // 2, context_tokens - _ANSWER_RESERVE)
    limits = [limit for limit in (budget, room) if limit is not None]
    return min(limits) if limits else None


def _tokens(items: Sequence[Json]) -> int:
    """Estimate tokens without a vocabulary: about four bytes of text each."""
    return sum(len(_encode(item)) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE for item in items)


def _drop_middle(messages: Sequence[Told], limit: int) -> Sequence[Told]:
    """Keep the newest and the oldest messages that fit, dropping from the middle of the thread.

    The newest message and the newest by the user are never dropped. A message that does not fit ends the
    kept ones on its side only: else one that is very long would hide all others for ever.
    """
    costs = [message.tokens for message in messages]
    if sum(costs) <= limit:
        return messages
    if not messages:
        raise DoesNotFit
    newest = len(messages) - 1
    asked = next((index for index in range(newest, -1, -1) if messages[index].chat["role"] == "user"), newest)
    kept = {newest, asked}
    left = limit - sum(costs[index] for index in kept)
    if left < 0:
        raise DoesNotFit
    full: set[_Side] = set()
    for side, index in _from_both_ends(len(messages)):
        if len(full) == 2:
            break
        if index in kept or side in full:
            continue
        if costs[index] > left:
            full.add(side)
            continue
        left -= costs[index]
        kept.add(index)
    return [messages[index] for index in sorted(kept)]


def _from_both_ends(count: int) -> Iterator[tuple[_Side, int]]:
    """Yield the last index, the first, the last but one, the second, and so on to the other end."""
    for step in range(count):
        yield "newest", count - 1 - step
        yield "oldest", step


def _chat_message(message: Message) -> Json:
    content: Sequence[Content] = message.content
    if message.role == "assistant":  # endpoints take pictures from users only
        content = [part for part in content if not isinstance(part, ImageFileContent)]
    parts = [_chat_part(part) for part in content]
    if all(part["type"] == "text" for part in parts):
        return {"role": message.role, "content": "\n".join(part["text"] for part in parts)}
    found = [_placed(part, message, index) for index, part in enumerate(parts)]
    return {"role": message.role, "content": found}


def _chat_part(part: Content) -> Json:
    match part:
        case TextContent(text):
            return {"type": "text", "text": text.value}
        case RefusalContent(refusal):
            return {"type": "text", "text": refusal}
        case ImageUrlContent(image):
            return {"type": "image_url", "image_url": {"url": image.url, "detail": image.detail}}
        case ImageFileContent(image_file=image):
            return {"type": "image_file", "image_file": {"file_id": image.file_id, "detail": image.detail}}


def _placed(part: Json, message: Message, index: int) -> Json:
    """Return a part; of an image that the message carries in itself, where it is."""
    if part["type"] != "image_url" or not part["image_url"]["url"].startswith("data:"):
        return part
    place = {"thread_id": message.thread_id, "message_id": message.id, "index": index}
    return {"type": "image_data", "image_data": place | {"detail": part["image_url"]["detail"]}}


def _own_turns(steps: Sequence[Step], messages: Sequence[Message], to: Addressee) -> list[Json]:
    """Return each earlier turn of the run: what it said and called, then one tool message a call.

    The model that made a turn gets it back verbatim: its own ids, and whatever else came with it. Another
    gets what every endpoint takes.
    """
    written = {message.id: message for message in messages}
    turns: list[Json] = []
    ids: set[str] = set()
    for _, found in groupby(steps, key=attrgetter("turn")):
        texts: list[Any] = []
        calls: list[tuple[str, Call]] = []
        of_turn = list(found)
        facts = next((step.facts for step in of_turn if step.facts is not None), None)
        own = facts is not None and (facts.endpoint, facts.model) == (to.endpoint, to.model)
        for step in of_turn:
            if step.message_id in written:
                texts.append(_chat_message(written[step.message_id])["content"])
            calls += [(_model_id(call, ids, own), call) for call in step.calls]
        said = {"role": "assistant", "content": _joined(texts)}
        if calls:
            said["tool_calls"] = [_tool_call(id, call, own) for id, call in calls]
        if own and facts is not None and facts.echo:
            said = facts.echo | said
        turns.append(said)
        turns += [{"role": "tool", "tool_call_id": id, "content": told_output(call)} for id, call in calls]
    return turns


def _joined(texts: Sequence[Any]) -> Any:
    """Return a turn's texts as one; what a turn said after its calls stands behind what it said before."""
    return texts[0] if len(texts) == 1 else "\n".join(texts) if texts else None


def _model_id(call: Call, taken: set[str], own: bool) -> str:
    """Return the id by which the model knows a call: its own, or one made if it gave none of its own."""
    given = call.model_id if own else None
    if not given or given in taken:
        given = sha256(call.id.encode()).hexdigest()[:_MODEL_ID]
    taken.add(given)
    return given


def _tool_call(id: str, call: Call, own: bool) -> Json:
    arguments = arguments_of(call.arguments) if call.kind == CODE_INTERPRETER else call.arguments
    function = {"name": call.name, "arguments": arguments}
    extras = dict(call.extras or {}) if own else {}
    if isinstance(inner := extras.pop("function", None), dict):
        function = inner | function
    return extras | {"id": id, "type": "function", "function": function}


def told_output(call: Call) -> str:
    """Return what a model is told of a call's output: its beginning, with the cut said, if it is too long."""
    output = call.output or ""
    if len(output) <= MOST_OUTPUT // 4:  # no character takes more than four bytes
        return output
    data = output.encode()
    if len(data) <= MOST_OUTPUT:
        return output
    kept = data[:MOST_OUTPUT].decode(errors="ignore")
    return f"{kept}\n[cut: {len(data) - MOST_OUTPUT} of {len(data)} bytes left out]"
