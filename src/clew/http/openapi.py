"""Clew's own OpenAPI 3.1 document, made from the table of operations and the types that they name.

``GET /openapi.json`` serves it; ``python -m clew.http.openapi > openapi.json`` writes it without a
server. The same version of Clew always gives the same bytes.

Source: the OpenAPI Specification 3.1.1. It cannot say what a stream's events hold, so responses of the
type ``text/event-stream`` carry the extension ``x-events``: the schema of each event's data by its name.
"""

import inspect
import re
import sys
from functools import cache, lru_cache
from http import HTTPStatus

import msgspec

from clew import __version__
from clew.core.files import LONGEST_NAME, UPLOADED_FOR
from clew.core.options import Json
from clew.http.endpoint import BODY_LIMIT
from clew.http.handlers.runs import POLL_AFTER_MS
from clew.http.openapi_parameters import PARAMETERS, documented_path, path_parameters
from clew.http.openapi_schemas import answer, ref, schemas
from clew.http.operations import OPERATIONS, ROOTS, Operation
from clew.wire.requests import RunOptions

_ABOUT = """Wire-compatible with OpenAI Assistants v2 and Azure AI Foundry Agents (classic).

Every operation is served alike under each of the servers' roots: `/v1` for OpenAI's clients, `/openai` for
those of Azure OpenAI, `/api/projects/{project}` for azure-ai-agents; the project must be the key's own.

In requests, `null` for an optional field means that it is not given, and a body of no bytes is `{}`. Query
parameters and headers that are not named here, such as `api-version`, are ignored. Fields of a body that are
not named here are refused. A method that a path does not have is answered with 405 and the header `allow`;
HEAD works where GET does.

A response of the type `text/event-stream` holds frames of `event: NAME` and `data: JSON`, and ends with
`event: done`, `data: [DONE]`. Its `x-events` give the schema of each event's data by the event's name."""

_REQUEST_ID: Json = {
    "x-request-id": {
        "description": "The id of this request, which the server's log names too.",
        "required": True,
        "schema": {"type": "string", "pattern": "^req_"},
    }
}
_POLL_AFTER: Json = {
    "openai-poll-after-ms": {
        "description": "Milliseconds after which to ask again.",
        "required": True,
        "schema": {"type": "integer", "const": POLL_AFTER_MS},
    }
}
_ALLOW: Json = {
    "allow": {
        "description": "The methods that the path has.",
        "required": True,
        "schema": {"type": "string"},
    }
}

_REFUSALS = {
    400: "BadRequest",
    401: "Unauthorized",
    404: "NotFound",
    405: "MethodNotAllowed",
    412: "Changed",
    413: "BodyTooLarge",
    416: "NoSuchRange",
    429: "TooMuch",
    500: "ServerError",
    503: "DatabaseAway",
}
_REASONS = {
    400: "The request is wrong; `param` and `code` say where and how. It has changed nothing.",
    401: "The API key is missing or wrong.",
    404: "There is no such object under this parent, or in this project, or what the body names isn't there.",
    405: "The path has no such method.",
    412: "The object has changed since the moment that the request names. It is as it was.",
    429: "The project has used up its tokens for today, or the server has as many runs in line as it takes; "
    "then `Retry-After` says when to try again.",
    413: f"The body has more than {BODY_LIMIT} bytes, or more than it may have where files are uploaded.",
    416: "The file has none of the bytes that `Range` asks for.",
    500: "The server had an error; its log says more, under the request's id.",
    503: "The server's database does not answer. Nothing was stored; `Retry-After` says when to try again.",
}

_UPLOAD: Json = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "The file, with its name."},
        "purpose": {"type": "string", "enum": list(UPLOADED_FOR)},
        "filename": {"type": "string", "maxLength": LONGEST_NAME, "description": "Another name."},
    },
    "required": ["file", "purpose"],
}
_PATH_IDS = re.compile(r"{(\w+)}")
_HOMES = {
    answer(operation).schema: operation.path
    for operation in OPERATIONS
    if operation.name.startswith("get_") and _PATH_IDS.search(operation.path)
}
"""Where an object of each type lives."""


@cache
def document() -> Json:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Clew",
            "version": __version__,
            "summary": "Threads and runs that you own",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [_server(root.prefix) for root in ROOTS],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas(),
            "parameters": PARAMETERS,
            "responses": {name: _refusal(status) for status, name in _REFUSALS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "As OpenAI's clients send it."},
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "api-key",
                    "description": "As Azure OpenAI's clients send it.",
                },
            },
        },
    }


@lru_cache(maxsize=8)
def encoded(prefix: str = "") -> bytes:
    """Return the document as JSON, as it is behind a proxy that serves it under a path."""
    servers = [server | {"url": prefix + server["url"]} for server in document()["servers"]]
    return msgspec.json.format(msgspec.json.encode(document() | {"servers": servers}), indent=1) + b"\n"


def _server(prefix: str) -> Json:
    if "{project}" not in prefix:
        return {"url": prefix}
    variable = {"default": "default", "description": "The project that the key belongs to."}
    return {"url": prefix, "variables": {"project": variable}}


def _refusal(status: int) -> Json:
    headers = _REQUEST_ID | (_ALLOW if status == HTTPStatus.METHOD_NOT_ALLOWED else {})
    return {"description": _REASONS[status], "headers": headers, "content": _json("ErrorResponse")}


def _json(schema: str) -> Json:
    return {"application/json": {"schema": ref(schema)}}


def _paths() -> Json:
    paths: Json = {}
    for operation in OPERATIONS:
        item = paths.setdefault(documented_path(operation.path), {})
        if parameters := path_parameters(operation.path):
            item["parameters"] = parameters
        item[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> Json:
    told = inspect.getdoc(operation.handler) or operation.name
    first, _, rest = told.partition("\n\n")
    said: Json = {
        "operationId": operation.name,
        "tags": [operation.handler.__module__.rpartition(".")[2]],
        "summary": " ".join(first.split()),
    }
    if rest:
        said["description"] = rest
    if operation.reads:
        said["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in operation.reads]
    if operation.uploads:
        said["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD}}}
    if operation.body is not None:
        required = any(field.required for field in msgspec.structs.fields(operation.body))
        said["requestBody"] = {"required": required, "content": _json(operation.body.__name__)}
    return said | {"responses": _responses(operation)}


def _responses(operation: Operation) -> Json:
    headers = _REQUEST_ID | (_POLL_AFTER if operation.poll_after else {})
    content = _content(operation)
    responses: Json = {"200": {"description": "Done.", "headers": headers, "content": content}}
    if links := _links(operation):
        responses["200"]["links"] = links
    if answer(operation).bytes:
        responses["206"] = {"description": "A range of the bytes.", "headers": headers, "content": content}
    for status in _refusals(operation):
        responses[str(status)] = {"$ref": f"#/components/responses/{_REFUSALS[status]}"}
    return responses


def _content(operation: Operation) -> Json:
    answered = answer(operation)
    content = _json(answered.schema) if answered.schema is not None else {}
    if answered.bytes:
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    if answered.events:
        events = {name: ref(kind.__name__) for name, kind in answered.events.items()}
        content["text/event-stream"] = {"x-events": events}
    return content


def _links(operation: Operation) -> Json:
    """Return what can be done with an object that was just created: all below its own path."""
    name = answer(operation).schema
    home = _HOMES.get(name or "") if operation.name.startswith("create_") else None
    if home is None:
        return {}
    ids = {known: f"$response.body#/{known}" for known in _PATH_IDS.findall(home)}
    ids[_PATH_IDS.findall(home)[-1]] = "$response.body#/id"
    return {
        target.name: {"operationId": target.name, "parameters": ids}
        for target in OPERATIONS
        if set(_PATH_IDS.findall(target.path)) == set(ids)
    }


def _refusals(operation: Operation) -> list[int]:
    """Return the statuses other than 200. Everything can be 404: the Azure root's project may be wrong."""
    statuses = [401, 404, 500, 503]
    if operation.reads or operation.method == "POST":
        statuses.append(400)
    if operation.body is not None or operation.uploads:
        statuses.append(413)
    if operation.body is not None and issubclass(operation.body, RunOptions):
        statuses.append(429)
    if "range" in operation.reads:
        statuses.append(416)
    if "unchanged_since" in operation.reads:
        statuses.append(412)
    return sorted(statuses)


if __name__ == "__main__":
    sys.stdout.buffer.write(encoded())
