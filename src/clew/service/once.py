"""Doing things once: what is asked again, with the same key, is answered but not done again.

The receipt of what was done - core's records, from which a wire makes the same bytes again - is kept in
the transaction of what it answers, so a client whose connection broke at the worst moment may safely ask
again.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from clew.core.errors import KeyReused
from clew.service.context import Services
from clew.store import idempotency
from clew.store.idempotency import Answer
from clew.store.statement import Transaction

R = TypeVar("R")
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Key(Struct, frozen=True, kw_only=True):
    """What a client's request is known by when it comes again."""

    value: str
    fingerprint: Callable[[], str]
    """Tells what is asked: the same for the same request, another for another. Called only if needed."""
    window: int | None = None
    """Milliseconds in which the key makes a repetition, where it serves other purposes too: then another
    request is simply another. None: for as long as answers are kept, and for this request alone."""


class Done(Struct, Generic[R, T], frozen=True):
    """What became of a request: its receipt, and the result if it was really done now."""

    receipt: R
    result: T | None


async def once(
    services: Services,
    project: str,
    key: Key | None,
    function: Callable[[Transaction], Coroutine[Any, Any, T]],
    receipt: Callable[[T], R],
    kind: type[R],
) -> Done[R, T]:
    """Run a store function and keep a receipt of its result, unless that has been done before.

    Raises:
        KeyReused: the key was used for another request.
    """
    if key is None:
        result = await services.db.write(function)
        return Done(receipt(result), result)
    now = services.process.clock.now()

    async def keep_receipt(tx: Transaction) -> Done[R, T]:
        fingerprint = key.fingerprint()
        before = await idempotency.given(tx, project, key.value)
        if before is not None and _is_repeated(key, fingerprint, now, before):
            return Done(msgspec.json.decode(before.body, type=kind), None)
        await tx.begin()
        result = await function(tx)
        made = receipt(result)
        body = _encode(made).decode()
        await idempotency.keep(
            tx, Answer(project=project, key=key.value, fingerprint=fingerprint, created_at=now, body=body)
        )
        return Done(made, result)

    return await services.db.write(keep_receipt)


def _is_repeated(key: Key, fingerprint: str, now: int, before: Answer) -> bool:
    same = before.fingerprint == fingerprint
    if key.window is not None:
        return same and now - before.created_at <= key.window
    if not same:
        raise KeyReused(key.value)
    return True
