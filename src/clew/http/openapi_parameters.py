"""What operations read from path, query and headers, as the OpenAPI document says it.

Source: OpenAI's API reference (list parameters, ``include[]``); azure-core for
``x-ms-client-request-id``; the rest is Clew's own, and says so.
"""

import re
from typing import Any

from clew.core.options import Json
from clew.core.states import RunStatus
from clew.core.stores import FileStatus
from clew.http.call import LATEST, LONGEST_WAIT
from clew.http.handlers.files import MOST_LISTED
from clew.http.handlers.project_runs import LONGEST_FEED
from clew.http.handlers.runs import LAST_POSITION
from clew.http.idempotency import LONGEST_KEY

_PATH = re.compile(r"{(\w+)(?::path)?}")
_POSITION: Json = {"type": "integer", "minimum": 0, "maximum": LAST_POSITION, "default": 0}
_MOMENT: Json = {"type": "integer", "minimum": 0, "maximum": LATEST}
_KEY: Json = {"type": "string", "maxLength": LONGEST_KEY}


def _query(name: str, description: str, schema: Json, **more: Any) -> Json:
    """Describe a query parameter. An empty one is not given; of strings JSON Schema allows that anyway."""
    said = {"name": name, "in": "query", "description": description, **more}
    empty = {"allowEmptyValue": True} if schema["type"] != "string" or "enum" in schema else {}
    return said | ({} if "style" in more else empty) | {"schema": schema}


def _header(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": schema}


PARAMETERS: dict[str, Json] = {
    "limit": _query(
        "limit",
        "How many items a page holds at most.",
        {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    ),
    "files_limit": _query(
        "limit",
        "How many files a page holds at most.",
        {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": MOST_LISTED},
    ),
    "purpose": _query("purpose", "Only files of this purpose.", {"type": "string"}),
    "filter": _query(
        "filter",
        "Only files of this status.",
        {"type": "string", "enum": [status.value for status in FileStatus]},
    ),
    "after_chunk": _query(
        "after",
        "The number of the chunk that the page goes on behind.",
        {"type": "integer", "minimum": -1, "maximum": 2**31},
    ),
    "range": _header(
        "Range", "Which bytes are wanted, as `bytes=FIRST-LAST`; then the answer is 206.", {"type": "string"}
    ),
    "order": _query(
        "order",
        "By creation: oldest or newest first.",
        {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    ),
    "after": _query(
        "after", "The id of an item: the page begins behind it, in the order asked for.", {"type": "string"}
    ),
    "before": _query(
        "before",
        "The id of an item: the page ends in front of it, in the order asked for.",
        {"type": "string"},
    ),
    "run_id": _query("run_id", "Only messages that this run wrote.", {"type": "string"}),
    "include": _query(
        "include[]",
        "`step_details.reasoning` adds to a step what the model reasoned before it, where the model told; "
        "the other values of the services are accepted and add nothing yet.",
        {"type": "array", "items": {"type": "string"}},
        style="form",
        explode=True,
    ),
    "metadata": _query(
        "metadata",
        "Clew's own: only threads whose metadata hold this pair, as `metadata[key]=value`; several narrow "
        "the list further.",
        {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 16},
        style="deepObject",
        explode=True,
    ),
    "wait": _query(
        "wait",
        "Clew's own: seconds for which the answer may be held back while the run is queued, in progress or "
        "cancelling. It comes at once when the run is over or waits for tool outputs.",
        {"type": "number", "minimum": 0, "maximum": int(LONGEST_WAIT), "default": 0},
    ),
    "since": _query(
        "since",
        "Only runs that ended then or later: seconds since 1970. By default a day before `until`.",
        _MOMENT,
    ),
    "until": _query(
        "until", "Only runs that ended then or before: seconds since 1970. By default now.", _MOMENT
    ),
    "status": _query(
        "status",
        "Only runs that have one of these statuses: with commas between them, or the parameter again.",
        {"type": "array", "items": {"type": "string", "enum": [status.value for status in RunStatus]}},
        style="form",
        explode=False,
    ),
    "assistant_id": _query("assistant_id", "Only runs of this agent.", {"type": "string"}),
    "thread_id": _query("thread_id", "Only runs of this thread.", {"type": "string"}),
    "created_after": _query(
        "created_after", "Only runs whose `created_at` is greater: seconds since 1970.", _MOMENT
    ),
    "created_before": _query(
        "created_before", "Only runs whose `created_at` is less: seconds since 1970.", _MOMENT
    ),
    "feed_wait": _query(
        "wait",
        "Seconds after which the stream ends; by default it goes on. With 0 it tells what is live, and ends.",
        {"type": "integer", "minimum": 0, "maximum": LONGEST_FEED},
    ),
    "unchanged_since": _query(
        "unchanged_since",
        "Clew's own: delete only if nothing was said, begun or ended in the thread after this moment "
        "(seconds since 1970); otherwise the answer is 412.",
        _MOMENT,
    ),
    "after_event": _query(
        "after", "The `id` of the last event that was seen: the stream goes on behind it.", _POSITION
    ),
    "last_event_id": _header(
        "Last-Event-ID",
        "What an EventSource sends when it connects again. Of this and `after`, the greater counts.",
        _POSITION,
    ),
    "idempotency_key": _header(
        "Idempotency-Key",
        "Clew's own: a request sent again with the same key is answered as before, not done again. With "
        "another body it is refused.",
        _KEY,
    ),
    "client_request_id": _header(
        "x-ms-client-request-id",
        "Azure's id of a call, the same over its retries: for ten minutes it works like Idempotency-Key.",
        _KEY,
    ),
    "when_busy": _header(
        "Clew-When-Busy",
        "Clew's own: what a run on the thread does to this request. `fail` refuses it with 400, as the "
        "original services do; with `queue` it waits in line.",
        {"type": "string", "enum": ["fail", "queue"], "default": "fail"},
    ),
}
"""By the names that operations use."""


def documented_path(path: str) -> str:
    """Return a path of the table of operations as OpenAPI writes it."""
    return _PATH.sub(r"{\1}", path)


def path_parameters(path: str) -> list[Json]:
    """Return the parameters that a path holds. Ids are opaque to clients."""
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": "A model's name." if name == "model" else f"The {name.removesuffix('_id')}'s id.",
            "schema": {"type": "string", "minLength": 1},
        }
        for name in _PATH.findall(path)
    ]
