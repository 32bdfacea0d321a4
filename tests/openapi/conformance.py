"""Holds every answer of the API against the OpenAPI document."""

import re
from collections import defaultdict
from functools import cache
from typing import Any

import httpx2
import jsonschema_rs
import msgspec

from clew.http.openapi import document
from tests.support.api import Api, Json

JSON = "application/json"
EVENTS = "text/event-stream"


@cache
def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    """Return a validator of one of the document's schemas."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


def fits(name: str, value: Any) -> bool:
    """Return whether a value is of one of the document's schemas."""
    return validator(name).is_valid(value)


class Conforming(Api):
    """A client that takes no answer which the document does not describe, and remembers what it saw."""

    seen: dict[str, set[int]]

    @classmethod
    def like(cls, api: Api) -> "Conforming":
        """Return the same project's API, with every answer checked."""
        made = cls(api._client, api.url, api.key, api.root)
        made.seen = defaultdict(set)
        return made

    def at(self, root: str) -> "Conforming":
        made = Conforming.like(super().at(root))
        made.seen = self.seen
        return made

    def send(self, method: str, path: str, json: Any = None, **more: Any) -> httpx2.Response:
        response = super().send(method, path, json, **more)
        operation = _operation(method, path.partition("?")[0])
        self.seen[operation["operationId"]].add(response.status_code)
        check(operation, response)
        return response


def check(operation: Json, response: httpx2.Response) -> None:
    """Hold an answer against what the document says of the operation: status, headers, type and body."""
    responses = operation["responses"]
    assert str(response.status_code) in responses, f"{operation['operationId']}: {response.text}"
    said = _resolved(responses[str(response.status_code)])
    for name, header in said["headers"].items():
        assert not header["required"] or name in response.headers, f"{name} is missing"
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in said["content"], f"{operation['operationId']} answers with {kind}"
    if kind == EVENTS:
        _check_events(said["content"][EVENTS]["x-events"], response.text)
    elif kind == JSON:
        validator(_name(said["content"][JSON]["schema"])).validate(response.json())


def _check_events(events: Json, text: str) -> None:
    frames = text.split("\n\n")
    assert frames[-2:] == ["event: done\ndata: [DONE]", ""]
    for frame in frames[:-2]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        assert set(fields) - {"id"} == {"event", "data"}
        validator(_name(events[fields["event"]])).validate(msgspec.json.decode(fields["data"]))


def _operation(method: str, path: str) -> Json:
    for template, item in document()["paths"].items():
        pattern = re.sub(r"{\w+}", "[^/]+", template)
        if re.fullmatch(pattern, path.replace("vendor/", "vendor%2F")) and method.lower() in item:
            operation: Json = item[method.lower()]
            return operation
    raise AssertionError(f"the document knows no {method} {path}")


def _resolved(response: Json) -> Json:
    if "$ref" not in response:
        return response
    resolved: Json = document()["components"]["responses"][_name(response)]
    return resolved


def _name(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]
