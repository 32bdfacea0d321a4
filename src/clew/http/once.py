"""Idempotent POST: a request that is sent again, with the same key, is answered but not done again.

The key is ``Idempotency-Key``, or ``x-ms-client-request-id``, which azure-core keeps the same over all
retries of one call. The answer is kept in the transaction of what it answers, so a client whose
connection broke at the worst moment may safely ask again.
"""

from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from clew.http.call import Call
from clew.store import idempotency
from clew.store.idempotency import Answer
from clew.store.statement import Transaction
from clew.wire.errors import invalid

R = TypeVar("R")
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode

LONGEST_KEY = 256
_RETRY_WINDOW = 10 * 60 * 1000
"""Milliseconds in which Azure's client may still be retrying one call."""


class Done(Struct, Generic[R, T], frozen=True):
    """What became of a request: its receipt, and the result if it was really done now."""

    receipt: R
    result: T | None


async def once(
    call: Call[Any],
    function: Callable[[Transaction], Coroutine[Any, Any, T]],
    receipt: Callable[[T], R],
    kind: type[R],
) -> Done[R, T]:
    """Run a store function and keep a receipt of its result, unless that has been done before.

    Raises:
        ApiError: the key was used for another request.
    """
    key = _key(call)
    if key is None:
        result = await call.services.db.write(function)
        return Done(receipt(result), result)

    async def keep_receipt(tx: Transaction) -> Done[R, T]:
        fingerprint = _fingerprint(call)
        before = await idempotency.given(tx, call.project, key)
        if before is not None and _is_repeated(call, before, fingerprint):
            return Done(msgspec.json.decode(before.body, type=kind), None)
        await tx.begin()
        result = await function(tx)
        made = receipt(result)
        body = _encode(made).decode()
        answer = Answer(
            project=call.project, key=key, fingerprint=fingerprint, created_at=call.now, body=body
        )
        await idempotency.keep(tx, answer)
        return Done(made, result)

    return await call.services.db.write(keep_receipt)


def _is_repeated(call: Call[Any], before: Answer, fingerprint: str) -> bool:
    """Azure's id also serves to correlate calls: only for a while, and unchanged, is it a retry."""
    if call.headers.get("idempotency-key") is None:
        return before.fingerprint == fingerprint and call.now - before.created_at <= _RETRY_WINDOW
    if before.fingerprint != fingerprint:
        raise invalid(
            f"The idempotency key '{before.key}' was used for another request. Use a new key for each.",
            code="idempotency_key_reused",
        )
    return True


def _key(call: Call[Any]) -> str | None:
    keys = [call.headers.get("idempotency-key"), call.headers.get("x-ms-client-request-id")]
    if any(key is not None and len(key) > LONGEST_KEY for key in keys):
        raise invalid(f"An idempotency key may have at most {LONGEST_KEY} characters.")
    return keys[0] or keys[1]


def _fingerprint(call: Call[Any]) -> str:
    asked = (call.operation, sorted(call.path.items()), call.body)
    return sha256(_encode(asked)).hexdigest()
