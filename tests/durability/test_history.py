"""The checker of histories finds what is wrong: each test spoils a true history in one way."""

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.durability.history import Final, Log, check
from tests.durability.load import Client, answer
from tests.durability.sites import one_process
from tests.support.wait import until


class History(NamedTuple):
    """What a client was told, and what is there."""

    log: Log
    threads: dict[str, Final]


@pytest.fixture(scope="module")
def true_history() -> Iterator[History]:
    """A history without any fault, in which everything has happened that can be spoiled."""
    with ScriptedModel(default=answer) as model, one_process(model) as site, httpx2.Client() as http:
        client = Client(1, site.key, site.urls, lambda: None, seed=5)
        client.start()
        until(lambda: client.log.outputs and client.log.cancelled and len(client.log.runs) > 12, patience=60)
        client.stop()
        client.join(30)
        assert client.error is None
        finals = {thread: site.final(http, thread) for thread in client.log.messages}
        yield History(client.log, {thread: final for thread, final in finals.items() if final})


@pytest.fixture
def history(true_history: History) -> History:
    return copy.deepcopy(true_history)


def _final_of(history: History, run_id: str) -> Final:
    return history.threads[history.log.runs[run_id]]


def _with_text(history: History) -> tuple[str, Any]:
    """Return a run that completed with a message, with its reader's events."""
    for run_id, (told, *_) in history.log.streams.items():
        if any(frame.event == "thread.message.completed" for frame in told):
            return run_id, told
    raise AssertionError("no reader has read a message")


def test_a_true_history_gives_no_complaint(history: History) -> None:
    assert check(*history) == []
    assert history.log.acknowledged > 30


def lose_a_message(history: History) -> None:
    next(final for final in history.threads.values() if final.messages).messages.pop(0)


def lose_a_thread(history: History) -> None:
    history.threads.popitem()


def lose_a_run(history: History) -> None:
    final = next(final for final in history.threads.values() if len(final.runs) == 1)
    final.runs.clear()


def double_a_message(history: History) -> None:
    final = next(final for final in history.threads.values() if final.messages)
    final.messages.append({**final.messages[0], "id": "msg_another", "run_id": None})


def double_an_answer(history: History) -> None:
    run_id, _ = _with_text(history)
    final = _final_of(history, run_id)
    (answered, *_) = [message for message in final.messages if message["run_id"] == run_id]
    final.messages.append({**answered, "id": "msg_another"})


def reorder_messages(history: History) -> None:
    for final in history.threads.values():
        users = [number for number, m in enumerate(final.messages) if m["role"] == "user"]
        if len(users) > 1:
            one, two = users[:2]
            final.messages[one], final.messages[two] = final.messages[two], final.messages[one]
            return
    raise AssertionError("no thread has two messages of a user")


def change_a_run_that_has_ended(history: History) -> None:
    run_id = next(run_id for run_id, seen in history.log.seen.items() if seen[-1]["status"] == "completed")
    for run in _final_of(history, run_id).runs:
        if run["id"] == run_id:
            run["completed_at"] += 1


def go_backwards(history: History) -> None:
    seen = next(seen for seen in history.log.seen.values() if seen[-1]["status"] == "completed")
    seen.insert(len(seen) - 1, {**seen[-1], "status": "cancelling"})


def leave_a_run_unfinished(history: History) -> None:
    final = next(final for final in history.threads.values() if final.runs)
    final.runs[-1]["status"] = "in_progress"


def overlap_runs(history: History) -> None:
    final = next(final for final in history.threads.values() if len(final.runs) > 1)
    final.runs[0]["completed_at"] = final.runs[1]["created_at"] + 5


def book_tokens_twice(history: History) -> None:
    run_id, _ = _with_text(history)
    for run in _final_of(history, run_id).runs:
        if run["id"] == run_id:
            run["usage"]["total_tokens"] *= 2


def lose_an_output(history: History) -> None:
    run_id = next(iter(history.log.outputs))
    for step in _final_of(history, run_id).steps[run_id]:
        if step["type"] == "tool_calls":
            step["step_details"]["tool_calls"][0]["function"]["output"] = "another's"


def ignore_a_cancellation(history: History) -> None:
    run_id = next(iter(history.log.cancelled))
    for run in _final_of(history, run_id).runs:
        if run["id"] == run_id:
            run["status"] = "completed"
    history.log.seen.pop(run_id)


def hide_an_event(history: History) -> None:
    _, told = _with_text(history)
    told.remove(next(frame for frame in told if frame.event == "thread.message.completed"))


def repeat_an_event(history: History) -> None:
    _, told = _with_text(history)
    told.insert(3, told[2])


def invent_an_event(history: History) -> None:
    _, told = _with_text(history)
    told.append(told[-1]._replace(event="thread.run.failed", id=told[-1].id + 1))


def garble_a_piece(history: History) -> None:
    _, told = _with_text(history)
    piece = next(frame for frame in told if frame.event == "thread.message.delta")
    piece.data["delta"]["content"][0]["text"]["value"] += "!"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lose_a_message, r"the message msg_\w+ was acknowledged and is not there"),
        (lose_a_thread, r"the thread was acknowledged and is not there"),
        (lose_a_run, r"the run run_\w+ was acknowledged and is not there"),
        (double_a_message, r"a message that was sent once is there twice"),
        (double_an_answer, r"it wrote 2 messages and has 1 steps for messages"),
        (reorder_messages, r"messages are in another order than they were acknowledged in"),
        (change_a_run_that_has_ended, r"it had ended completed and changed afterwards"),
        (go_backwards, r"it went from cancelling to completed"),
        (leave_a_run_unfinished, r"it has not ended: in_progress"),
        (overlap_runs, r"run_\w+ was created while run_\w+ was active"),
        (book_tokens_twice, r"its steps used \d+ tokens, and it \d+"),
        (lose_an_output, r"was acknowledged, and \"another's\" is there"),
        (ignore_a_cancellation, r"its cancellation was acknowledged, and it ended completed"),
        (hide_an_event, r"a reader got as far as \d+ and missed thread\.message\.completed"),
        (repeat_an_event, r"a reader was told events out of order, or twice"),
        (invent_an_event, r"a reader was told thread\.run\.failed at \d+, which has not happened"),
        (garble_a_piece, r"a reader heard '[^']+' of the message"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_wrong_is_found(history: History, spoil: Callable[[History], None], complaint: str) -> None:
    spoil(history)
    complaints = check(*history)
    assert any(re.search(complaint, each) for each in complaints), complaints
