"""What Clew adds to the originals, all of it opt-in."""

import threading

import httpx2
import msgspec
import pytest

from clew.testing.replies import Raw, Usage
from clew.testing.replies import call as called
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, RunHandle
from tests.support.clock import ManualClock
from tests.support.server import KEYS, Server
from tests.support.servers import Servers
from tests.support.sse import frames
from tests.support.wait import until

QUEUE = {"Clew-When-Busy": "queue"}
AZURE_RETRY = 10 * 60 * 1000


def keyed(key: str, header: str = "Idempotency-Key") -> dict[str, str]:
    return {header: key}


# --- idempotent POST -------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Idempotency-Key", "x-ms-client-request-id"])
def test_a_request_sent_again_is_answered_but_not_done_again(
    api: Api, model: ScriptedModel, header: str
) -> None:
    agent, thread = api.agent(), api.thread()
    message = {"role": "user", "content": "Once"}
    sent = [
        api.ok("POST", f"/threads/{thread}/messages", message, headers=keyed(f"m-{header}", header))
        for _ in range(3)
    ]
    assert sent[0] == sent[1] == sent[2]
    assert api.texts(thread) == ["Once"]
    body = {"assistant_id": agent}
    first = api.ok("POST", f"/threads/{thread}/runs", body, headers=keyed(f"r-{header}", header))
    again = api.ok("POST", f"/threads/{thread}/runs", body, headers=keyed(f"r-{header}", header))
    assert again == first
    RunHandle(api, first).wait("completed")
    assert len(api.get(f"/threads/{thread}/runs")["data"]) == 1
    for path, sample in (("/assistants", {"model": "m"}), ("/threads", {})):
        one, two = (api.ok("POST", path, sample, headers=keyed(f"{path}-{header}", header)) for _ in "12")
        assert one["id"] == two["id"]


def test_a_key_belongs_to_its_project_and_its_request(api: Api, other: Api) -> None:
    first = api.ok("POST", "/threads", {}, headers=keyed("shared"))
    assert other.ok("POST", "/threads", {}, headers=keyed("shared"))["id"] != first["id"]
    error = api.refused(400, "POST", "/threads", {"metadata": {"a": "b"}}, headers=keyed("shared"))
    assert error["code"] == "idempotency_key_reused"
    api.refused(400, "POST", "/threads", {}, headers=keyed("k" * 257))


def test_azures_request_id_is_no_key_for_other_requests_nor_for_ever(api: Api, clock: ManualClock) -> None:
    correlated = keyed("same-id-for-a-whole-job", "x-ms-client-request-id")
    first = api.ok("POST", "/threads", {}, headers=correlated)
    named = api.ok("POST", "/threads", {"metadata": {"a": "b"}}, headers=correlated)
    assert named["id"] != first["id"]
    clock.advance(AZURE_RETRY + 1)
    assert api.ok("POST", "/threads", {"metadata": {"a": "b"}}, headers=correlated)["id"] != named["id"]


def test_outputs_submitted_again_with_a_key_are_answered_again(api: Api, model: ScriptedModel) -> None:
    model.call("get_time", {})
    tools = [{"type": "function", "function": {"name": "get_time"}}]
    run = api.run(api.thread("Time?"), api.agent(tools=tools))
    outputs = {"tool_outputs": [{"tool_call_id": call["id"], "output": "12"} for call in run.wait_calls()]}
    path = f"{run.path}/submit_tool_outputs"
    first = api.ok("POST", path, outputs, headers=keyed("outputs"))
    assert api.ok("POST", path, outputs, headers=keyed("outputs")) == first
    assert run.wait("completed")


def test_a_refusal_is_not_kept(api: Api) -> None:
    api.refused(404, "POST", "/threads/runs", {"assistant_id": "asst_x"}, headers=keyed("refused"))
    assert api.ok("POST", "/threads", {}, headers=keyed("refused"))


# --- the line of a busy thread -----------------------------------------------------------------------


def test_messages_and_runs_wait_in_line(api: Api, model: ScriptedModel) -> None:
    agent, thread = api.agent(), api.thread("first")
    reply = model.hold("one ", "done")
    active = api.run(thread, agent)
    reply.wait_paused()
    second = api.ok(
        "POST", f"/threads/{thread}/messages", {"role": "user", "content": "second"}, headers=QUEUE
    )
    body = {"assistant_id": agent, "additional_messages": [{"role": "user", "content": "third"}]}
    waiting = RunHandle(api, api.ok("POST", f"/threads/{thread}/runs", body, headers=QUEUE))
    last = RunHandle(api, api.ok("POST", f"/threads/{thread}/runs", {"assistant_id": agent}, headers=QUEUE))
    assert waiting.now()["status"] == last.now()["status"] == "queued"
    assert waiting.now()["expires_at"] is None, "its time begins when it may start"
    assert api.texts(thread) == ["first"]
    assert api.get(f"/threads/{thread}/messages/{second['id']}")["id"] == second["id"]
    reply.release()
    for run in (active, waiting, last):
        run.wait("completed")
    assert api.texts(thread) == [
        "first",
        "one done",
        "second",
        "third",
        "You said: third",
        "You said: third",
    ]
    ids = [run["id"] for run in api.get(f"/threads/{thread}/runs", order="asc")["data"]]
    assert ids == [active.id, waiting.id, last.id]


def test_without_asking_nothing_waits(api: Api, model: ScriptedModel) -> None:
    agent, thread = api.agent(), api.thread("first")
    reply = model.hold("one")
    active = api.run(thread, agent)
    reply.wait_paused()
    api.refused(400, "POST", f"/threads/{thread}/messages", {"role": "user", "content": "x"})
    api.refused(400, "POST", f"/threads/{thread}/runs", {"assistant_id": agent})
    error = api.refused(
        400, "POST", f"/threads/{thread}/runs", {"assistant_id": agent}, headers={"Clew-When-Busy": "please"}
    )
    assert error["param"] == "Clew-When-Busy"
    reply.release()
    active.wait("completed")


def test_a_waiting_run_can_be_cancelled_and_the_line_goes_on(api: Api, model: ScriptedModel) -> None:
    agent, thread = api.agent(), api.thread("first")
    reply = model.hold("one")
    active = api.run(thread, agent)
    reply.wait_paused()
    body = {"assistant_id": agent}
    unwanted = RunHandle(api, api.ok("POST", f"/threads/{thread}/runs", body, headers=QUEUE))
    wanted = RunHandle(api, api.ok("POST", f"/threads/{thread}/runs", body, headers=QUEUE))
    assert unwanted.cancel()["status"] == "cancelled"
    assert active.now()["status"] == "in_progress"
    reply.release()
    wanted.wait("completed")
    assert unwanted.now()["status"] == "cancelled"


def test_the_line_goes_on_when_the_active_run_expires(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    agent, thread = api.agent(), api.thread("first")
    reply = model.hold("one")
    active = api.run(thread, agent, expires_in=5)
    reply.wait_paused()
    waiting = RunHandle(
        api, api.ok("POST", f"/threads/{thread}/runs", {"assistant_id": agent}, headers=QUEUE)
    )
    clock.advance_past_sleep(5000)
    active.wait("expired")
    waiting.wait("completed")
    reply.release()


# --- waiting -----------------------------------------------------------------------------------------


def test_a_read_waits_until_the_run_is_over(api: Api, model: ScriptedModel) -> None:
    reply = model.hold("one ", "two")
    run = api.run(api.thread("Count"), api.agent())
    reply.wait_paused()
    threading.Timer(0.05, reply.release).start()
    assert api.get(run.path, wait=30)["status"] == "completed"


def test_a_read_waits_no_longer_than_it_was_told(api: Api, model: ScriptedModel) -> None:
    reply = model.hold("one")
    run = api.run(api.thread("Count"), api.agent())
    reply.wait_paused()
    assert api.get(run.path, wait=0.05)["status"] == "in_progress"
    reply.release()
    assert api.get(run.path, wait=30)["status"] == "completed"


def test_openais_polling_helper_is_kept_waiting(api: Api, model: ScriptedModel) -> None:
    reply = model.hold("one")
    run = api.run(api.thread("Count"), api.agent())
    reply.wait_paused()
    threading.Timer(0.05, reply.release).start()
    headers = {"X-Stainless-Poll-Helper": "true", "x-stainless-read-timeout": "20"}
    response = api.send("GET", run.path, headers=headers)
    assert response.json()["status"] == "completed"
    assert response.headers["openai-poll-after-ms"].isdecimal()


@pytest.mark.parametrize("wait", ["-1", "61", "soon", "nan", "inf"])
def test_a_wait_has_limits(api: Api, model: ScriptedModel, wait: str) -> None:
    run = api.run(api.thread("Hi"), api.agent())
    assert api.refused(400, "GET", run.path, query={"wait": wait})["param"] == "wait"
    run.wait("completed")


# --- a run's own expiry ------------------------------------------------------------------------------


def test_a_run_may_ask_for_its_own_expiry(api: Api, model: ScriptedModel) -> None:
    run = api.run(api.thread("Hi"), api.agent(), expires_in=86_400)
    assert run.created["expires_at"] == run.created["created_at"] + 86_400
    run.wait("completed")
    for refused in (0, 7 * 86_400 + 1, "60"):
        body = {"assistant_id": api.agent(), "expires_in": refused}
        api.refused(400, "POST", f"/threads/{run.thread}/runs", body)


# --- threads by metadata -----------------------------------------------------------------------------


def test_threads_are_found_by_their_metadata(api: Api, other: Api) -> None:
    def make(**metadata: str) -> str:
        return str(api.post("/threads", {"metadata": metadata})["id"])

    ours, both, theirs = make(user="ann"), make(user="ann", topic="boats"), make(user="bob")
    other.post("/threads", {"metadata": {"user": "ann"}})

    def found(**query: str) -> list[str]:
        return [thread["id"] for thread in api.get("/threads", order="asc", **query)["data"]]

    assert found(**{"metadata[user]": "ann"}) == [ours, both]
    assert found(**{"metadata[user]": "ann", "metadata[topic]": "boats"}) == [both]
    assert found(**{"metadata[user]": "ann", "after": ours}) == [both]
    assert found(**{"metadata[user]": "nobody"}) == []
    api.post(f"/threads/{ours}", {"metadata": {"user": "bob"}})
    assert found(**{"metadata[user]": "bob"}) == [ours, theirs]
    api.delete(f"/threads/{theirs}")
    assert found(**{"metadata[user]": "bob"}) == [ours]


@pytest.mark.parametrize(
    "query",
    [
        "metadata[user=ann",
        "metadata=user",
        "metadata=%7B%22user%22:%22ann%22%7D",
        "metadata",
        "metadata.user=ann",
        "metadata[user]x=ann",
        "Metadata[user]=ann",
        "metadata%00[user]=ann",
        "metadata[user]=ann&metadata[topic=boats",
        "metadata[user]=ann&metadata[user]=bob",
    ],
)
def test_a_filter_that_is_none_lists_nothing(api: Api, query: str) -> None:
    api.post("/threads", {"metadata": {"user": "ann"}})
    error = api.refused(400, "GET", f"/threads?{query}")
    assert (error["param"], error["code"]) == ("metadata", "invalid_value")


def test_of_many_simultaneous_runs_in_line_all_finish_in_order(
    server: Server, api: Api, model: ScriptedModel, http: httpx2.Client
) -> None:
    agent, thread = api.agent(), api.thread("first")
    path, body = f"{server.url}/v1/threads/{thread}/runs", {"assistant_id": agent}
    headers = {"Authorization": f"Bearer {KEYS['alpha']}", **QUEUE}
    answers: list[int] = []
    workers = [
        threading.Thread(
            target=lambda: answers.append(http.post(path, json=body, headers=headers).status_code)
        )
        for _ in range(12)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert answers == [200] * 12
    done = until(lambda: _all_over(api, thread))
    times = [(run["started_at"], run["completed_at"]) for run in done]
    assert times == sorted(times)


def _all_over(api: Api, thread: str) -> list[dict[str, int]]:
    runs = api.get(f"/threads/{thread}/runs", order="asc", limit=100)["data"]
    return runs if all(run["status"] == "completed" for run in runs) else []


# --- token budgets -----------------------------------------------------------------------------------


def test_a_threads_budget_holds_over_its_runs(api: Api, model: ScriptedModel) -> None:
    agent = api.agent()
    thread = api.post("/threads", {"token_budget": 10})["id"]
    model.reply("one", usage=Usage(4, 2))
    api.run(thread, agent).wait("completed")
    assert api.get(f"/threads/{thread}")["tokens_used"] == 6
    model.reply("two", usage=Usage(3, 2))
    api.run(thread, agent).wait("completed")
    assert model.requests[-1].body["max_completion_tokens"] == 4, "what is left is the most it may say"
    error = api.refused(400, "POST", f"/threads/{thread}/runs", {"assistant_id": agent})
    assert error["code"] == "token_budget_exceeded"
    api.post(f"/threads/{thread}", {"token_budget": 100})
    api.run(thread, agent).wait("completed")


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1000, "completion_tokens": -1000, "total_tokens": -2000},
        {"prompt_tokens": 3, "completion_tokens": -1000},
        {"prompt_tokens": -1000, "completion_tokens": 3, "total_tokens": -997},
        {"prompt_tokens": "-1000", "completion_tokens": -1e300},
        {"total_tokens": -1000, "completion_tokens": 3},
        {
            "prompt_tokens": 3,
            "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": -1000},
            "completion_tokens_details": {"reasoning_tokens": -1000},
        },
    ],
)
def test_no_count_of_a_model_lowers_what_is_used(
    servers: Servers, model: ScriptedModel, usage: dict[str, object]
) -> None:
    with servers.start(daily_token_budget=1_000) as api:
        agent, thread = api.agent(), api.post("/threads", {"token_budget": 1_000})["id"]
        model.reply("one", usage=Usage(200, 100))
        api.run(thread, agent).wait("completed")
        assert api.get(f"/threads/{thread}")["tokens_used"] == 300
        chunk = b'data: {"choices": [], "usage": ' + msgspec.json.encode(usage) + b"}\n\n"
        model.reply("two words", Raw(chunk), usage_at="never")
        counts = api.run(thread, agent).wait("completed")["usage"]
        assert counts["prompt_tokens"] > 0, counts
        assert counts["completion_tokens"] > 0, counts
        assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]
        assert api.get(f"/threads/{thread}")["tokens_used"] == 300 + counts["total_tokens"]
        model.reply("three", usage=Usage(600, 99))
        api.run(thread, agent).wait("completed")
        body = {"assistant_id": agent}
        error = api.refused(429, "POST", f"/threads/{api.thread('Hi')}/runs", body)
        assert error["code"] == "insufficient_quota", "the day's budget"
        error = api.refused(400, "POST", f"/threads/{thread}/runs", body)
        assert error["code"] == "token_budget_exceeded"


def test_a_budget_ends_a_run_between_two_turns(api: Api, model: ScriptedModel) -> None:
    tools = [{"type": "function", "function": {"name": "get_time"}}]
    thread = api.post("/threads", {"token_budget": 10})["id"]
    model.reply(called("get_time", {}), usage=Usage(8, 8))
    run = api.run(thread, api.agent(tools=tools))
    run.answer_calls(lambda call: "12")
    assert run.wait("incomplete")["incomplete_details"] == {"reason": "max_completion_tokens"}


def test_a_stream_asked_for_again_is_that_of_the_same_thread_and_run(
    server: Server, http: httpx2.Client, api: Api, model: ScriptedModel
) -> None:
    body = {"assistant_id": api.agent(), "stream": True}
    headers = {"Authorization": f"Bearer {api.key}", **keyed("streamed")}
    url = f"{server.url}/v1/threads/runs"
    first, again = (list(frames(http.post(url, json=body, headers=headers))) for _ in range(2))
    assert again[0].event == "thread.created"
    assert again[0].data == first[0].data
    assert again[-2].data["id"] == first[-2].data["id"]
    assert len(model.requests) == 1


def test_an_answer_that_was_broken_off_counts(api: Api, model: ScriptedModel) -> None:
    reply = model.hold("a dozen words or so, ", "and more")
    thread = api.post(
        "/threads", {"token_budget": 10_000, "messages": [{"role": "user", "content": "Go on"}]}
    )
    run = api.run(thread["id"], api.agent())
    reply.wait_paused()
    until(lambda: model.requests)
    run.cancel()
    usage = run.wait("cancelled")["usage"]
    reply.release()
    assert usage["completion_tokens"] >= 5
    assert usage["prompt_tokens"] >= 5
    assert api.get(f"/threads/{thread['id']}")["tokens_used"] == usage["total_tokens"]


# --- deleting what nobody uses ---------------------------------------------------------------------


def test_a_thread_is_deleted_only_if_nothing_has_happened_in_it(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    thread, agent = api.thread("one"), api.agent()
    before = clock.now() // 1000

    def refused() -> bool:
        path = f"/threads/{thread}?unchanged_since={before}"
        return str(api.refused(412, "DELETE", path)["code"]) == "precondition_failed"

    held = model.hold("Just a moment")
    run = api.run(thread, agent)
    assert refused(), "a run is live"
    clock.advance(1000)
    held.release()
    run.wait("completed")
    assert refused(), "it ended later"
    before += 1
    clock.advance(1000)
    api.post(f"/threads/{thread}/messages", {"role": "user", "content": "two"})
    assert refused(), "something was said later"
    assert len(api.texts(thread)) == 3
    before += 1
    assert api.delete(f"/threads/{thread}?unchanged_since={before}")["deleted"] is True
    api.refused(404, "DELETE", f"/threads/{thread}?unchanged_since={before}")
