"""The operations: one declared table that drives routing, validation and both dialects.

Source: OpenAI's published API schema, and azure-ai-agents 1.1.0, which speaks the same paths below a
project's endpoint.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from clew.http.answers import Answer
from clew.http.handlers import (
    agents,
    files,
    messages,
    metrics,
    models,
    project_runs,
    runs,
    steps,
    threads,
    vector_stores,
    webhooks,
)
from clew.wire import requests
from clew.wire import store_requests as stores
from clew.wire.dialects import AZURE, OPENAI, Dialect


class Root(Struct, frozen=True):
    """Where the operations live, and the dialect that is spoken there.

    ``{project}`` in a prefix stands for a project, which must be the key's own.
    """

    prefix: str
    dialect: Dialect


ROOTS = (
    Root("/v1", OPENAI),
    Root("/openai/v1", OPENAI),
    Root("/openai", OPENAI),
    Root("/api/projects/{project}", AZURE),
)
"""OpenAI, AzureOpenAI (newer and older), and Azure AI Foundry."""


class Operation(Struct, frozen=True):
    """One operation of the API; ``body`` is the type of its request, None if it takes none."""

    name: str
    method: str
    path: str
    handler: Callable[[Any], Awaitable[Answer]]
    body: type[requests.Request] | None = None
    poll_after: bool = False
    """Whether clients that poll read from the answer how soon to ask again."""
    uploads: bool = False
    """Whether its body is a form with a file, which the handler reads as it comes."""
    long_body: bool = False
    """Whether its body may have long texts, schemas or images."""
    starts_run: bool = False
    """Whether it is refused while the line of waiting runs is full."""
    reads: tuple[str, ...] = ()
    """What it reads from query and headers: names in :data:`clew.http.openapi_parameters.PARAMETERS`."""


_PAGE = ("limit", "order", "after", "before")
_ONCE = ("idempotency_key", "client_request_id")
_OF_RUNS = ("status", "assistant_id", "thread_id", "created_after", "created_before")
_LINE = (*_ONCE, "when_busy")

_AGENT = "/assistants/{assistant_id}"
_THREAD = "/threads/{thread_id}"
_MESSAGE = _THREAD + "/messages/{message_id}"
_RUN = _THREAD + "/runs/{run_id}"
_WEBHOOK = "/webhooks/{webhook_id}"
_FILE = "/files/{file_id}"
_STORE = "/vector_stores/{store_id}"
_STORE_FILE = _STORE + "/files/{file_id}"
_BATCH = _STORE + "/file_batches/{batch_id}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "create_agent",
        "POST",
        "/assistants",
        agents.create,
        requests.CreateAgent,
        long_body=True,
        reads=_ONCE,
    ),
    Operation("list_agents", "GET", "/assistants", agents.list_, reads=_PAGE),
    Operation("get_agent", "GET", _AGENT, agents.get),
    Operation("update_agent", "POST", _AGENT, agents.update, requests.UpdateAgent, long_body=True),
    Operation("delete_agent", "DELETE", _AGENT, agents.delete),
    Operation(
        "create_thread",
        "POST",
        "/threads",
        threads.create,
        requests.CreateThread,
        long_body=True,
        reads=_ONCE,
    ),
    Operation("list_threads", "GET", "/threads", threads.list_, reads=(*_PAGE, "metadata")),
    Operation(
        "create_thread_and_run",
        "POST",
        "/threads/runs",
        runs.create_thread_and_run,
        requests.CreateThreadAndRun,
        long_body=True,
        starts_run=True,
        reads=_LINE,
    ),
    Operation("get_thread", "GET", _THREAD, threads.get),
    Operation("update_thread", "POST", _THREAD, threads.update, requests.UpdateThread),
    Operation("delete_thread", "DELETE", _THREAD, threads.delete, reads=("unchanged_since",)),
    Operation(
        "create_message",
        "POST",
        _THREAD + "/messages",
        messages.create,
        requests.CreateMessage,
        long_body=True,
        reads=_LINE,
    ),
    Operation("list_messages", "GET", _THREAD + "/messages", messages.list_, reads=(*_PAGE, "run_id")),
    Operation("get_message", "GET", _MESSAGE, messages.get),
    Operation("update_message", "POST", _MESSAGE, messages.update, requests.UpdateMetadata),
    Operation("delete_message", "DELETE", _MESSAGE, messages.delete),
    Operation(
        "create_run",
        "POST",
        _THREAD + "/runs",
        runs.create,
        requests.CreateRun,
        long_body=True,
        starts_run=True,
        reads=(*_LINE, "include"),
    ),
    Operation("list_runs", "GET", _THREAD + "/runs", runs.list_, reads=_PAGE),
    Operation("get_run", "GET", _RUN, runs.get, poll_after=True, reads=("wait",)),
    Operation("update_run", "POST", _RUN, runs.update, requests.UpdateMetadata),
    Operation("cancel_run", "POST", _RUN + "/cancel", runs.cancel, reads=_ONCE),
    Operation(
        "submit_tool_outputs",
        "POST",
        _RUN + "/submit_tool_outputs",
        runs.submit_tool_outputs,
        requests.SubmitToolOutputs,
        long_body=True,
        reads=_ONCE,
    ),
    Operation("explain_run", "GET", _RUN + "/explanation", runs.explain),
    Operation("follow_run", "GET", _RUN + "/events", runs.follow, reads=("after_event", "last_event_id")),
    Operation("list_run_steps", "GET", _RUN + "/steps", steps.list_, reads=(*_PAGE, "include")),
    Operation("get_run_step", "GET", _RUN + "/steps/{step_id}", steps.get, reads=("include",)),
    Operation("list_project_runs", "GET", "/runs", project_runs.list_, reads=(*_PAGE, *_OF_RUNS)),
    Operation("follow_project", "GET", "/events", project_runs.follow, reads=("feed_wait",)),
    Operation("create_file", "POST", "/files", files.create, uploads=True),
    Operation("list_files", "GET", "/files", files.list_, reads=("files_limit", *_PAGE[1:], "purpose")),
    Operation("get_file", "GET", _FILE, files.get),
    Operation("get_file_content", "GET", _FILE + "/content", files.content, reads=("range",)),
    Operation("delete_file", "DELETE", _FILE, files.delete),
    Operation(
        "create_vector_store",
        "POST",
        "/vector_stores",
        vector_stores.create,
        stores.CreateVectorStore,
        reads=_ONCE,
    ),
    Operation("list_vector_stores", "GET", "/vector_stores", vector_stores.list_, reads=_PAGE),
    Operation("get_vector_store", "GET", _STORE, vector_stores.get, poll_after=True),
    Operation("update_vector_store", "POST", _STORE, vector_stores.update, stores.UpdateVectorStore),
    Operation("delete_vector_store", "DELETE", _STORE, vector_stores.delete),
    Operation(
        "search_vector_store",
        "POST",
        _STORE + "/search",
        vector_stores.search,
        stores.SearchVectorStore,
    ),
    Operation("reindex_vector_store", "POST", _STORE + "/reindex", vector_stores.reindex),
    Operation(
        "create_store_file",
        "POST",
        _STORE + "/files",
        vector_stores.create_file,
        stores.CreateStoreFile,
        reads=_ONCE,
    ),
    Operation(
        "list_store_files", "GET", _STORE + "/files", vector_stores.list_files, reads=(*_PAGE, "filter")
    ),
    Operation("get_store_file", "GET", _STORE_FILE, vector_stores.get_file, poll_after=True),
    Operation("update_store_file", "POST", _STORE_FILE, vector_stores.update_file, stores.UpdateStoreFile),
    Operation("delete_store_file", "DELETE", _STORE_FILE, vector_stores.delete_file),
    Operation(
        "get_store_file_content",
        "GET",
        _STORE_FILE + "/content",
        vector_stores.file_content,
        reads=("after_chunk",),
    ),
    Operation(
        "create_file_batch",
        "POST",
        _STORE + "/file_batches",
        vector_stores.create_batch,
        stores.CreateFileBatch,
        reads=_ONCE,
    ),
    Operation("get_file_batch", "GET", _BATCH, vector_stores.get_batch, poll_after=True),
    Operation("cancel_file_batch", "POST", _BATCH + "/cancel", vector_stores.cancel_batch),
    Operation(
        "list_batch_files", "GET", _BATCH + "/files", vector_stores.list_batch_files, reads=(*_PAGE, "filter")
    ),
    Operation("create_webhook", "POST", "/webhooks", webhooks.create, requests.CreateWebhook, reads=_ONCE),
    Operation("list_webhooks", "GET", "/webhooks", webhooks.list_, reads=_PAGE),
    Operation("get_webhook", "GET", _WEBHOOK, webhooks.get),
    Operation("delete_webhook", "DELETE", _WEBHOOK, webhooks.delete),
    Operation("get_metrics_summary", "GET", "/metrics/summary", metrics.summary, reads=("since", "until")),
    Operation("list_models", "GET", "/models", models.list_),
    Operation("get_model", "GET", "/models/{model:path}", models.get),
)
