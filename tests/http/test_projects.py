"""Projects as rows: what each may take, and how long its threads are kept, set beside a running server."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx2
import pytest
from click.testing import CliRunner

from clew.cli.main import cli
from clew.core.due import Work
from clew.store import due_work
from clew.store.statement import Transaction
from clew.store.store_files import INGESTION, PURGE
from clew.testing.scripted_model import ScriptedModel, Usage
from tests.support.api import Api, RunHandle
from tests.support.clock import ManualClock
from tests.support.database import Place, dump
from tests.support.ids import CountingIds
from tests.support.server import KEYS, Server
from tests.support.store import opened
from tests.support.wait import until

Projects = Callable[..., str]
DAY = 24 * 3600 * 1000


@pytest.fixture
def own(place: Place, model: ScriptedModel, clock: ManualClock) -> Iterator[Server]:
    with Server(place, model.url, clock=clock, ids=CountingIds()) as server:
        yield server


@pytest.fixture
def alpha(own: Server, http: httpx2.Client) -> Api:
    return Api(http, own.url, KEYS["alpha"])


@pytest.fixture
def beta(own: Server, http: httpx2.Client) -> Api:
    return Api(http, own.url, KEYS["beta"])


@pytest.fixture
def projects(place: Place, monkeypatch: pytest.MonkeyPatch) -> Projects:
    """Runs ``clew projects`` on the server's database."""
    monkeypatch.setenv("CLEW_DATABASE_URL", place if isinstance(place, str) else f"sqlite:///{place}")

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, ["projects", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    return run


def _limited(own: Server, project: str, **limits: int | None) -> None:
    """Wait until the server knows of a project's limits."""
    shares = own.shares
    until(lambda: all(getattr(shares.of(project), name) == limit for name, limit in limits.items()))


def _runs(api: Api, count: int) -> list[RunHandle]:
    agent = api.agent()
    return [api.run(api.thread(f"Question {number}"), agent) for number in range(count)]


def _statuses(runs: list[RunHandle]) -> list[str]:
    return [str(run.now()["status"]) for run in runs]


# --- runs at work -----------------------------------------------------------------------------------


def test_runs_beyond_a_projects_share_wait_and_come_in_order(
    own: Server, alpha: Api, beta: Api, model: ScriptedModel, projects: Projects
) -> None:
    projects("add", "alpha", "--runs", "1")
    _limited(own, "alpha", runs=1)
    held = [model.hold("One ", "answer.") for _ in range(3)]
    runs = _runs(alpha, 3)
    held[0].gates[0].wait_reached()
    assert _statuses(runs) == ["in_progress", "queued", "queued"]
    model_of_beta = beta.run(beta.thread("Is somebody there?"), beta.agent())
    held[1].gates[0].wait_reached()  # nobody of beta waits for alpha
    held[1].release()
    model_of_beta.wait("completed")
    held[0].release()
    runs[0].wait("completed")
    held[2].gates[0].wait_reached()
    until(lambda: _statuses(runs) == ["completed", "in_progress", "queued"])
    held[2].release()
    for run in runs:
        run.wait("completed")
    asked = [str(each.messages[-1]["content"]) for each in model.requests]
    assert [text for text in asked if text.startswith("Question")] == [f"Question {n}" for n in range(3)]


def test_a_limit_that_is_lifted_lets_all_go_on(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects
) -> None:
    projects("add", "alpha", "--runs", "1")
    _limited(own, "alpha", runs=1)
    held = model.hold("The first ", "answer.")
    runs = _runs(alpha, 4)
    held.gates[0].wait_reached()
    projects("set", "alpha", "--runs", "none")
    for run in runs[1:]:
        run.wait("completed")
    held.release()
    runs[0].wait("completed")


def test_what_waits_can_be_cancelled_and_expires(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects, clock: ManualClock
) -> None:
    projects("add", "alpha", "--runs", "1")
    _limited(own, "alpha", runs=1)
    held = model.hold("The first ", "answer.")
    runs = _runs(alpha, 3)
    held.gates[0].wait_reached()
    runs[1].cancel()
    runs[1].wait("cancelled")
    clock.advance(600_000)
    runs[2].wait("expired")
    held.release()
    runs[0].wait()


def test_what_waits_goes_on_after_a_restart(
    place: Place, model: ScriptedModel, clock: ManualClock, http: httpx2.Client, projects: Projects
) -> None:
    ids = CountingIds()
    projects("add", "alpha", "--runs", "1")
    with Server(place, model.url, clock=clock, ids=ids) as server:
        held = model.hold("The first ", "answer.")
        runs = _runs(Api(http, server.url, KEYS["alpha"]), 3)
        held.gates[0].wait_reached()
        until(lambda: str(dump(place)["runs"]).count("'share'") == 2)
    held.release()
    with Server(place, model.url, clock=clock, ids=ids) as server:
        api = Api(http, server.url, KEYS["alpha"])
        for run in runs:
            again = RunHandle(api, run.created)
            until(lambda again=again: again.now()["status"] == "completed")  # type: ignore[misc]


def test_calls_that_are_answered_go_on_whatever_the_share(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects
) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    model.call("look_up", {})
    waiting = alpha.run(alpha.thread("Look."), alpha.agent(tools=[tool]))
    waiting.wait_calls()
    projects("add", "alpha", "--runs", "1")
    _limited(own, "alpha", runs=1)
    held = model.hold("Another ", "answer.")
    (other,) = _runs(alpha, 1)
    held.gates[0].wait_reached()
    waiting.answer_calls(lambda _: "Found.")
    waiting.wait("completed")
    held.release()
    other.wait("completed")


def test_who_floods_a_server_keeps_nobody_else_waiting(
    place: Place, model: ScriptedModel, clock: ManualClock, http: httpx2.Client
) -> None:
    """One place, a line of two: who has filled it waits, others come next, and are let into the line."""
    with Server(
        place, model.url, clock=clock, ids=CountingIds(), max_active_runs=1, max_waiting_runs=2
    ) as server:
        flooding, calm = (Api(http, server.url, KEYS[name]) for name in ("alpha", "beta"))
        held = [model.hold("An ", "answer.") for _ in range(4)]
        first = _runs(flooding, 3)
        held[0].gates[0].wait_reached()
        other = calm.run(calm.thread("Is there room?"), calm.agent())
        for reply in held:
            reply.release()
        for run in (*first, other):
            run.wait("completed")
        asked = [str(each.messages[-1]["content"]) for each in model.requests]
        assert asked == ["Question 0", "Question 1", "Is there room?", "Question 2"]


# --- readers, tokens --------------------------------------------------------------------------------


def test_streams_beyond_the_share_are_refused_before_anything_is_done(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects
) -> None:
    projects("add", "alpha", "--streams", "1")
    _limited(own, "alpha", streams=1)
    held = model.hold("Once ", "more.")
    agent, thread = alpha.agent(), alpha.thread("Hello")
    with alpha.stream("POST", f"/threads/{thread}/runs", {"assistant_id": agent, "stream": True}) as frames:
        next(frames)
        held.gates[0].wait_reached()
        other = alpha.thread("Hello too")
        body = {"assistant_id": agent, "stream": True}
        refused = alpha.send("POST", f"/threads/{other}/runs", body)
        assert refused.status_code == 429
        assert "1 streams open" in refused.text
        assert refused.headers["retry-after"] == "1"
        assert alpha.get(f"/threads/{other}/runs")["data"] == []
        assert alpha.send("GET", "/events").status_code == 429
        held.release()
        list(frames)
    with alpha.stream("GET", "/events", wait=0):
        pass


def test_streams_that_are_asked_for_at_the_same_moment_share_the_places(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects
) -> None:
    """Whoever is let in is counted at once, not when his run is stored."""
    projects("add", "alpha", "--streams", "2")
    _limited(own, "alpha", streams=2)
    held = [model.hold("Once ", "more.") for _ in range(2)]
    agent, at_once = alpha.agent(), 12
    threads = [alpha.thread(f"Question {number}") for number in range(at_once)]
    answers: list[int] = []
    together = Barrier(at_once)

    def ask(thread: str) -> None:
        url, body = f"{own.url}/v1/threads/{thread}/runs", {"assistant_id": agent, "stream": True}
        with httpx2.Client(timeout=30, headers={"Authorization": f"Bearer {alpha.key}"}) as client:
            client.get(f"{own.url}/v1/threads/{thread}")  # it is connected
            together.wait(15)
            with client.stream("POST", url, json=body) as response:
                answers.append(response.status_code)
                response.read()

    with ThreadPoolExecutor(at_once) as pool:
        asked = [pool.submit(ask, thread) for thread in threads]
        try:
            until(lambda: len(answers) == at_once)
        finally:
            for reply in held:
                reply.release()
        for each in asked:
            each.result()
    assert sorted(answers) == [200] * 2 + [429] * (at_once - 2)
    assert len(model.requests) == 2


def test_a_stream_that_comes_to_nothing_gives_its_place_back(
    own: Server, alpha: Api, projects: Projects
) -> None:
    projects("add", "alpha", "--streams", "1")
    _limited(own, "alpha", streams=1)
    agent, thread = alpha.agent(), alpha.thread("Hello")
    for _ in range(3):
        alpha.refused(404, "POST", "/threads/thread_none/runs", {"assistant_id": agent, "stream": True})
        alpha.refused(404, "GET", f"/threads/{thread}/runs/run_none/stream")
        alpha.refused(400, "GET", "/events?wait=soon")
    with alpha.stream("POST", f"/threads/{thread}/runs", {"assistant_id": agent, "stream": True}) as frames:
        list(frames)


def test_long_polls_beyond_the_share_are_answered_at_once(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects
) -> None:
    projects("add", "alpha", "--long-polls", "1")
    _limited(own, "alpha", long_polls=1)
    held = model.hold("Once ", "more.")
    (run,) = _runs(alpha, 1)
    held.gates[0].wait_reached()
    assert own.shares.long_poll("alpha", 1)  # somebody else's
    assert alpha.get(run.path, wait=60)["status"] == "in_progress"
    own.shares.long_poll("alpha", -1)
    held.release()
    assert alpha.get(run.path, wait=60)["status"] == "completed"


def test_tokens_of_a_day(
    own: Server, alpha: Api, beta: Api, model: ScriptedModel, projects: Projects, clock: ManualClock
) -> None:
    projects("add", "alpha", "--tokens-a-day", "100")
    _limited(own, "alpha", tokens_a_day=100)
    model.reply("Much.", usage=Usage(80, 20))
    agent = alpha.agent()
    alpha.run(alpha.thread("Say much."), agent).wait("completed")
    refused = alpha.refused(429, "POST", f"/threads/{alpha.thread('More')}/runs", {"assistant_id": agent})
    assert "100" in refused["message"]
    beta.run(beta.thread("Say much."), beta.agent()).wait("completed")
    clock.advance(DAY)
    alpha.run(alpha.thread("And now?"), agent).wait("completed")


def test_what_waited_is_given_what_is_left_of_the_day(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects
) -> None:
    projects("add", "alpha", "--tokens-a-day", "1000", "--runs", "1")
    _limited(own, "alpha", tokens_a_day=1000, runs=1)
    first = model.hold("Much ", "more.")
    first.usage = Usage(700, 200)
    model.reply("A little.", usage=Usage(60, 40))
    runs = _runs(alpha, 3)
    first.gates[0].wait_reached()
    first.release()
    assert [run.wait()["status"] for run in runs] == ["completed", "completed", "failed"]
    assert runs[2].now()["last_error"]["code"] == "rate_limit_exceeded"
    assert model.requests[1].body["max_completion_tokens"] == 100
    assert len(model.requests) == 2


def test_a_deleted_thread_does_not_hide_what_its_run_has_used(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects, place: Place
) -> None:
    projects("add", "alpha", "--tokens-a-day", "100000")
    _limited(own, "alpha", tokens_a_day=100_000)
    held = model.hold("One two three ", "four.")
    run = alpha.run(alpha.thread("Count."), alpha.agent())
    held.gates[0].wait_reached()
    until(lambda: run.now()["status"] == "in_progress")
    with alpha.stream("GET", f"{run.path}/events") as told:
        assert any(frame.event == "thread.message.delta" for frame in told)
    alpha.delete(f"/threads/{run.thread}")
    until(lambda: dump(place)["usage_by_day"])
    ((_, _, tokens),) = dump(place)["usage_by_day"]
    assert isinstance(tokens, int)
    assert tokens > 3
    held.release()


# --- retention --------------------------------------------------------------------------------------


def test_idle_threads_go_and_others_stay(
    own: Server, alpha: Api, beta: Api, model: ScriptedModel, projects: Projects, clock: ManualClock,
    place: Place,
) -> None:  # fmt: skip
    agent = alpha.agent()
    idle = [alpha.thread("Old"), alpha.thread()]
    alpha.run(idle[0], agent).wait("completed")
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    model.call("look_up", {})
    live = alpha.run(alpha.thread("Live"), alpha.agent(tools=[tool]), expires_in=7 * 24 * 3600)
    live.wait_calls()
    of_beta = beta.thread("Old too")
    spoken_in = alpha.thread("Old, and spoken in")
    clock.advance(2 * DAY)
    alpha.post(f"/threads/{spoken_in}/messages", {"role": "user", "content": "Still here."})
    new = alpha.thread("New")
    projects("add", "alpha", "--keep-days", "1")
    clock.advance(31_000)  # until the next look at what is due
    until(lambda: all(alpha.send("GET", f"/threads/{each}").status_code == 404 for each in idle))
    for kept in (live.thread, spoken_in, new):
        alpha.get(f"/threads/{kept}")
    beta.get(f"/threads/{of_beta}")
    assert idle[0] not in str(dump(place)["messages"])
    assert idle[0] not in str(dump(place)["runs"])
    clock.advance(2 * DAY)
    until(lambda: alpha.send("GET", f"/threads/{new}").status_code == 404)


def test_a_dry_run_says_how_many_would_go(
    place: Place, model: ScriptedModel, http: httpx2.Client, projects: Projects
) -> None:
    with Server(place, model.url, clock=ManualClock(1_000_000), ids=CountingIds()) as server:
        api = Api(http, server.url, KEYS["alpha"])
        for number in range(3):
            api.thread(f"Thread {number}")
    said = projects("set", "alpha", "--keep-days", "7", "--dry-run")
    assert said == "3 threads of alpha would be deleted: nothing has happened there for 7 days.\n"
    assert projects("set", "beta", "--keep-days", "7", "--dry-run").startswith("0 threads")
    assert dump(place)["projects"] == []


@pytest.mark.parametrize("by", ["retention", "hand"])
def test_the_run_that_was_made_last_need_not_be_the_one_that_ended_last(
    own: Server, alpha: Api, model: ScriptedModel, projects: Projects, clock: ManualClock, by: str
) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    model.call("look_up", {})
    first = alpha.run(alpha.thread("Look."), alpha.agent(tools=[tool]), expires_in=7 * 24 * 3600)
    first.wait_calls()
    body = {"assistant_id": alpha.agent()}
    waits = alpha.ok("POST", f"/threads/{first.thread}/runs", body, headers={"Clew-When-Busy": "queue"})
    alpha.post(f"/threads/{first.thread}/runs/{waits['id']}/cancel")
    clock.advance(3 * DAY)
    gone = alpha.thread("Gone")
    clock.advance(DAY // 2)
    first.cancel()
    first.wait("cancelled")
    if by == "hand":
        since = clock.seconds - 60
        assert alpha.send("DELETE", f"/threads/{first.thread}?unchanged_since={since}").status_code == 412
        return
    projects("add", "alpha", "--keep-days", "1")
    clock.advance(DAY // 2 + 31_000)
    until(lambda: alpha.send("GET", f"/threads/{gone}").status_code == 404)
    alpha.get(f"/threads/{first.thread}")


# --- the commands -----------------------------------------------------------------------------------


def test_projects_are_listed_changed_and_deleted_with_all_that_is_theirs(
    own: Server,
    alpha: Api,
    beta: Api,
    model: ScriptedModel,
    projects: Projects,
    place: Place,
    clock: ManualClock,
) -> None:
    projects("add", "alpha", "--runs", "5", "--keep-days", "30")
    assert "already" in projects("add", "alpha", code=2)
    assert "alpha: runs 5, tokens a day 9, keep days 30" in projects("set", "alpha", "--tokens-a-day", "9")
    assert "alpha: tokens a day 9, keep days 30" in projects("set", "alpha", "--runs", "none")
    assert "30" in projects("list")
    model.call("look_up", {"card": "4111"})
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    run = alpha.run(alpha.thread("Hello"), alpha.agent(tools=[tool]))
    run.answer_calls(lambda call: "secret")
    run.wait("completed")
    alpha.store(alpha.upload(b"Hers."))
    kept = beta.thread("Mine")
    assert "1 agent, 1 thread, 2 messages, 1 file." in projects("delete", "alpha", "--dry-run")
    assert "--with-everything" in projects("delete", "alpha", code=1)
    projects("delete", "alpha", "--with-everything")
    left = dump(place)
    assert "'alpha'" not in str({name: rows for name, rows in left.items() if name != "due_work"})
    assert [left[name] for name in ("calls", "takeovers", "steps", "files", "store_files")] == [[]] * 5
    clock.advance(31_000)  # until the next look at what is due
    until(lambda: not dump(place)["chunks"] and not dump(place)["vectors"])
    beta.get(f"/threads/{kept}")
    assert "no project" in projects("delete", "alpha", code=3)


def test_what_deletes_texts_of_files_outlives_its_project(place: Place, projects: Projects) -> None:
    async def begin(tx: Transaction) -> None:
        for kind in (PURGE, INGESTION):
            work = Work(kind=kind, id="1", project="alpha", lane="alpha", created_at=1, due=1, payload=[7])
            await due_work.add(tx, work)

    async def write() -> None:
        async with opened(place) as db:
            await db.open()
            await db.write(begin)

    asyncio.run(write())
    projects("add", "alpha")
    projects("delete", "alpha", "--with-everything")
    left = str(dump(place)["due_work"])
    assert f"'{PURGE}'" in left
    assert f"'{INGESTION}'" not in left


def test_runs_of_a_project_that_is_deleted_are_broken_off(
    own: Server, alpha: Api, beta: Api, model: ScriptedModel, projects: Projects, clock: ManualClock
) -> None:
    held, kept = model.hold("One ", "two."), model.hold("Three ", "four.")
    for api, reply in ((alpha, held), (beta, kept)):
        api.run(api.thread("Count."), api.agent())
        reply.gates[0].wait_reached()
    projects("delete", "alpha", "--with-everything")
    clock.advance(31_000)  # until the next sweep
    until(lambda: held.client_left)
    assert not kept.client_left
    kept.release()
    until(lambda: beta.get("/runs")["data"][0]["status"] == "completed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "alpha"], "say what to change"),
        (["set", "alpha", "--runs", "0"], "no whole number"),
        (["set", "alpha", "--runs", "-1"], "no whole number"),
        (["set", "alpha", "--runs", "1.5"], "no whole number"),
        (["set", "../alpha", "--runs", "1"], "is not 1 to 64 letters"),
        (["set", "alpha", "--runs", "5", "--dry-run"], "--keep-days"),
    ],
)
def test_what_cannot_be_is_refused(projects: Projects, arguments: list[str], words: str) -> None:
    assert words in projects(*arguments, code=2)
