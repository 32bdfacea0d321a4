"""The checker of histories finds what is wrong: each test spoils a true history in one way."""

import copy
import re
from collections.abc import Callable
from typing import NamedTuple

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.durability.history import Final, Listed, Log, check
from tests.durability.load import Client, answer
from tests.durability.sites import one_process
from tests.support.api import Json
from tests.support.sse import Frame
from tests.support.wait import until

_PLAIN, _TOOLS, _MIXED = "You said: plain", "You said: tools", "You said: mixed"


class History(NamedTuple):
    """What a client was told, and what is there."""

    log: Log
    threads: dict[str, Final]

    def run(self, said: str) -> tuple[Json, Final]:
        """Return a completed run whose last message begins in a way, as it is there, with its thread."""
        for final in self.threads.values():
            for run in final.runs:
                if run["status"] == "completed" and self.log.answers[run["id"]][-1].startswith(said):
                    return run, final
        raise AssertionError(f"no run has said {said}")

    def told(self, event: str) -> tuple[list[Frame], int]:
        """Return what a reader was told who was told of an event, and where that is."""
        for readers in self.log.streams.values():
            for told in readers:
                for place, frame in enumerate(told):
                    if frame.event == event:
                        return told, place
        raise AssertionError(f"no reader was told of {event}")


def _of_users(final: Final) -> list[Json]:
    return [message for message in final.messages if message["role"] == "user"]


@pytest.fixture(scope="module")
def true_history() -> History:
    """A history without any fault, in which everything has happened that can be spoiled."""
    for seed in range(5, 15):
        history = _lived(seed)
        if all(_can_be_spoiled(history, spoil) for spoil, _ in SPOILED):
            break  # else what it needs was deleted, or cancelled: by chance and by how fast the machine is
    return history


def _can_be_spoiled(history: History, spoil: Callable[[History], None]) -> bool:
    try:
        spoil(copy.deepcopy(history))
    except (AssertionError, LookupError, StopIteration):
        return False
    return True


def _lived(seed: int) -> History:
    with ScriptedModel(default=answer) as model, one_process(model) as site, httpx2.Client() as http:
        client = Client(1, site.key, site.urls, lambda: None, seed=seed)
        client.start()
        until(lambda: _may_have_everything(client.log), timeout=60)
        client.stop()
        client.wait_stopped(30)
        finals = {thread: site.final(http, thread) for thread in client.log.messages}
        return History(client.log, {thread: final for thread, final in finals.items() if final})


def _may_have_everything(log: Log) -> bool:
    denied = not all(each for told in log.approvals.values() for decided in told for each in decided.values())
    happened = (log.outputs, denied, log.cancelled, log.metadata, log.lists, log.parts)
    messages_gone = any(each.startswith("msg") for each in log.gone)
    threads_gone = any(each.startswith("thread") for each in log.gone)
    has_middle = any(len(told) > 4 for readers in log.parts.values() for told in readers)
    return all(happened) and has_middle and messages_gone and threads_gone and len(log.runs) > 25


@pytest.fixture
def history(true_history: History) -> History:
    return copy.deepcopy(true_history)


def test_a_true_history_gives_no_complaint(history: History) -> None:
    assert check(*history) == []
    assert history.log.acknowledged > 60


# --- threads and messages ------------------------------------------------------------------------


def lose_a_message(history: History) -> None:
    _, final = history.run(_PLAIN)
    final.messages.remove(_of_users(final)[0])


def lose_a_thread(history: History) -> None:
    history.threads.popitem()


def keep_a_deleted_thread(history: History) -> None:
    gone = next(each for each in history.log.gone if each.startswith("thread"))
    history.threads[gone] = next(iter(history.threads.values()))


def keep_a_deleted_message(history: History) -> None:
    _, final = history.run(_PLAIN)
    history.log.gone.add(_of_users(final)[0]["id"])


def forget_metadata(history: History) -> None:
    thread = next(thread for thread in history.log.metadata if thread in history.threads)
    history.threads[thread].thread["metadata"].clear()


def double_a_message(history: History) -> None:
    _, final = history.run(_PLAIN)
    final.messages.append({**_of_users(final)[0], "id": "msg_another"})


def invent_a_message(history: History) -> None:
    _, final = history.run(_PLAIN)
    said = {"type": "text", "text": {"value": "Who said that?", "annotations": []}}
    final.messages.append({**_of_users(final)[0], "id": "msg_another", "content": [said]})


def reorder_messages(history: History) -> None:
    final = next(final for final in history.threads.values() if len(_of_users(final)) > 1)
    one, two = (final.messages.index(message) for message in _of_users(final)[:2])
    final.messages[one], final.messages[two] = final.messages[two], final.messages[one]


def skip_a_page(history: History) -> None:
    _, final = history.run(_PLAIN)
    del final.newest_first[0]


# --- runs ----------------------------------------------------------------------------------------


def lose_a_run(history: History) -> None:
    next(final for final in history.threads.values() if len(final.runs) == 1).runs.clear()


def double_a_run(history: History) -> None:
    run, _ = history.run(_PLAIN)
    del history.log.runs[run["id"]]


def double_an_answer(history: History) -> None:
    run, final = history.run(_PLAIN)
    (answered,) = [message for message in final.messages if message["run_id"] == run["id"]]
    final.messages.append({**answered, "id": "msg_another"})


def break_an_answer_off(history: History) -> None:
    run, final = history.run("wörd0")
    (answered,) = [message for message in final.messages if message["run_id"] == run["id"]]
    answered["content"][0]["text"]["value"] = "wörd0🧶 "


def change_a_run_that_has_ended(history: History) -> None:
    run, _ = history.run(_PLAIN)
    run["last_error"] = {"code": "server_error", "message": "Too late."}


def go_backwards(history: History) -> None:
    run, _ = history.run(_PLAIN)
    seen = history.log.seen[run["id"]]
    seen.insert(len(seen) - 1, {**seen[-1], "status": "cancelling"})


def leave_a_run_unfinished(history: History) -> None:
    run, _ = history.run(_PLAIN)
    run["status"] = "in_progress"


def overlap_runs(history: History) -> None:
    final = next(final for final in history.threads.values() if len(final.runs) > 1)
    final.runs[0]["completed_at"] = final.runs[1]["started_at"] + 5


def have_two_active(history: History) -> None:
    for lists in history.log.lists.values():
        for runs in lists:
            runs[0]["status"] = "in_progress"  # a slow machine may have listed it only once it was over
            runs.append({**runs[0], "id": "run_another"})


def turn_time_back(history: History) -> None:
    run, final = history.run(_TOOLS)
    final.steps[run["id"]][0]["created_at"] -= 5


def book_tokens_twice(history: History) -> None:
    run, _ = history.run(_PLAIN)
    run["usage"]["total_tokens"] *= 2


def double_a_step(history: History) -> None:
    run, final = history.run(_TOOLS)
    final.steps[run["id"]].append(final.steps[run["id"]][0])


def show_a_step_too_late(history: History) -> None:
    run, _ = history.run(_TOOLS)
    messages, steps = history.log.ends[run["id"]]
    history.log.ends[run["id"]] = Listed(messages, steps[:-1])


def show_an_answer_too_late(history: History) -> None:
    run, _ = history.run(_PLAIN)
    messages, steps = history.log.ends[run["id"]]
    history.log.ends[run["id"]] = Listed(messages[:-1], steps)


def lose_an_output(history: History) -> None:
    run, final = history.run(_TOOLS)
    step = next(step for step in final.steps[run["id"]] if step["type"] == "tool_calls")
    step["step_details"]["tool_calls"][0]["function"]["output"] = "another's"


def garble_an_outcome(history: History) -> None:
    run, final = history.run(_MIXED)
    _calculated(final.steps[run["id"]])["output"] = "43"


def lose_an_outcome(history: History) -> None:
    run, final = history.run(_MIXED)
    _calculated(final.steps[run["id"]])["output"] = None


def run_what_was_denied(history: History) -> None:
    every = [decided for decisions in history.log.approvals.values() for decided in decisions]
    decided, call_id = next((each, call) for each in every for call, approved in each.items() if not approved)
    decided[call_id] = True


def _calculated(steps: list[Json]) -> Json:
    calls = [call for step in steps for call in step["step_details"].get("tool_calls", [])]
    called: Json = next(call["clew_calculator"] for call in calls if call["type"] == "clew_calculator")
    return called


def take_two_submissions(history: History) -> None:
    run, _ = history.run(_TOOLS)
    outputs = history.log.outputs[run["id"]]
    outputs.append(dict.fromkeys(outputs[0], "the loser's"))


def take_outputs_that_were_refused(history: History) -> None:
    run, _ = history.run(_TOOLS)
    del history.log.outputs[run["id"]]


def ignore_a_cancellation(history: History) -> None:
    run, _ = history.run(_PLAIN)
    history.log.cancelled.add(run["id"])


# --- streams -------------------------------------------------------------------------------------


def hide_an_event(history: History) -> None:
    told, place = history.told("thread.message.completed")
    del told[place]


def repeat_an_event(history: History) -> None:
    told, place = history.told("thread.message.completed")
    told.insert(place, told[place])


def invent_an_event(history: History) -> None:
    told, place = history.told("thread.run.completed")
    told.append(Frame("thread.run.failed", told[place].data, (told[place].id or 0) + 1))


def tell_another_end(history: History) -> None:
    told, place = history.told("thread.run.completed")
    told[place].data["usage"]["total_tokens"] += 1


def garble_a_piece(history: History) -> None:
    told, place = history.told("thread.message.delta")
    told[place].data["delta"]["content"][0]["text"]["value"] += "!"


def lose_a_piece_of_a_call(history: History) -> None:
    told, place = history.told("thread.run.step.delta")
    del told[place]


def leave_a_gap_in_an_answer(history: History) -> None:
    for (told,) in history.log.parts.values():
        told[:] = [frame for frame in told if frame.event != "thread.run.queued"]


SPOILED: list[tuple[Callable[[History], None], str]] = [
    (lose_a_message, r"the message msg_\w+ was acknowledged and is not there"),
    (lose_a_thread, r"the thread was acknowledged and is not there"),
    (keep_a_deleted_thread, r"its deletion was acknowledged, and it is there"),
    (keep_a_deleted_message, r"the message msg_\w+ was deleted and is there"),
    (forget_metadata, r"its metadata was acknowledged to be {'count': '\d+'}, and is {}"),
    (double_a_message, r"a message that was sent once is there twice"),
    (invent_a_message, r"the message msg_another is there, and nobody was told of it"),
    (reorder_messages, r"messages are in another order than they were acknowledged in"),
    (skip_a_page, r"its messages are not the same by small pages and by large ones"),
    (lose_a_run, r"the run run_\w+ was acknowledged and is not there"),
    (double_a_run, r"the run run_\w+ is there, and nobody was told of it"),
    (double_an_answer, r"it wrote 2 messages and has 1 steps for messages"),
    (break_an_answer_off, r"it completed and said \['wörd0🧶 '\], not \['wörd0🧶 wörd1"),
    (change_a_run_that_has_ended, r"it had ended completed and changed afterwards"),
    (go_backwards, r"it went from cancelling to completed"),
    (leave_a_run_unfinished, r"it has not ended: in_progress"),
    (overlap_runs, r"run_\w+ was started while run_\w+ was active"),
    (have_two_active, r"run_\w+ and run_another were active at the same moment"),
    (turn_time_back, r"its times go back: \[\d+, \d+"),
    (book_tokens_twice, r"its steps used \d+ tokens, and it \d+"),
    (double_a_step, r"a call of it is there twice"),
    (show_a_step_too_late, r"its steps were not all there when it was over"),
    (show_an_answer_too_late, r"what it wrote was not all there when it was over"),
    (lose_an_output, r"was acknowledged, and \"another's\" is there"),
    (garble_an_outcome, r"the outcome of call_\w+ is '43', not '2'"),
    (lose_an_outcome, r"the call call_\w+ has no outcome, and its step is complete"),
    (run_what_was_denied, r"the outcome of call_\w+ is 'The user declined this tool call\.', not '\d+'"),
    (take_two_submissions, r"the output \"the loser's\" of call_\w+ was acknowledged"),
    (take_outputs_that_were_refused, r"the output '.+' of call_\w+ is there, and nobody was told so"),
    (ignore_a_cancellation, r"its cancellation was acknowledged, and it ended completed"),
    (hide_an_event, r"a reader got as far as \d+ and missed thread\.message\.completed"),
    (repeat_an_event, r"a reader was told events out of order, or twice"),
    (invent_an_event, r"a reader was told thread\.run\.failed at \d+, which has not happened"),
    (tell_another_end, r"a reader was told another thread\.run\.completed at \d+ than there is"),
    (garble_a_piece, r"a reader heard '.+' of msg_\w+, which is '.+'"),
    (lose_a_piece_of_a_call, r"a reader heard '.*' of step_\w+, which is '.+'"),
    (leave_a_gap_in_an_answer, r"a stream told of \['thread.run.created', .+ which is no part of \["),
]
"""Ways to spoil a history, each with what the checker must say of it."""


@pytest.mark.parametrize(("spoil", "complaint"), SPOILED, ids=[spoil.__name__ for spoil, _ in SPOILED])
def test_what_is_wrong_is_found(history: History, spoil: Callable[[History], None], complaint: str) -> None:
    spoil(history)
    complaints = check(*history)
    assert any(re.search(complaint, each) for each in complaints), complaints
