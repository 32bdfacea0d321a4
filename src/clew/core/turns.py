"""What one turn of the model leaves behind: messages and their steps, and a step of tool calls."""

from msgspec.structs import replace

from clew.core.content import (
    Content,
    ImageFileContent,
    ImageFileValue,
    RefusalContent,
    TextContent,
    TextValue,
)
from clew.core.records import (
    Call,
    CallsItem,
    Item,
    Message,
    Run,
    RunConfig,
    Step,
    StepType,
    TextItem,
    Turn,
    Usage,
)
from clew.core.states import StepStatus


def counted(run: Run, turn: Turn) -> Run:
    """Return the run with the turn's tokens booked, and the moment of its first word."""
    spoke_at = run.spoke_at
    if spoke_at is None and turn.said:
        spoke_at = turn.first_token_at or turn.started_at
    cost = turn.facts.cost if turn.facts is not None else None
    if cost is not None and run.turns:
        cost = None if run.cost is None else run.cost + cost
    return replace(run, usage=run.usage + turn.usage, turns=run.turns + 1, spoke_at=spoke_at, cost=cost)


def without_nul(turn: Turn) -> Turn:
    """Return a turn that every database takes: with U+FFFD for the character NUL, at the same positions."""
    return replace(turn, items=tuple(map(_without_nul, turn.items)))


def _without_nul(item: Item) -> Item:
    def kept(text: str | None) -> str | None:
        return None if text is None else text.replace("\0", "\ufffd")

    if isinstance(item, TextItem):
        return replace(item, text=kept(item.text), refusal=kept(item.refusal))
    return replace(
        item,
        calls=tuple(replace(call, arguments=call.arguments.replace("\0", "\ufffd")) for call in item.calls),
    )


def calls_nothing_known(turn: Turn, config: RunConfig) -> bool:
    """Whether a turn consists of nothing but calls of functions that were not offered."""
    called = turn.called
    if called is None or turn.said:
        return False
    known = {*config.function_names(), *config.offers}
    return not any(call.name in known for call in called.calls)


def message(run: Run, turn: Turn, said: TextItem, now: int) -> Message:
    """Return what the model said, as a completed message of the thread."""
    content: list[Content] = [ImageFileContent(ImageFileValue(each)) for each in said.images]
    if said.text is not None or said.refusal is None:
        content.append(TextContent(TextValue(said.text or "", list(said.annotations))))
    if said.refusal is not None:
        content.append(RefusalContent(said.refusal))
    return Message(
        id=said.message_id,
        project=run.project,
        thread_id=run.thread_id,
        created_at=turn.first_token_at or turn.started_at,
        role="assistant",
        content=content,
        assistant_id=run.assistant_id,
        run_id=run.id,
        completed_at=now,
    )


def _step(run: Run, turn: Turn, item: Item, kind: StepType) -> Step:
    """Return a step as it begins. The turn's last one carries the turn's usage and facts."""
    last = not turn.items or in_order(turn)[-1] is item
    return Step(
        id=item.step_id,
        project=run.project,
        run_id=run.id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        created_at=turn.first_token_at or turn.started_at,
        type=kind,
        turn=turn.number,
        first_token_at=turn.first_token_at,
        usage=turn.usage if last else Usage(),
        facts=turn.facts if last else None,
    )


def message_step(run: Run, turn: Turn, said: TextItem, now: int) -> Step:
    """Return the completed step in which a message was written."""
    return replace(
        _step(run, turn, said, "message_creation"),
        message_id=said.message_id,
        status=StepStatus.COMPLETED,
        completed_at=now,
    )


def tools_step(run: Run, turn: Turn, called: CallsItem, calls: list[Call]) -> Step:
    """Return the open step that holds a turn's calls, as they are now."""
    return replace(_step(run, turn, called, "tool_calls"), calls=calls)


def in_order(turn: Turn) -> list[Item]:
    """Return what a turn has brought in the order in which it is told.

    What came first was told as it came. Of the rest, messages are closed before the step of calls goes on.
    """
    if len(turn.items) < 2:
        return list(turn.items)
    first, rest = list(turn.items[:1]), turn.items[1:]
    messages: list[Item] = [item for item in rest if isinstance(item, TextItem)]
    return first + messages + [item for item in rest if isinstance(item, CallsItem)]
