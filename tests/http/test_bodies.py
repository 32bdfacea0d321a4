"""Every field of every request, generated from the request types: wrong types, nulls, unknown fields."""

from typing import Any

import msgspec
import pytest

from clew.http.operations import OPERATIONS, Operation
from tests.support.api import Api, Json
from tests.support.operations import World
from tests.support.refusals import Unchanged
from tests.support.samples import KINDS, Field, Steps, fields, objects, put, taken, written

WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None]
FIELDS = [
    (operation, field)
    for operation in WITH_BODY
    if operation.body is not None
    for field in fields(operation.body)
]


def _each(chosen: list[tuple[Operation, Field]]) -> pytest.MarkDecorator:
    ids = [f"{operation.name}-{written(field.steps)}" for operation, field in chosen]
    return pytest.mark.parametrize(("operation", "field"), chosen, ids=ids)


def _with_agent(body: Json, world: World, wrong: Steps = ()) -> Json:
    """Return a body whose agent exists, unless the agent is what is wrong with it."""
    if "assistant_id" not in body or wrong == ("assistant_id",):
        return body
    return body | {"assistant_id": world.assistant_id}


@_each(FIELDS)
def test_a_value_of_a_wrong_type_is_refused_by_its_path(
    api: Api, world: World, unchanged: Unchanged, operation: Operation, field: Field
) -> None:
    with unchanged:
        for kind in field.wrong_kinds():
            body = _with_agent(put(field.body, field.steps, KINDS[kind]), world, field.steps)
            error = api.refused(400, operation.method, world.path(operation), body)
            assert error["code"] in ("invalid_type", "invalid_value"), (kind, error)
            assert error["param"] == written(field.steps), (kind, error)


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_a_field_that_nobody_knows_is_refused_wherever_it_stands(
    api: Api, world: World, unchanged: Unchanged, operation: Operation
) -> None:
    assert operation.body is not None
    with unchanged:
        for body, steps in objects(operation.body):
            wrong = put(body, steps, {**taken(body, steps), "surprise": 1})
            error = api.refused(400, operation.method, world.path(operation), _with_agent(wrong, world))
            assert error["code"] == "unknown_parameter", wrong
            assert error["param"] == written((*steps, "surprise"))


@_each([(operation, field) for operation, field in FIELDS if field.required])
def test_a_field_that_is_missing_is_named(
    api: Api, world: World, unchanged: Unchanged, operation: Operation, field: Field
) -> None:
    with unchanged:
        body = _with_agent(field.without(), world, field.steps)
        error = api.refused(400, operation.method, world.path(operation), body)
        assert (error["code"], error["param"]) == ("missing_required_parameter", written(field.steps))


@_each([(operation, field) for operation, field in FIELDS if field.optional])
def test_null_for_an_optional_field_means_that_it_was_not_given(operation: Operation, field: Field) -> None:
    with_null = put(field.body, field.steps, None)
    assert _read(with_null, operation) == _read(field.without(), operation)


def _read(body: Json, operation: Operation) -> Any:
    assert operation.body is not None
    return msgspec.json.decode(msgspec.json.encode(body), type=operation.body)
