"""The OpenAPI document: valid, whole, the same each time, and served to those with a key."""

import subprocess
import sys
from typing import Any

import httpx2
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from clew.http.openapi import document, encoded
from clew.http.openapi_parameters import PARAMETERS, documented_path
from clew.http.operations import OPERATIONS, ROOTS, Operation
from tests.openapi.conformance import fits
from tests.support.api import Json
from tests.support.samples import fields, put
from tests.support.server import KEYS, Server

WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None]

VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    1.5,
    10**30,
    "",
    "text",
    "a b",
    "name\n",
    "x" * 257,
    "🧶" * 256,
    [],
    ["text"],
    [{}],
    {},
    {"type": "text"},
    {"type": "function", "function": {"name": "f"}},
    {"key": "value"},
    {"x" * 65: "value"},
    {"key": "x" * 513},
    {str(number): "" for number in range(17)},
]
"""Put into every field, whatever its type."""


def _said(operation: Operation) -> Json:
    said: Json = document()["paths"][documented_path(operation.path)][operation.method.lower()]
    return said


def test_it_is_a_valid_openapi_document() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_it_names_every_operation_and_no_other() -> None:
    named = [
        said["operationId"]
        for item in document()["paths"].values()
        for method, said in item.items()
        if method != "parameters"
    ]
    assert sorted(named) == sorted(operation.name for operation in OPERATIONS)


def test_it_names_every_root() -> None:
    assert [server["url"] for server in document()["servers"]] == [root.prefix for root in ROOTS]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_says_what_it_does_and_answers(operation: Operation) -> None:
    said = _said(operation)
    assert said["summary"].endswith(".")
    assert "{" not in said["summary"], "a summary is for readers"
    answer = said["responses"]["200"]
    assert answer["content"]
    assert ("requestBody" in said) == (operation.body is not None or operation.uploads)
    assert {"401", "404", "500"} <= set(said["responses"])


def test_everything_that_is_defined_is_used() -> None:
    text = encoded().decode()
    for part in ("schemas", "parameters"):
        for name in document()["components"][part]:
            assert f'"#/components/{part}/{name}"' in text, f"nothing refers to {name}"
    assert set(PARAMETERS) == {name for operation in OPERATIONS for name in operation.reads}


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_its_schemas_take_what_the_decoder_takes_and_refuse_what_it_refuses(operation: Operation) -> None:
    assert operation.body is not None
    name = operation.body.__name__
    decoder = msgspec.json.Decoder(operation.body)
    for field in fields(operation.body):
        for value in VALUES:
            body = put(field.body, field.steps, value)
            assert fits(name, body) == _decodes(decoder, body), (field.steps, value)


def _decodes(decoder: msgspec.json.Decoder[Any], body: Any) -> bool:
    try:
        decoder.decode(msgspec.json.encode(body))
    except msgspec.ValidationError:
        return False
    return True


def test_python_writes_the_same_bytes_without_a_server() -> None:
    command = [sys.executable, "-m", "clew.http.openapi"]
    written = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert written == encoded()


def test_the_server_gives_it_to_those_with_a_key(server: Server, http: httpx2.Client) -> None:
    url, key = f"{server.url}/openapi.json", {"api-key": KEYS["alpha"]}
    assert http.get(url).status_code == 401
    answer = http.get(url, headers=key)
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == encoded()
    assert http.post(url, headers=key).status_code == 405
