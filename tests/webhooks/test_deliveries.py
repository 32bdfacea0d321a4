"""What webhooks are told: which runs, when, signed how, and what happens when they don't listen."""

import logging
import sqlite3
import time

import openai
import pytest
from msgspec.structs import replace

from clew.core.due import Work, spread
from clew.engine.webhook_deliveries import DELAYS
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.clock import ManualClock
from tests.support.server import Server
from tests.support.wait import until
from tests.webhooks.conftest import Hook
from tests.webhooks.receiver import Answer, Receiver


def outbox(server: Server) -> list[tuple[int, int]]:
    """Return due time and attempts of what is still to be told."""
    connection = sqlite3.connect(server.place)
    try:
        return connection.execute(
            "SELECT due, attempts FROM due_work WHERE kind = 'webhook' ORDER BY seq"
        ).fetchall()
    finally:
        connection.close()


def told(server: Server) -> None:
    """Return once the outbox is empty."""
    until(lambda: not outbox(server))


def completed(api: Api, model: ScriptedModel) -> RunHandle:
    """Return a run that has completed."""
    model.reply("Done.")
    run = api.run(api.thread("Hello."), api.agent())
    run.wait("completed")
    return run


def test_a_completed_run_is_told_signed(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock, server: Server
) -> None:
    secret = hook()["secret"]
    run = completed(api, model)
    [heard] = receiver.wait()
    heard.verify(secret)
    assert heard.path == "/hook"
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["host"] == receiver.address
    assert int(heard.headers["webhook-timestamp"]) == clock.seconds
    assert heard.event == {
        "id": heard.id,
        "type": "run.completed",
        "created_at": clock.seconds,
        "data": run.now(),
    }
    assert heard.id.startswith("evt_")
    told(server)
    assert api.get("/webhooks")["data"][0]["last_error"] is None


def test_the_openai_package_takes_the_signature_for_its_own_kind(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel
) -> None:
    secret = hook()["secret"]
    completed(api, model)
    [heard] = receiver.wait()
    with openai.OpenAI(api_key="none", webhook_secret=secret) as client:
        years = 10 * 366 * 24 * 3600  # the test's clock is not the machine's
        client.webhooks.verify_signature(heard.body, dict(heard.headers), tolerance=years)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.verify_signature(heard.body + b" ", dict(heard.headers), tolerance=years)


# --- each status -----------------------------------------------------------------------------------


def _fail(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.fail(400, "no")
    api.run(api.thread("Hello."), api.agent()).wait("failed")


def _cut(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.reply("Too long", finish_reason="length")
    api.run(api.thread("Hello."), api.agent()).wait("incomplete")


def _cancel(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    held = model.hold("Wait")
    run = api.run(api.thread("Hello."), api.agent())
    held.wait_paused()
    run.cancel()
    run.wait("cancelled")


def _cancel_in_line(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    """The run waits for its thread: no worker ever sees it."""
    held = model.hold("Wait")
    first = api.run(api.thread("Hello."), api.agent())
    held.wait_paused()
    body = {"assistant_id": api.agent()}
    path = f"/threads/{first.thread}/runs"
    second = RunHandle(api, api.ok("POST", path, body, headers={"Clew-When-Busy": "queue"}))
    second.cancel()
    second.wait("cancelled")
    held.release()
    first.wait("completed")


def _expire(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.call("turn")
    agent = api.agent(tools=[function_tool("turn")])
    run = api.run(api.thread("Hello."), agent, expires_in=60)
    run.wait("requires_action")
    clock.advance(61_000)
    run.wait("expired")


STATUSES = {"failed": _fail, "incomplete": _cut, "cancelled": _cancel, "expired": _expire}


@pytest.mark.parametrize("status", STATUSES)
def test_every_ending_is_told(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock, status: str
) -> None:
    secret = hook(events=[f"run.{status}"])["secret"]
    STATUSES[status](api, model, clock)
    [heard] = receiver.wait()
    heard.verify(secret)
    assert heard.event["type"] == f"run.{status}"
    assert heard.event["data"]["status"] == status


def test_a_run_cancelled_in_line_is_told(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock
) -> None:
    hook(events=["run.cancelled"])
    _cancel_in_line(api, model, clock)
    [heard] = receiver.wait()
    assert heard.event["data"]["status"] == "cancelled"


def test_a_run_that_waits_is_told_as_it_waited_even_if_it_has_gone_on(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock
) -> None:
    webhook = hook(events=["run.requires_action"])
    receiver.answer(503)
    model.call("turn", {"by": "90"})
    run = api.run(api.thread("Hello."), api.agent(tools=[function_tool("turn", by="string")]))
    run.wait_calls()
    waiting = run.now()
    last_error(api, webhook, 1)
    model.reply("Turned.")
    run.answer_calls(lambda call: "turned")
    run.wait("completed")
    clock.advance(DELAYS[0])
    first, second = receiver.wait(2)
    assert first.event["data"] == waiting
    assert second.body == first.body
    assert second.id == first.id


def test_each_of_several_webhooks_is_told_what_it_asked_for(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, server: Server
) -> None:
    hook(url=f"{receiver.url}/all")
    hook(url=f"{receiver.url}/failures", events=["run.failed"])
    hook(url=f"{receiver.url}/both", events=["run.failed", "run.completed"])
    completed(api, model)
    heard = receiver.wait(2)
    told(server)
    assert sorted(each.path for each in heard) == ["/hook/all", "/hook/both"]
    assert len({each.id for each in heard}) == 1, "one event, one id, whoever hears of it"


def test_another_projects_webhook_hears_nothing(
    api: Api, other: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, server: Server
) -> None:
    theirs = other.post("/webhooks", {"url": f"{receiver.url}/theirs"})
    hook(url=f"{receiver.url}/ours")
    completed(api, model)
    completed(other, model)
    heard = receiver.wait(2)
    told(server)
    assert sorted(each.path for each in heard) == ["/hook/ours", "/hook/theirs"]
    for each in heard:
        thread = each.event["data"]["thread_id"]
        owner = other if each.path == "/hook/theirs" else api
        owner.get(f"/threads/{thread}")
    other.delete(f"/webhooks/{theirs['id']}")


# --- receivers that don't listen -------------------------------------------------------------------


def last_error(api: Api, webhook: Json, attempts: int) -> Json:
    """Return what a webhook says of its failed attempt number ``attempts``, once it does."""

    def found() -> Json | None:
        error: Json | None = api.get(f"/webhooks/{webhook['id']}")["last_error"]
        return error if error is not None and error["attempts"] == attempts else None

    return until(found) or {}


def test_retries_come_on_time_with_the_same_id_and_a_new_time_and_signature(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock, server: Server
) -> None:
    webhook = hook()
    receiver.always = Answer(500)
    run = completed(api, model)
    due = clock.now()
    for number, delay in enumerate(DELAYS, 1):
        error = last_error(api, webhook, number)
        due += delay
        assert error == {
            "at": clock.seconds,
            "event": "run.completed",
            "run_id": run.id,
            "attempts": number,
            "status_code": 500,
            "message": "The URL answered 500.",
            "next_attempt_at": due // 1000,
        }
        assert outbox(server) == [(due, number)]
        clock.advance(delay - 1)
        clock.advance(1)
        assert receiver.wait(number + 1)[number].at == due
    error = last_error(api, webhook, len(DELAYS) + 1)
    assert error["next_attempt_at"] is None
    assert outbox(server) == [], "given up"
    assert len({each.id for each in receiver.heard}) == 1
    assert len({each.body for each in receiver.heard}) == 1
    assert len({each.headers["webhook-signature"] for each in receiver.heard}) == len(DELAYS) + 1
    for each in receiver.heard:
        each.verify(webhook["secret"])
    receiver.always = None
    completed(api, model)
    told(server)
    assert api.get(f"/webhooks/{webhook['id']}")["last_error"] is None


def test_retries_spread_over_a_fifth_of_their_delay_and_always_the_same() -> None:
    made = [
        Work(kind="webhook", id=f"wh_1/run_{number}/5", project="alpha", lane="wh_1", created_at=0, due=0)
        for number in range(1000)
    ]
    parts = [spread(each) for each in made]
    assert parts == [spread(each) for each in made]
    assert 0 <= min(parts) < 0.01
    assert 0.19 < max(parts) < 0.2
    assert spread(made[0]) != spread(replace(made[0], attempts=1))


def test_410_disables_the_webhook(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock, server: Server
) -> None:
    webhook = hook()
    receiver.answer(500, 410)
    completed(api, model)
    last_error(api, webhook, 1)
    completed(api, model)
    until(lambda: api.get(f"/webhooks/{webhook['id']}")["status"] == "disabled")
    assert outbox(server) == [], "what it was still to be told is forgotten"
    completed(api, model)
    assert outbox(server) == []
    assert len(receiver.heard) == 2
    error = api.get(f"/webhooks/{webhook['id']}")["last_error"]
    assert (error["status_code"], error["next_attempt_at"]) == (410, None)


def test_a_redirect_is_not_followed(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock
) -> None:
    webhook = hook()
    with Receiver(clock) as elsewhere:
        receiver.answer(Answer(307, {"location": elsewhere.url}))
        completed(api, model)
        error = last_error(api, webhook, 1)
        assert error["message"] == "The URL answered 307. Redirects are not followed."
        assert elsewhere.connections == 0


def test_what_a_receiver_says_is_read_but_not_repeated(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, server: Server
) -> None:
    webhook = hook()
    receiver.answer(Answer(500, body=b"inner secret " * 100_000))
    completed(api, model)
    last_error(api, webhook, 1)
    assert "inner secret" not in api.send("GET", f"/webhooks/{webhook['id']}").text


def test_a_deleted_webhook_or_thread_is_told_no_more(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock, server: Server
) -> None:
    first, second = hook(url=f"{receiver.url}/1"), hook(url=f"{receiver.url}/2")
    receiver.always = Answer(500)
    run = completed(api, model)
    for webhook in (first, second):
        last_error(api, webhook, 1)
    api.delete(f"/webhooks/{first['id']}")
    assert len(outbox(server)) == 1
    api.delete(f"/threads/{run.thread}")
    clock.advance(DELAYS[0])
    told(server)
    assert len(receiver.heard) == 2


def test_a_slow_receiver_slows_neither_runs_nor_other_webhooks(
    api: Api, hook: Hook, receiver: Receiver, model: ScriptedModel, clock: ManualClock, server: Server
) -> None:
    with Receiver(clock) as slow:
        slow.always = Answer(held=True)
        hook(url=slow.url)
        hook()
        began = time.monotonic()
        for _ in range(20):
            completed(api, model)
        heard = receiver.wait(20)
        assert time.monotonic() - began < 5, "the runs have waited for the slow receiver's time-out"
        assert len({each.id for each in heard}) == 20
        assert len(slow.heard) <= 4, "no more requests at once to one webhook than it has room for"
        slow.release()
        slow.wait(20)
        told(server)


def test_secrets_and_urls_are_never_logged(
    api: Api,
    hook: Hook,
    receiver: Receiver,
    model: ScriptedModel,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook = hook(url=f"{receiver.url}?token=canary-of-the-url")
    refused = hook(url="http://nowhere.invalid/?token=canary-of-the-url")
    receiver.answer(500, Answer(302, {"location": "http://10.0.0.1/?canary-of-the-url"}), 410)
    completed(api, model)
    last_error(api, webhook, 1)
    last_error(api, refused, 1)
    clock.advance(DELAYS[0])
    last_error(api, webhook, 2)
    completed(api, model)
    until(lambda: api.get(f"/webhooks/{webhook['id']}")["status"] == "disabled")
    assert webhook["id"] in caplog.text, "something was logged"
    for secret in (webhook["secret"], webhook["secret"].removeprefix("whsec_"), "canary-of-the-url"):
        assert secret not in caplog.text
