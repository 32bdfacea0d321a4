"""What the model is asked: a thread, a run and its own turns so far as one chat request. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from clew.core.decisions import CallModel
from clew.core.records import Call, Json, Message, Run, Step
from clew.model.chat import ChatRequest

_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4
_ANSWER_RESERVE = 512
"""Tokens of a model's context that are kept free for its answer."""

_MOST_MESSAGES = 2**31
"""More than any thread holds, and still a number that every database takes."""

_encode = msgspec.json.Encoder().encode


class Said(NamedTuple):
    """A message of a thread as a model is told it, with what it takes of the prompt."""

    chat: Json
    tokens: int
    run_id: str | None


class DoesNotFit(Exception):
    """Not even the newest message fits the tokens that are left."""


def build(
    run: Run,
    model: str,
    history: Sequence[Said],
    own_steps: Sequence[Step],
    own_messages: Sequence[Message],
    call: CallModel,
    context_tokens: int | None,
) -> ChatRequest:
    """Return the request for a run's next turn.

    ``history`` is the thread without what this run wrote; ``own_*`` is what it wrote and called so
    far, which is never cut.

    Raises:
        DoesNotFit: the instructions, the newest message and the run's own turns are too long.
    """
    config = run.config
    head = [{"role": "system", "content": config.instructions}] if config.instructions else []
    tail = _own_turns(own_steps, own_messages)
    limit = _limit(call.prompt_tokens_left, context_tokens)
    if limit is not None:
        history = _drop_middle(history, limit - _tokens(head) - _tokens(tail) - _tokens(config.functions()))
    told = [each.chat for each in history]
    tools = config.functions() if config.tool_choice != "none" else []
    return ChatRequest(
        model=model,
        messages=(*head, *told, *tail),
        tools=tuple(tools),
        tool_choice=_tool_choice(run) if tools else None,
        parallel_tool_calls=config.parallel_tool_calls,
        response_format=config.response_format if isinstance(config.response_format, dict) else None,
        temperature=None if config.temperature == 1 else config.temperature,
        top_p=None if config.top_p == 1 else config.top_p,
        max_completion_tokens=call.completion_tokens_left,
        reasoning_effort=config.reasoning_effort,
        idempotency_key=f"{run.id}/{run.turns + 1}/{run.epoch}",
    )


def said(message: Message) -> Said:
    """Return a message as a model is told it."""
    chat = _chat_message(message)
    return Said(chat, _tokens([chat]), message.run_id)


def history_limit(run: Run) -> int | None:
    """Return how many of the newest messages the model is given; None for all that fit."""
    strategy = run.config.truncation_strategy
    limit: int | None = strategy["last_messages"] if strategy["type"] == "last_messages" else None
    return None if limit is None else min(limit, _MOST_MESSAGES)


def _tool_choice(run: Run) -> str | Json | None:
    """Forcing a call applies to the first turn only: for ever forced, a run would never end."""
    return run.config.tool_choice if run.turns == 0 else None


def _limit(budget: int | None, context_tokens: int | None) -> int | None:
    room = None if context_tokens is None else max(context_tokens // 2, context_tokens - _ANSWER_RESERVE)
    limits = [limit for limit in (budget, room) if limit is not None]
    return min(limits) if limits else None


def _tokens(items: Sequence[Json]) -> int:
    """Estimate tokens without a vocabulary: about four bytes of text each."""
    return sum(len(_encode(item)) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE for item in items)


def _drop_middle(messages: Sequence[Said], limit: int) -> Sequence[Said]:
    """Keep the newest and the oldest messages that fit, dropping from the middle of the thread.

    The newest message and the newest by the user are never dropped.
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
    for index in _from_both_ends(len(messages)):
        if index in kept:
            continue
        if costs[index] > left:
            break
        left -= costs[index]
        kept.add(index)
    return [messages[index] for index in sorted(kept)]


def _from_both_ends(count: int) -> Iterator[int]:
    """Yield the last index, the first, the last but one, the second, and so on to the middle."""
    for step in range((count + 1) // 2):
        yield count - 1 - step
        yield step


def _chat_message(message: Message) -> Json:
    parts = [part for part in map(_chat_part, message.content) if part is not None]
    if all(part["type"] == "text" for part in parts):
        return {"role": message.role, "content": "\n".join(part["text"] for part in parts)}
    return {"role": message.role, "content": parts}


def _chat_part(part: Json) -> Json | None:
    match part:
        case {"type": "text", "text": {"value": value}}:
            return {"type": "text", "text": value}
        case {"type": "refusal", "refusal": value}:
            return {"type": "text", "text": value}
        case {"type": "image_url"}:
            return part
    return None


def _own_turns(steps: Sequence[Step], messages: Sequence[Message]) -> list[Json]:
    """Return each earlier turn of the run: what it said and called, then one tool message a call."""
    said = {message.id: message for message in messages}
    turns: list[Json] = []
    for _, of_turn in groupby(steps, key=attrgetter("turn")):
        text, calls = None, []
        for step in of_turn:
            if step.message_id in said:
                text = _chat_message(said[step.message_id])["content"]
            calls += step.calls
        turns.append(
            {"role": "assistant", "content": text} | ({"tool_calls": _tool_calls(calls)} if calls else {})
        )
        turns += [{"role": "tool", "tool_call_id": call.id, "content": call.output or ""} for call in calls]
    return turns


def _tool_calls(calls: Sequence[Call]) -> list[Json]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
