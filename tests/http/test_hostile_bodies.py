"""Bodies that are made to cost: each is refused or taken, and nobody else waits for it."""

import gc
import random
from collections.abc import Iterator

import httpx2
import pytest

from clew.http import json_bodies
from clew.http.endpoint import BODY_LIMIT, LONG_BODY_LIMIT
from clew.http.json_bodies import DEEPEST, MOST_PARTS, look_through
from clew.http.operations import OPERATIONS, Operation
from clew.wire.errors import ApiError
from tests.attacks.bodies import NASTY
from tests.support.api import Api
from tests.support.operations import World
from tests.support.server import Server
from tests.support.slices import watched
from tests.support.wait import until

LONGEST_SLICE = 0.1
"""Seconds for which a loop may be busy at once."""

WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None]


def _send(http: httpx2.Client, server: Server, api: Api, path: str, body: bytes) -> int:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    return http.post(f"{server.url}/v1{path}", content=body, headers=headers).status_code


@pytest.mark.parametrize("kind", NASTY)
def test_no_body_of_any_size_keeps_others_waiting(
    http: httpx2.Client, server: Server, api: Api, world: World, kind: str
) -> None:
    with watched(server.loop) as slices:
        for operation in WITH_BODY:
            for size in (64 * 1024, LONG_BODY_LIMIT if operation.long_body else BODY_LIMIT):
                body = NASTY[kind](size - 200)
                status = _send(http, server, api, world.path(operation), body)
                assert status in (200, 400, 404, 413), (operation.name, size, status)
    assert slices.longest < LONGEST_SLICE


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_a_body_has_its_limit(
    http: httpx2.Client, server: Server, api: Api, world: World, operation: Operation
) -> None:
    most = LONG_BODY_LIMIT if operation.long_body else BODY_LIMIT
    for size, statuses in ((most, (200, 400, 404)), (most + 1, (413,))):
        body = b"{" + b" " * (size - 2) + b"}"
        assert _send(http, server, api, world.path(operation), body) in statuses


def test_a_refused_body_is_freed_at_once(http: httpx2.Client, server: Server, api: Api) -> None:
    """Not only when garbage is collected next: that is rarely, and every body has megabytes."""
    gc.collect()
    gc.disable()
    try:
        for body in (b"[" * BODY_LIMIT, b"{", b'{"surprise": 1}'):
            assert _send(http, server, api, "/threads", body) == 400
        until(lambda: not any(isinstance(each, ApiError) for each in gc.get_objects()))
    finally:
        gc.enable()


async def _is_taken(body: bytes) -> bool:
    try:
        await look_through(body)
    except ApiError:
        return False
    return True


@pytest.mark.anyio
async def test_depth_and_parts_are_counted_outside_of_texts() -> None:
    deep = b"[" * DEEPEST + b"]" * DEEPEST
    text = b'"' + b"[" * 1000 + b'\\"' + b"{" * 1000 + b'"'
    wide = b" " * json_bodies._SMALL
    for body, taken in (
        (deep, True),
        (b"[" + deep + b"]", False),
        (b"[" + text + b"]", True),
        (wide + deep, True),
        (wide + b"[" + deep + b"]", False),
        (wide + b"[" + b",".join([b'""'] * (MOST_PARTS // 2)) + b"]", False),
        (wide + b"[" + b",".join([b'""'] * (MOST_PARTS // 2 - 1)) + b"]", True),
        (wide + text * 90, True),
    ):
        assert await _is_taken(body) is taken, body[-80:]


def _counted(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield depth and parts after each byte, slowly and plainly."""
    depth = parts = 0
    in_text = escaped = False
    for byte in body.decode("latin-1"):
        if in_text:
            escaped, in_text = not escaped and byte == "\\", escaped or byte != '"'
        elif byte in '"[]{},':
            parts += 1
            depth += (byte in "[{") - (byte in "]}")
            in_text = byte == '"'
        yield depth, parts


def test_it_looks_as_a_plain_reader_would(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = random.Random(7)
    for _ in range(5_000):
        body = bytes(choose.choices(b'"\\[]{},a ', k=choose.randrange(60)))
        deepest, parts = choose.randrange(1, 6), choose.randrange(1, 30)
        for name, value in (("_SLICE", 7), ("DEEPEST", deepest), ("MOST_PARTS", parts)):
            monkeypatch.setattr(json_bodies, name, value)
        taken = all(depth <= deepest and count <= parts for depth, count in _counted(body))
        try:
            for _ in json_bodies._slices(body):
                pass
        except ApiError:
            assert not taken, body
        else:
            assert taken, body
