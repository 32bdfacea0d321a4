"""Idempotency keys: how a client says that a request is the one it has sent before.

The key is ``Idempotency-Key``, or ``x-ms-client-request-id``, which azure-core keeps the same over all
retries of one call. Azure's id also serves to correlate calls: only for a while, and unchanged, is it a
retry.
"""

from functools import partial
from hashlib import sha256
from typing import Any

import msgspec

from clew.http.call import Call
from clew.service.once import Key
from clew.wire.errors import invalid

LONGEST_KEY = 256
_RETRY_WINDOW = 10 * 60 * 1000
"""Milliseconds in which Azure's client may still be retrying one call."""

_encode = msgspec.json.Encoder().encode


def key_of(call: Call[Any]) -> Key | None:
    """Return the key of a request, None if it has none.

    Raises:
        ApiError: it is too long.
    """
    if not (b"idempotency-key" in call.headers or b"x-ms-client-request-id" in call.headers):
        return None
    given = call.header(b"idempotency-key")
    retried = call.header(b"x-ms-client-request-id")
    if not given and not retried:
        return None
    if any(key is not None and len(key) > LONGEST_KEY for key in (given, retried)):
        raise invalid(f"An idempotency key may have at most {LONGEST_KEY} characters.")
    fingerprint = partial(_fingerprint, call)
    if given:
        return Key(value=given, fingerprint=fingerprint)
    return Key(value=retried or "", fingerprint=fingerprint, window=_RETRY_WINDOW)


def _fingerprint(call: Call[Any]) -> str:
    asked = (call.operation, sorted(call.path.items()), call.body)
    return sha256(_encode(asked)).hexdigest()
