"""What is wrong with a body is always found, and named: whatever the decoder refuses has a fault."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.http.operations import OPERATIONS
from clew.wire import requests
from clew.wire.explain import explain
from tests.support.samples import fields, objects, put, taken

REQUESTS = sorted({each.body for each in OPERATIONS if each.body is not None}, key=lambda each: each.__name__)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ANY = settings(derandomize=True, deadline=None, max_examples=60)


def _check(request: type[requests.Request], body: Any) -> None:
    encoded = msgspec.json.encode(body)
    try:
        msgspec.json.decode(encoded, type=request)
    except msgspec.ValidationError:
        error = explain(request, encoded)
        assert error.status == 400
        assert error.body.type == "invalid_request_error"
        assert error.body.code is not None, f"nobody knows what is wrong with {body}"


@pytest.mark.parametrize("request_type", REQUESTS, ids=lambda each: each.__name__)
def test_whatever_stands_in_a_field_its_fault_is_named(request_type: type[requests.Request]) -> None:
    every = list(fields(request_type))

    @ANY
    @given(field=st.sampled_from(every), value=JSON)
    def check(field: Any, value: Any) -> None:
        _check(request_type, put(field.body, field.steps, value))

    check()


@pytest.mark.parametrize("request_type", REQUESTS, ids=lambda each: each.__name__)
def test_whatever_stands_in_an_object_its_fault_is_named(request_type: type[requests.Request]) -> None:
    every = list(objects(request_type))

    @ANY
    @given(place=st.sampled_from(every), more=st.dictionaries(st.text(max_size=6), JSON, max_size=2))
    def check(place: Any, more: dict[str, Any]) -> None:
        body, steps = place
        _check(request_type, put(body, steps, {**taken(body, steps), **more}))

    check()


@pytest.mark.parametrize("request_type", REQUESTS, ids=lambda each: each.__name__)
@ANY
@given(body=JSON)
def test_whatever_is_sent_its_fault_is_named(request_type: type[requests.Request], body: Any) -> None:
    _check(request_type, body)


def test_the_first_fault_is_the_one_that_is_named() -> None:
    body = b'{"model": "m", "tools": [{"type": "function", "function": {"name": ""}}], "temperature": 9}'
    error = explain(requests.CreateAgent, body)
    assert error.body.param == "tools[0].function.name"


def test_a_value_that_is_long_is_not_repeated_whole() -> None:
    error = explain(requests.CreateMessage, msgspec.json.encode({"role": "x" * 10_000, "content": "x"}))
    assert len(error.body.message) < 400
