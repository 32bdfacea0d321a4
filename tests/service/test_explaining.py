"""From what is known of a run to what is said of it: a table, without server or store."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from clew.core.errors import OutputsMismatch
from clew.core.records import Call, Failure, Run, RunConfig, Step, Usage, Wait
from clew.core.states import CallResult, CallState, RunStatus, WaitsFor
from clew.service import explaining
from clew.service.explaining.failures import failure
from clew.service.explaining.findings import explained
from clew.service.explaining.situation import Explanation, Situation, Workers, listed, span
from clew.service.refused import Refusals
from clew.store.explanations import Line, Takeover

BEGAN = 1_800_000_000_000
RUN = Run(
    id="run_1",
    project="alpha",
    thread_id="thread_1",
    assistant_id="asst_1",
    created_at=BEGAN,
    expires_at=BEGAN + 600_000,
    config=RunConfig(model="gpt"),
)
WORKING = replace(
    RUN,
    status=RunStatus.IN_PROGRESS,
    begun_at=BEGAN + 100,
    started_at=BEGAN + 100,
    worker="worker_1",
    epoch=1,
)
TAKEN = Takeover(BEGAN + 900, 1, "worker_0")
HERE = Workers(alive=1, owner=True, here=True)


def _call(**fields: object) -> Call:
    given = {
        "id": "call_1", "project": "alpha", "created_at": BEGAN, "run_id": "run_1", "step_id": "step_1",
        "turn": 1, "index": 0, "name": "look", "arguments": "{}",
    }  # fmt: skip
    return Call(**given | fields)  # type: ignore[arg-type]


def _step(*calls: Call, **fields: object) -> Step:
    given = {
        "id": "step_1", "project": "alpha", "run_id": "run_1", "thread_id": "thread_1",
        "assistant_id": "asst_1", "created_at": BEGAN, "type": "tool_calls", "turn": 1,
    }  # fmt: skip
    return Step(**given | fields, calls=list(calls))  # type: ignore[arg-type]


def _at(seconds: float, run: Run = RUN, **more: object) -> Situation:
    return Situation(now=BEGAN + int(1000 * seconds), run=run, **more)  # type: ignore[arg-type]


def _codes(told: Explanation) -> list[str]:
    return [finding.code for finding in told.findings]


LOOKING = _step(_call(kind="clew_clock", state=CallState.AT_WORK, begun_at=BEGAN + 1_000))
ENDED = replace(WORKING, status=RunStatus.INCOMPLETE, incomplete_reason="max_completion_tokens")

CASES = {
    "just queued": (_at(1), ["starting"]),
    "queued, no worker": (_at(1, workers=Workers(alive=0)), ["no_worker"]),
    "queued, no room": (_at(1, workers=Workers(alive=2, waiting=7)), ["workers_busy"]),
    "queued, beyond its project's share": (
        _at(2, replace(RUN, waits_for=WaitsFor.SHARE), share=3, workers=Workers(alive=1, waiting=1)),
        ["share_used"],
    ),
    "queued, forgotten": (_at(9, workers=Workers(alive=1)), ["not_taken_up"]),
    "queued for long": (_at(11, workers=Workers(alive=1, waiting=1)), ["workers_busy", "slow_start"]),
    "in line": (_at(1, replace(RUN, held=2), line=Line("run_0", "queued", 1, 0)), ["in_line"]),
    "in line of a thread that is free again": (_at(1, replace(RUN, held=2)), ["in_line"]),
    "at the model": (_at(1, WORKING, workers=HERE), ["model_at_work", "messages_later"]),
    "parked": (
        _at(
            2,
            replace(
                WORKING, waits_for=WaitsFor.RETRY, due=BEGAN + 9_000, retrying_since=BEGAN + 500, worker=None
            ),
        ),
        ["model_away"],
    ),
    "its worker died": (
        _at(1, WORKING, workers=Workers(alive=1, owner=False)),
        ["owner_gone", "model_at_work", "messages_later"],
    ),
    "its worker died, and no other is there": (
        _at(1, WORKING, workers=Workers(alive=0, owner=False)),
        ["no_worker", "model_at_work", "messages_later"],
    ),
    "given up": (_at(1, replace(WORKING, worker=None)), ["owner_gone", "model_at_work", "messages_later"]),
    "attempts": (
        _at(
            1,
            replace(WORKING, attempts=3),
            workers=HERE,
            takeovers=[Takeover(BEGAN + 900, 1, "worker_0")] * 3,
        ),
        ["model_at_work", "attempts", "taken_over", "messages_later"],
    ),
    "a tool at work": (
        _at(4, replace(WORKING, open_step="step_1"), workers=HERE, steps=[LOOKING]),
        ["tools_at_work"],
    ),
    "cancelling": (_at(1, replace(WORKING, status=RunStatus.CANCELLING)), ["cancelling"]),
    "cancelling, no worker": (
        _at(1, replace(WORKING, status=RunStatus.CANCELLING), workers=Workers(alive=0)),
        ["no_worker"],
    ),
    "no budget of its thread is left": (
        _at(
            2,
            replace(
                ENDED,
                config=replace(RUN.config, token_allowance=50),
                usage=Usage(prompt_tokens=40, completion_tokens=10),
            ),
            ended_at=BEGAN + 1_000,
        ),
        ["token_budget"],
    ),
    "failed, nobody knows why": (
        _at(2, replace(WORKING, status=RunStatus.FAILED), ended_at=BEGAN + 1_000),
        ["server_error"],
    ),
    "a call that may have happened": (
        _at(
            2,
            replace(WORKING, status=RunStatus.COMPLETED, turns=2),
            ended_at=BEGAN + 1_000,
            steps=[_step(_call(state=CallState.DONE, result=CallResult.UNKNOWN))],
        ),
        ["completed", "outcome_unknown"],
    ),
    "a client's output that tells of an error": (
        _at(
            2,
            replace(WORKING, status=RunStatus.COMPLETED, turns=2),
            ended_at=BEGAN + 1_000,
            steps=[_step(_call(state=CallState.DONE, result=CallResult.FAILED))],
        ),
        ["completed", "calls_failed"],
    ),
    "expired while its model was away": (
        _at(
            601,
            replace(WORKING, status=RunStatus.EXPIRED, retrying_since=BEGAN + 500),
            ended_at=BEGAN + 600_000,
        ),
        ["expired_model_away", "slow_answer"],
    ),
    "cancelled while its model was away": (
        _at(
            2,
            replace(WORKING, status=RunStatus.CANCELLED, retrying_since=BEGAN + 500),
            ended_at=BEGAN + 1_000,
            takeovers=[Takeover(BEGAN + 900, 1, None)],
        ),
        ["cancelled"],
    ),
    "cancelled in the queue": (
        _at(2, replace(RUN, status=RunStatus.CANCELLED), ended_at=BEGAN + 1_000),
        ["cancelled"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_of_a_run(name: str) -> None:
    situation, codes = CASES[name]
    told = explained(situation)
    assert _codes(told) == codes
    for finding in told.findings:
        assert finding.says.endswith(".")
        assert finding.advice is None or finding.advice.endswith((".", "`", ")"))
        assert "<" not in (finding.advice or "")
    assert sum(spell.ms for spell in told.spells) == told.total_ms


@pytest.mark.parametrize(
    ("code", "message", "found"),
    [
        ("server_error", "This server does not run these tools yet: bing_grounding.", "tools_not_run"),
        ("server_error", "The server gave up after 5 attempts that broke off.", "attempts"),
        ("server_error", "The run stopped after 100 calls of the model.", "too_many_turns"),
        ("server_error", "There is no model 'gpt' any more. There are: a, b.", "model_gone"),
        ("server_error", "The server could not store the answer. Its log says more.", "not_stored"),
        ("server_error", "The program for the model's key ended with code 1.", "key_unavailable"),
        ("server_error", "The model endpoint's certificate could not be checked: its ...", "certificate"),
        ("server_error", "The proxy in HTTPS_PROXY or HTTP_PROXY did not connect to the model.", "proxy"),
        ("server_error", "The model said nothing for 120 seconds.", "model_silent"),
        ("server_error", "The model endpoint answered 301: it redirects to /v1.", "wrong_url"),
        ("server_error", "The model endpoint answered 404 with a web page.", "wrong_url"),
        ("invalid_prompt", "The prompt is too long for the model: maximum 8192.", "context_exceeded"),
        ("invalid_prompt", "the request has 9000 tokens; the embedded model takes 8192", "context_exceeded"),
        ("rate_limit_exceeded", "The model endpoint answered 429: exceeded your current quota", "quota"),
        ("rate_limit_exceeded", "The model endpoint answered 429: slow down", "rate_limited"),
        ("rate_limit_exceeded", "anything", "rate_limited"),
        ("server_error", "The model endpoint answered 500: rate limit of the day", "rate_limited"),
        ("server_error", "The model endpoint answered 502: bad gateway", "endpoint_error"),
        ("server_error", "The connection to the model broke: it hung up.", "broke_off"),
        ("server_error", "the embedded model failed: no memory", "embedded_model"),
        ("invalid_prompt", "The model endpoint answered 400: no", "request_refused"),
        ("server_error", "Nobody has ever seen this.", "server_error"),
    ],
)
def test_what_an_error_means(code: str, message: str, found: str) -> None:
    told = failure(Failure(code, message))  # type: ignore[arg-type]
    assert told.code == found
    assert told.advice


def test_time_is_told_apart_and_adds_up() -> None:
    """One turn that calls two server tools at once, a wait for the client, then an answer."""
    clock = _call(
        id="call_2", kind="clew_clock", state=CallState.DONE, result=CallResult.OK,
        begun_at=BEGAN + 3_000, ended_at=BEGAN + 5_000,
    )  # fmt: skip
    other = replace(clock, id="call_3", begun_at=BEGAN + 4_000, ended_at=BEGAN + 6_000)
    asked = _call(state=CallState.DONE, result=CallResult.OK, begun_at=None, ended_at=BEGAN + 26_000)
    wait = Wait(
        WaitsFor.CLIENT, "step_1", BEGAN + 6_000, resumed_at=BEGAN + 26_000, started_at=BEGAN + 27_000
    )
    run = replace(
        WORKING, status=RunStatus.COMPLETED, begun_at=BEGAN + 1_000, turns=2, waits=[wait], worker="worker_1"
    )
    steps = [
        _step(clock, other, asked, first_token_at=BEGAN + 2_500),
        _step(
            id="step_2", type="message_creation", turn=2, first_token_at=BEGAN + 29_000, message_id="msg_1"
        ),
    ]
    told = explained(Situation(now=BEGAN + 40_000, run=run, steps=steps, ended_at=BEGAN + 30_000))
    assert {spell.code: spell.ms for spell in told.spells} == {
        "start": 1_000,
        "first_word": 1_500 + 2_000,
        "answer": 500 + 1_000,
        "tools": 3_000,
        "client": 20_000,
        "resume": 1_000,
    }
    assert told.total_ms == 30_000
    assert "slow_client" in _codes(told)


@pytest.mark.parametrize(
    ("ms", "words"),
    [(-5, "0.0 s"), (1_234, "1.2 s"), (59_400, "59 s"), (600_000, "10 min"), (7_200_000, "2 h")],
)
def test_times_in_words(ms: int, words: str) -> None:
    assert span(ms) == words


def test_long_lists_are_cut() -> None:
    assert listed([str(number) for number in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 4 more"


def test_refusals_are_remembered_few_and_short() -> None:
    refusals = Refusals()
    refusals.note("run_0", OutputsMismatch(["a"], ["x" * 9_999] * 9_999), 0)
    kept = refusals.of("run_0")
    assert kept is not None
    assert (len(kept.got), len(kept.got[0])) == (32, 64)
    for number in range(1, 1_001):
        refusals.note(f"run_{number}", OutputsMismatch(["a"], []), number)
    assert refusals.of("run_0") is None
    refusals.forget("run_1000")
    assert (refusals.of("run_1000"), refusals.of("run_999")) == (None, refusals.of("run_999"))


def test_the_page_names_every_code_and_no_other() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(explaining.__path__[0]).glob("*.py"))
    page = Path(__file__).parents[2].joinpath("docs", "runs.md").read_text(encoding="utf-8")
    table = page.partition("| a run that is | codes |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", table)) - {"times"}
    assert named == set(re.findall(r"\b(?:Finding|_row)\(\s*\"([a-z_]+)\"", sources))
