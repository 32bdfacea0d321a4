"""Public ids and secrets. Only this module reads the machine's randomness.

Ids are a type prefix and 24 letters or digits, as both services make them. They are unguessable
enough never to collide, but they are not secrets: every access also checks the project.
"""

import os
import secrets
from collections import deque
from hashlib import sha256
from typing import Protocol

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BYTE_TO_CHARACTER = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))
_LENGTH, _AT_ONCE = 24, 64

AGENT, THREAD, MESSAGE, RUN, STEP, CALL = "asst_", "thread_", "msg_", "run_", "step_", "call_"
WORKER = "worker_"
FILE, VECTOR_STORE, FILE_BATCH = "file-", "vs_", "vsfb_"


class Ids(Protocol):
    """A source of ids. Tests give one that counts."""

    def new(self, prefix: str) -> str:
        """Return a new id that starts with ``prefix``."""
        ...

    def derived(self, prefix: str, *parts: str) -> str:
        """Return the id that starts with ``prefix`` and follows from ``parts``: always the same."""
        ...


class RandomIds:
    """Ids from the operating system's randomness (142 bits each). Any thread may ask for one.

    Asking the system takes as long for sixty-four as for one (7 microseconds), and a turn needs five.
    """

    def __init__(self) -> None:
        self._ready: deque[str] = deque()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._ready.clear)  # a child must not use its parent's

    def new(self, prefix: str) -> str:
        while True:
            try:
                return prefix + self._ready.popleft()
            except IndexError:
                text = os.urandom(_LENGTH * _AT_ONCE).translate(_BYTE_TO_CHARACTER).decode("ascii")
                self._ready.extend(text[at : at + _LENGTH] for at in range(0, len(text), _LENGTH))

    def derived(self, prefix: str, *parts: str) -> str:
        digest = sha256("/".join(parts).encode()).digest()
        return prefix + digest[:_LENGTH].translate(_BYTE_TO_CHARACTER).decode("ascii")


def new_api_key() -> str:
    """Return a new API key: ``clew_`` and 43 characters that hold 256 random bits."""
    return "clew_" + secrets.token_urlsafe(32)


def new_nonce(size: int) -> bytes:
    """Return bytes that were never used before."""
    return secrets.token_bytes(size)


def new_secret_key() -> str:
    """Return a new secret for an installation: 43 characters that hold 256 random bits."""
    return secrets.token_urlsafe(32)
