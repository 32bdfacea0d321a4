"""Files that threads, agents and messages bring: stores made for them, and runs that wait for them.

Source: OpenAI's guide to file search; azure-ai-agents' samples (a thread with files, an agent without tools).
"""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json
from tests.support.servers import Servers

MAZE = b"Ariadne gave Theseus a clew, a ball of thread.\nSo he found his way out of the maze of Knossos.\n"
SEARCHED = [{"type": "file_search"}]
RUN_BY = [{"type": "code_interpreter"}]


def _message(file: str, tools: Any = SEARCHED, text: str = "Who had a clew?") -> Json:
    return {"role": "user", "content": text, "attachments": [{"file_id": file, "tools": tools}]}


def _store_of(api: Api, thread: str) -> str:
    (store,) = api.get(f"/threads/{thread}")["tool_resources"]["file_search"]["vector_store_ids"]
    return str(store)


def test_an_attached_file_is_searched_though_the_agent_has_no_tools(api: Api, model: ScriptedModel) -> None:
    file = api.upload(MAZE, "maze.txt")
    thread = api.post("/threads", {"messages": [_message(file)]})["id"]
    (message,) = api.get(f"/threads/{thread}/messages")["data"]
    assert message["attachments"] == [{"file_id": file, "tools": SEARCHED}]
    store = api.get(f"/vector_stores/{_store_of(api, thread)}")
    assert store["expires_after"] == {"anchor": "last_active_at", "days": 7}
    model.call("file_search", {"query": "clew"})
    model.reply("Ariadne【4:0†maze.txt】.")
    run = api.run(thread, api.agent())
    run.wait("completed")
    assert run.messages()[0]["content"][0]["text"]["annotations"][0]["file_citation"]["file_id"] == file


def test_a_second_file_goes_into_the_same_store(api: Api) -> None:
    thread, first, second = api.thread(), api.upload(MAZE, "one.txt"), api.upload(MAZE, "two.txt")
    for file in (first, second):
        api.post(f"/threads/{thread}/messages", _message(file))
    store = api.wait_for_store(_store_of(api, thread))
    assert store["file_counts"]["completed"] == 2


def test_files_for_the_code_interpreter_are_kept_with_the_thread(api: Api) -> None:
    file = api.upload(MAZE, "maze.txt")
    thread = api.post("/threads", {"messages": [_message(file, RUN_BY), _message(file, RUN_BY)]})["id"]
    assert api.get(f"/threads/{thread}")["tool_resources"] == {"code_interpreter": {"file_ids": [file]}}


def test_a_run_waits_for_the_files_of_its_thread(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        held = model.hold_embeddings()
        thread = api.post("/threads", {"messages": [_message(api.upload(MAZE, "maze.txt"))]})["id"]
        run = api.run(thread, api.agent())
        assert run.now()["status"] == "queued"
        assert model.requests == []
        held.release()
        run.wait("completed")
        assert len(model.requests) == 1


def test_a_run_waits_a_minute_at_most(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        held = model.hold_embeddings()
        thread = api.post("/threads", {"messages": [_message(api.upload(MAZE, "maze.txt"))]})["id"]
        run = api.run(thread, api.agent())
        assert run.now()["status"] == "queued"
        servers.clock.advance(61_000)
        run.wait("completed")
        held.release()
        api.wait_for_store(_store_of(api, thread))


@pytest.mark.parametrize("how", ["the file", "out of its store", "its store"])
def test_a_run_goes_on_when_what_it_waits_for_is_deleted(
    servers: Servers, model: ScriptedModel, how: str
) -> None:
    with servers.start() as api:
        held = model.hold_embeddings()
        file = api.upload(MAZE, "maze.txt")
        thread = api.post("/threads", {"messages": [_message(file)]})["id"]
        run, store = api.run(thread, api.agent()), _store_of(api, thread)
        assert run.now()["status"] == "queued"
        gone = {
            "the file": f"/files/{file}",
            "out of its store": f"/vector_stores/{store}/files/{file}",
            "its store": f"/vector_stores/{store}",
        }
        api.delete(gone[how])
        run.wait("completed")
        held.release()


def test_a_run_waits_on_while_another_file_is_read(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        held = model.hold_embeddings()
        one, two = api.upload(MAZE, "one.txt"), api.upload(MAZE, "two.txt")
        messages = [_message(one), _message(two)]
        thread = api.post("/threads", {"messages": messages})["id"]
        run = api.run(thread, api.agent())
        api.delete(f"/files/{one}")
        assert run.now()["status"] == "queued"
        held.release()
        run.wait("completed")


def test_a_file_that_fails_holds_no_run_up(api: Api, model: ScriptedModel) -> None:
    thread = api.post("/threads", {"messages": [_message(api.upload(b"%PDF-x", "bad.pdf"))]})["id"]
    run = api.run(thread, api.agent())
    run.wait("completed")
    assert api.get(f"/vector_stores/{_store_of(api, thread)}")["file_counts"]["failed"] == 1


@pytest.mark.parametrize("of", ["agent", "thread"])
def test_a_store_that_is_described_is_made(api: Api, of: str) -> None:
    file = api.upload(MAZE, "maze.txt")
    described = {"file_search": {"vector_stores": [{"file_ids": [file], "metadata": {"a": "b"}}]}}
    path = "/assistants" if of == "agent" else "/threads"
    body: Json = {"tool_resources": described} | ({"model": "scripted"} if of == "agent" else {})
    made = api.post(path, body)
    (store,) = made["tool_resources"]["file_search"]["vector_store_ids"]
    assert "vector_stores" not in made["tool_resources"]["file_search"]
    found = api.wait_for_store(store)
    assert (found["file_counts"]["completed"], found["metadata"]) == (1, {"a": "b"})
    assert (found["expires_after"] is None) == (of == "agent")
    named = api.post(f"{path}/{made['id']}", {"tool_resources": {"file_search": {"vector_store_ids": []}}})
    assert named["tool_resources"] == {"file_search": {"vector_store_ids": []}}


@pytest.mark.parametrize(
    ("resources", "status", "param"),
    [
        ({"file_search": {"vector_store_ids": ["vs_x"]}}, 404, "tool_resources.file_search.vector_store_ids"),
        ({"code_interpreter": {"file_ids": ["file-x"]}}, 404, "tool_resources.code_interpreter.file_ids"),
        (
            {"file_search": {"vector_store_ids": ["vs_x"], "vector_stores": [{}]}},
            400,
            "tool_resources.file_search.vector_stores",
        ),
        (
            {"file_search": {"vector_stores": [{"file_ids": 5}]}},
            400,
            "tool_resources.file_search.vector_stores[0].file_ids",
        ),
        ({"file_search": {"vector_stores": [{"file_ids": ["file-x"]}]}}, 404, "id"),
    ],
)
def test_resources_that_are_not_there_are_refused(
    api: Api, resources: Json, status: int, param: str | None
) -> None:
    for path, more in (("/assistants", {"model": "scripted"}), ("/threads", {})):
        error = api.refused(status, "POST", path, {"tool_resources": resources, **more})
        assert error["param"] == param


@pytest.mark.parametrize(
    ("attachment", "status"),
    [
        ({"file_id": "file-x", "tools": SEARCHED}, 404),
        ({"tools": SEARCHED}, 400),
        ({"file_id": "file-x", "tools": [{"type": "party"}]}, 400),
        ({"data_source": {"uri": "x", "type": "uri_asset"}, "tools": SEARCHED}, 400),
    ],
)
def test_attachments_that_can_not_be_leave_nothing_behind(api: Api, attachment: Json, status: int) -> None:
    thread = api.thread()
    body = {"role": "user", "content": "Hi", "attachments": [attachment]}
    api.refused(status, "POST", f"/threads/{thread}/messages", body)
    api.refused(status, "POST", "/threads", {"messages": [body]})
    assert api.get(f"/threads/{thread}/messages")["data"] == []
    assert api.get(f"/threads/{thread}")["tool_resources"] == {}


def test_a_run_with_a_thread_of_its_own_and_messages_with_files(api: Api, model: ScriptedModel) -> None:
    file = api.upload(MAZE, "maze.txt")
    body = {"assistant_id": api.agent(), "thread": {"messages": [_message(file)]}}
    started = api.post("/threads/runs", body)
    assert "file_search" in str(started["tools"])
    path = f"/threads/{started['thread_id']}/runs/{started['id']}"
    assert api.get(path, wait=30)["status"] == "completed"
    more = {"assistant_id": api.agent(), "additional_messages": [_message(file, text="And now?")]}
    again = api.post(f"/threads/{started['thread_id']}/runs", more)
    assert api.get(f"/threads/{started['thread_id']}/runs/{again['id']}", wait=30)["status"] == "completed"
    assert api.texts(started["thread_id"])[0] == "Who had a clew?"


def test_an_expired_store_of_its_thread_fails_a_run(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        thread = api.post("/threads", {"messages": [_message(api.upload(MAZE, "maze.txt"))]})["id"]
        api.wait_for_store(_store_of(api, thread))
        servers.clock.advance(8 * 24 * 3600 * 1000)
        failed = api.run(thread, api.agent()).wait("failed")
        assert "expired" in failed["last_error"]["message"]
        assert model.requests == []
        api.post(f"/threads/{thread}/messages", _message(api.upload(MAZE, "maze.txt")))
        api.run(thread, api.agent()).wait("completed")
