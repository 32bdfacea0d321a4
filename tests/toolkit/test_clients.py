"""Every kind of client leads to the same service, and to the same errors."""

import socket
import threading
from typing import Any

import anyio
import openai
import pytest

from clew.cli.problems import TIMED_OUT
from clew.cli.remote import code_of
from clew.testing.scripted_model import ScriptedModel
from clew.toolkit import Service, connect
from clew.toolkit._blocking import run
from clew.toolkit.clients.clew import ClewTransport
from clew.toolkit.errors import (
    AnswerTimedOut,
    AuthenticationFailed,
    BadRequest,
    ConnectionFailed,
    NotFound,
    RateLimited,
    RunNotWaiting,
    ServerFault,
    ThreadBusy,
    UnexpectedAnswer,
)
from tests.support.server import Server
from tests.toolkit.conftest import CLIENTS, KEY, open_client
from tests.toolkit.proxy import Proxy


def _names(service: Service, thread_id: str, agent_id: str) -> list[str]:
    async def read() -> list[str]:
        async with service.astream_run(thread_id, agent_id) as events:
            return [event.name async for event in events]

    return run(read())


def test_every_verb_works_through_every_client(each_client: Any, model: ScriptedModel) -> None:
    service = connect(each_client)
    agent = service.create_agent("scripted", name="Tester", instructions="Be brief.")
    assert service.get_agent(agent.id) == agent
    assert agent.id in [each.id for each in service.list_agents(limit=100).data]
    thread = service.create_thread(metadata={"from": "test"})
    assert service.update_thread(thread.id, metadata={"a": "b"}).metadata == {"a": "b"}
    assert thread.id in [each.id for each in service.list_threads(limit=100).data]
    message = service.create_message(thread.id, "Hi", metadata={"n": "1"})
    assert service.get_message(thread.id, message.id).text == "Hi"
    model.reply("Hello")
    names = _names(service, thread.id, agent.id)
    assert names[0] == "thread.run.created"
    assert names[-1] == "thread.run.completed"
    (finished,) = service.list_runs(thread.id).data
    assert service.get_run(thread.id, finished.id) == finished
    assert finished.agent_id == agent.id
    assert finished.usage is not None
    (step,) = service.list_steps(thread.id, finished.id).data
    assert service.get_step(thread.id, finished.id, step.id) == step
    assert [each.text for each in service.all_messages(thread.id)] == ["Hi", "Hello"]
    assert [each.text for each in service.all_messages(thread.id, run_id=finished.id)] == ["Hello"]
    service.delete_message(thread.id, message.id)
    service.delete_thread(thread.id)
    service.delete_agent(agent.id)
    with pytest.raises(NotFound):
        service.get_thread(thread.id)


def test_every_client_gives_the_same_errors(each_client: Any, model: ScriptedModel) -> None:
    service = connect(each_client)
    with pytest.raises(NotFound) as missing:
        service.get_agent("asst_missing")
    assert missing.value.status == 404
    assert missing.value.request_id
    assert missing.value.request_id in str(missing.value)
    agent = service.create_agent("scripted")
    thread = service.create_thread(messages=[{"role": "user", "content": "Hi"}])
    with pytest.raises(BadRequest) as wrong:
        service.create_message(thread.id, "Hi", role="system")
    assert (wrong.value.code, wrong.value.param) == ("invalid_value", "role")
    held = model.silence(then="Done")
    started = service.create_run(thread.id, agent.id)
    with pytest.raises(ThreadBusy) as busy:
        service.create_message(thread.id, "Me too")
    assert busy.value.run_id == started.id
    with pytest.raises(ThreadBusy):
        _names(service, thread.id, agent.id)
    with pytest.raises(RunNotWaiting):
        service.submit_tool_outputs(thread.id, started.id, [{"tool_call_id": "call_x", "output": ""}])
    held.release()


@pytest.mark.parametrize("kind", CLIENTS)
def test_no_server_is_said_to_be_so(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    opened = open_client(kind, f"http://127.0.0.1:{port}")
    with pytest.raises(ConnectionFailed) as error:
        connect(opened.client).get_agent("asst_x")
    assert not error.value.sent
    assert error.value.__cause__ is not None
    opened.close()


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_server_that_says_nothing_is_a_time_out(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        opened = open_client(kind, f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2)
        with pytest.raises(AnswerTimedOut) as error:
            connect(opened.client).get_agent("asst_x")
        opened.close()
    assert error.value.sent
    assert code_of(error.value) == TIMED_OUT


@pytest.mark.parametrize("kind", CLIENTS)
def test_an_answer_that_is_cut_is_a_failed_connection(
    kind: str, server: Server, proxy: Proxy, model: ScriptedModel
) -> None:
    opened = open_client(kind, proxy.url)
    service = connect(opened.client)
    agent = service.create_agent("scripted")
    thread = service.create_thread(messages=[{"role": "user", "content": "Hi"}])
    proxy.cut("POST .*/runs", b"event: thread.message.delta")
    with pytest.raises(ConnectionFailed):
        _names(service, thread.id, agent.id)
    opened.close()


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_wrong_key_is_said_to_be_so(kind: str, proxy: Proxy, model: ScriptedModel) -> None:
    opened = open_client(kind, proxy.url)
    body = b'{"error":{"message":"Incorrect API key","type":"x","param":null,"code":"invalid_api_key"}}'
    proxy.answer("GET .*/assistants/", 401, "content-type: application/json", body=body)
    with pytest.raises(AuthenticationFailed, match="Check the key") as error:
        connect(opened.client).get_agent("asst_x")
    assert error.value.code == "invalid_api_key"
    opened.close()


def test_a_rate_limit_says_when_to_come_back(proxy: Proxy, model: ScriptedModel) -> None:
    opened = open_client("openai", proxy.url)
    proxy.answer("GET .*/assistants/", 429, "retry-after: 7", body=b'{"error":{"message":"Slow down"}}')
    with pytest.raises(RateLimited) as error:
        connect(opened.client).get_agent("asst_x")
    assert error.value.retry_after == 7
    opened.close()


def test_what_is_safe_is_repeated(through_proxy: Service, proxy: Proxy) -> None:
    agent = through_proxy.create_agent("scripted")
    proxy.answer("GET .*/assistants/", 429, "retry-after: 0", body=b"{}")
    proxy.answer("GET .*/assistants/", 503, body=b"busy")
    proxy.drop("GET .*/assistants/")
    assert through_proxy.get_agent(agent.id) == agent
    assert len([line for line in proxy.requests if line.startswith("GET")]) == 4


def test_repeating_ends(through_proxy: Service, proxy: Proxy) -> None:
    proxy.answer("GET .*/assistants/", 500, body=b"out of order", times=4)
    with pytest.raises(ServerFault, match="out of order"):
        through_proxy.get_agent("asst_x")


def test_a_message_whose_answer_was_lost_is_added_once(through_proxy: Service, proxy: Proxy) -> None:
    thread = through_proxy.create_thread()
    proxy.cut("POST .*/messages", b"HTTP/1.1 200")
    message = through_proxy.create_message(thread.id, "Only once")
    assert [each.id for each in through_proxy.all_messages(thread.id)] == [message.id]
    assert len([line for line in proxy.requests if line.endswith("/messages")]) == 2


def test_what_is_no_api_is_said_to_be_so(through_proxy: Service, proxy: Proxy) -> None:
    proxy.answer("GET .*/assistants/", 200, body=b"<html>Welcome</html>")
    with pytest.raises(UnexpectedAnswer, match="root of the API"):
        through_proxy.get_agent("asst_x")


def test_lists_are_read_to_their_end(service: Service) -> None:
    thread = service.create_thread(
        messages=[{"role": "user", "content": f"number {number}"} for number in range(205)]
    )
    texts = [message.text for message in service.all_messages(thread.id)]
    assert texts == [f"number {number}" for number in range(205)]


def test_an_empty_id_never_becomes_another_request(service: Service) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        service.delete_thread("")


def test_an_id_never_becomes_another_path(service: Service) -> None:
    with pytest.raises(NotFound):
        service.get_thread("../assistants")


def test_an_unknown_client_is_refused() -> None:
    with pytest.raises(TypeError, match=r"doesn't know builtins\.object"):
        connect(object())


def test_the_coroutines_work_in_a_loop_of_ones_own(server: Server, model: ScriptedModel) -> None:
    async def main() -> str:
        async with (
            openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=KEY) as client,
            connect(f"{server.url}/v1", KEY) as own,
        ):
            agent = await connect(client).acreate_agent("scripted")
            return (await own.aget_agent(agent.id)).model

    assert anyio.run(main) == "scripted"


@pytest.mark.parametrize("kind", ["openai", "azure-agents"])
def test_a_stream_that_is_left_while_it_opens_is_closed(
    kind: str, proxy: Proxy, model: ScriptedModel
) -> None:
    opened = open_client(kind, proxy.url)
    service = connect(opened.client)
    agent = service.create_agent("scripted")
    thread = service.create_thread(messages=[{"role": "user", "content": "Hi"}])
    let_go, arrived = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        let_go.wait(10)

    proxy.hold("POST .*/runs", hold)
    model.hold("Just a moment")

    async def leave() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_enter, service, thread.id, agent.id)
            await anyio.to_thread.run_sync(arrived.wait, 10)
            tasks.cancel_scope.cancel()

    run(leave())
    let_go.set()
    assert proxy.client_left.wait(10)  # the connection was closed although the model still talks
    model.reset()
    opened.close()


async def _enter(service: Service, thread_id: str, agent_id: str) -> None:
    async with service.astream_run(thread_id, agent_id):
        raise AssertionError("it was never opened")


def test_what_may_have_been_carried_out_is_not_repeated_blindly(
    proxy: Proxy, service: Service, model: ScriptedModel
) -> None:
    thread = service.create_thread()
    proxy.cut("POST .*/messages", b"HTTP/1.1 200")
    with Service(ClewTransport(f"{proxy.url}/v1", KEY, idempotent=False)) as careful:
        with pytest.raises(ConnectionFailed) as error:
            careful.create_message(thread.id, "Perhaps")
        assert error.value.sent
    assert len([line for line in proxy.requests if line.endswith("/messages")]) == 1


def test_a_vendors_own_retries_add_a_message_once(
    proxy: Proxy, service: Service, model: ScriptedModel
) -> None:
    thread = service.create_thread()
    opened = open_client("openai", proxy.url, max_retries=2)
    proxy.cut("POST .*/messages", b"HTTP/1.1 200")
    message = connect(opened.client).create_message(thread.id, "Only once")
    assert [each.id for each in service.all_messages(thread.id)] == [message.id]
    opened.close()
