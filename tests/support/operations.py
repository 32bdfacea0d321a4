"""Every operation of the API, with a request that is right: what generated tests start from."""

from typing import Any, NamedTuple

from clew.http.operations import OPERATIONS, Operation
from tests.support.api import Api, Json, function_tool

BY_NAME = {operation.name: operation for operation in OPERATIONS}


class World(NamedTuple):
    """One of each object: the ids that stand in paths."""

    assistant_id: str
    thread_id: str
    message_id: str
    run_id: str
    step_id: str
    webhook_id: str
    file_id: str
    store_id: str
    batch_id: str
    model: str = "scripted"

    def path(self, operation: Operation) -> str:
        """Return the operation's path with these ids in it; a feed's with the wish that it end."""
        if operation.name == "follow_project":
            return operation.path + "?wait=0"
        return operation.path.replace("{model:path}", "{model}").format(**self._asdict())


def new_world(api: Api) -> World:
    """Make one of each object; the run calls a function that is never answered, and is cancelled."""
    agent = api.agent(tools=[function_tool("look_up", word="string")])
    run = api.run(api.thread("What is a clew?"), agent)
    run.answer_calls(lambda call: "A ball of thread.")
    run.wait("completed")
    webhook = api.post("/webhooks", {"url": "https://example.com/hook"})
    file = api.upload(b"A ball of thread.")
    store = api.store(file)
    batch = api.post(f"/vector_stores/{store}/file_batches", {"file_ids": []})
    return World(
        agent,
        run.thread,
        run.messages()[0]["id"],
        run.id,
        run.steps()[0]["id"],
        webhook["id"],
        file,
        store,
        batch["id"],
    )


def right_body(operation: Operation, world: World) -> Json | None:
    """Return a body that the operation takes."""
    bodies: dict[str, Any] = {
        "create_agent": {"model": "scripted"},
        "update_agent": {"name": "Ariadne"},
        "create_thread": {},
        "update_thread": {"metadata": {"topic": "thread"}},
        "create_message": {"role": "user", "content": "And a maze?"},
        "update_message": {"metadata": {"seen": "yes"}},
        "create_run": {"assistant_id": world.assistant_id},
        "create_thread_and_run": {"assistant_id": world.assistant_id},
        "update_run": {"metadata": {"seen": "yes"}},
        "submit_tool_outputs": {"tool_outputs": []},
        "create_vector_store": {"name": "mazes"},
        "update_vector_store": {"name": "more mazes"},
        "search_vector_store": {"query": "thread"},
        "create_store_file": {"file_id": world.file_id},
        "update_store_file": {"attributes": {"topic": "thread"}},
        "create_file_batch": {"file_ids": [world.file_id]},
        "create_webhook": {"url": "https://example.com/hook"},
    }
    body: Json | None = bodies.get(operation.name)
    assert (body is None) == (operation.body is None), f"no body is known for {operation.name}"
    return body
