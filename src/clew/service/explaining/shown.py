"""What is to be known of messages that don't appear, and of what the model was not shown. Pure."""

from collections.abc import Iterator

from clew.core.content import TextContent
from clew.core.records import Message
from clew.core.states import MessageStatus, RunStatus
from clew.service.explaining.situation import Finding, Situation, listed, several


def findings(situation: Situation) -> Iterator[Finding]:
    """Yield why somebody may miss messages."""
    run = situation.run
    there = {message.id for message in situation.messages}
    written = [step.message_id for step in situation.steps if step.message_id is not None]
    if deleted := [message_id for message_id in written if message_id not in there]:
        yield Finding(
            "messages_deleted",
            f"{several(len(deleted), 'message')} that it wrote {'was' if len(deleted) == 1 else 'were'} "
            f"deleted since: {listed(deleted)}.",
        )
    if run.status == RunStatus.IN_PROGRESS and run.waits_for is None and run.open_step is None:
        yield Finding(
            "messages_later",
            "What its model says now is in the list of messages only when the turn is over.",
            "Until then it is in the run's stream: `clew runs watch <run>`.",
        )
    if empty := [message.id for message in situation.messages if _is_empty(message)]:
        yield Finding(
            "message_empty",
            f"The model ended a turn without a word: {listed(empty)} is empty.",
            "Look at what it was asked: `clew steps list <run>`, `clew messages list <thread>`. Some models "
            "answer nothing after tools, or put all they say into their reasoning.",
        )
    cut = [message.id for message in situation.messages if message.status == MessageStatus.INCOMPLETE]
    if cut:
        yield Finding("message_incomplete", f"Its message {listed(cut)} is incomplete: it breaks off.")
    if run.status == RunStatus.COMPLETED and written and not deleted and not empty:
        yield Finding(
            "messages_there",
            f"What it wrote is in its thread: {listed(written, most=3)}.",
            f"`clew messages list {run.thread_id} --run {run.id}` lists just these. A list is newest first, "
            "and a page has 20 of them.",
        )
    if situation.line.messages:
        yield Finding(
            "messages_in_line",
            f"{several(situation.line.messages, 'message')} of clients wait in the thread's line: they are "
            "in no list until the active run is over.",
        )
    yield from _not_shown(situation)


def _not_shown(situation: Situation) -> Iterator[Finding]:
    dropped = max((step.facts.dropped for step in situation.steps if step.facts is not None), default=0)
    if dropped:
        yield Finding(
            "history_cut",
            f"The model was not shown {several(dropped, 'older message')} of the thread: the conversation is "
            "longer than its context, the budget of prompts, or truncation_strategy allow.",
            "If it forgot something, say it again, or use a model with a longer context.",
        )


def _is_empty(message: Message) -> bool:
    return message.status == MessageStatus.COMPLETED and all(
        isinstance(part, TextContent) and not part.text.value.strip() for part in message.content
    )
