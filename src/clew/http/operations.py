"""The operations: one declared table that drives routing, validation and both dialects.

Source: OpenAI's published API schema, and azure-ai-agents 1.1.0, which speaks the same paths below a
project's endpoint.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from clew.http.handlers import agents, messages, models, runs, steps, threads
from clew.wire import requests

ROOTS = ("/v1", "/openai/v1", "/openai", "/api/projects/{project}")
"""Where the operations live: OpenAI, AzureOpenAI (newer and older), and Azure AI Foundry."""


class Operation(Struct, frozen=True):
    """One operation of the API; ``body`` is the type of its request, None if it takes none."""

    name: str
    method: str
    path: str
    handler: Callable[[Any], Awaitable[Any]]
    body: type[requests.Request] | None = None
    poll_after: bool = False
    """Whether clients that poll read from the answer how soon to ask again."""


_AGENT = "/assistants/{assistant_id}"
_THREAD = "/threads/{thread_id}"
_MESSAGE = _THREAD + "/messages/{message_id}"
_RUN = _THREAD + "/runs/{run_id}"

OPERATIONS: tuple[Operation, ...] = (
    Operation("create_agent", "POST", "/assistants", agents.create, requests.CreateAgent),
    Operation("list_agents", "GET", "/assistants", agents.list_),
    Operation("get_agent", "GET", _AGENT, agents.get),
    Operation("update_agent", "POST", _AGENT, agents.update, requests.UpdateAgent),
    Operation("delete_agent", "DELETE", _AGENT, agents.delete),
    Operation("create_thread", "POST", "/threads", threads.create, requests.CreateThread),
    Operation("list_threads", "GET", "/threads", threads.list_),
    Operation(
        "create_thread_and_run",
        "POST",
        "/threads/runs",
        runs.create_thread_and_run,
        requests.CreateThreadAndRun,
    ),
    Operation("get_thread", "GET", _THREAD, threads.get),
    Operation("update_thread", "POST", _THREAD, threads.update, requests.UpdateThread),
    Operation("delete_thread", "DELETE", _THREAD, threads.delete),
    Operation("create_message", "POST", _THREAD + "/messages", messages.create, requests.CreateMessage),
    Operation("list_messages", "GET", _THREAD + "/messages", messages.list_),
    Operation("get_message", "GET", _MESSAGE, messages.get),
    Operation("update_message", "POST", _MESSAGE, messages.update, requests.UpdateMetadata),
    Operation("delete_message", "DELETE", _MESSAGE, messages.delete),
    Operation("create_run", "POST", _THREAD + "/runs", runs.create, requests.CreateRun),
    Operation("list_runs", "GET", _THREAD + "/runs", runs.list_),
    Operation("get_run", "GET", _RUN, runs.get, poll_after=True),
    Operation("update_run", "POST", _RUN, runs.update, requests.UpdateMetadata),
    Operation("cancel_run", "POST", _RUN + "/cancel", runs.cancel),
    Operation(
        "submit_tool_outputs",
        "POST",
        _RUN + "/submit_tool_outputs",
        runs.submit_tool_outputs,
        requests.SubmitToolOutputs,
    ),
    Operation("follow_run", "GET", _RUN + "/events", runs.follow),
    Operation("list_run_steps", "GET", _RUN + "/steps", steps.list_),
    Operation("get_run_step", "GET", _RUN + "/steps/{step_id}", steps.get),
    Operation("list_models", "GET", "/models", models.list_),
    Operation("get_model", "GET", "/models/{model:path}", models.get),
)
