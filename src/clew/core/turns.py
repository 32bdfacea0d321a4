"""What one turn of the model leaves behind: a message, its step, a step of tool calls."""

from msgspec.structs import replace

from clew.core.records import Call, Message, Run, Step, Turn, Usage, text_part
from clew.core.states import StepStatus


def counted(run: Run, turn: Turn) -> Run:
    """Return the run with the turn's tokens booked, and the moment of its first word."""
    spoke_at = run.spoke_at
    if spoke_at is None and turn.begun:
        spoke_at = turn.first_token_at or turn.started_at
    return replace(run, usage=run.usage + turn.usage, turns=run.turns + 1, spoke_at=spoke_at)


def message(run: Run, turn: Turn, now: int) -> Message:
    """Return what the model said, as a completed message of the thread."""
    content = []
    if turn.text is not None or turn.refusal is None:
        content.append(text_part(turn.text or ""))
    if turn.refusal is not None:
        content.append({"type": "refusal", "refusal": turn.refusal})
    return Message(
        id=turn.message_id,
        project=run.project,
        thread_id=run.thread_id,
        created_at=turn.first_token_at or turn.started_at,
        role="assistant",
        content=content,
        assistant_id=run.assistant_id,
        run_id=run.id,
        completed_at=now,
    )


def _step(run: Run, turn: Turn, step_id: str) -> Step:
    return Step(
        id=step_id,
        project=run.project,
        run_id=run.id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        created_at=turn.first_token_at or turn.started_at,
        type="tool_calls",
        turn=turn.number,
        first_token_at=turn.first_token_at,
    )


def message_step(run: Run, turn: Turn, now: int, usage: Usage) -> Step:
    """Return the completed step in which the message was written."""
    return replace(
        _step(run, turn, turn.message_step_id),
        type="message_creation",
        message_id=turn.message_id,
        status=StepStatus.COMPLETED,
        completed_at=now,
        usage=usage,
    )


def tools_step(run: Run, turn: Turn, calls: list[Call]) -> Step:
    """Return the open step that holds the turn's calls."""
    return replace(_step(run, turn, turn.tools_step_id), calls=calls, usage=turn.usage)
