"""What makes a message on the bus this installation's own.

Whoever reaches a bus can publish there. So each message begins with a tag over its subject, where answers are
to go, and itself, made with a key that comes from the installation's secret: one that was forged, altered, or
copied to another subject is found out and dropped (decision 22). Keyed BLAKE2b: a microsecond for a piece of
text, where HMAC-SHA256 takes two.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable

from clew.vault import derived

TAG = 16
"""Bytes that a message is longer on the bus."""

_PERSON = b"clew bus"
_SAID_EVERY = 60.0
"""Seconds between two lines in the log about what was dropped."""

_log = logging.getLogger(__name__)


class Seal:
    """Tags messages, and checks tags.

    Args:
        secret: the installation's; every process on the bus has the same.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = derived(secret, _PERSON)

    def close(self, subject: str, payload: bytes, reply: str = "") -> bytes:
        """Return a message as it goes over the bus; ``reply`` is the subject that answers are to go to."""
        return self._tag(subject, reply, payload) + payload

    def open(self, subject: str, data: bytes, reply: str = "") -> bytes | None:
        """Return the payload of what came in on a subject; None if it is not one of ours for just that."""
        payload = data[TAG:]
        return payload if hmac.compare_digest(self._tag(subject, reply, payload), data[:TAG]) else None

    def _tag(self, subject: str, reply: str, payload: bytes) -> bytes:
        # Subjects hold no NUL, so where they end is part of what is tagged. Without the other one, whoever
        # sends a question again could have its answer, with a good tag, go to a subject of his choice.
        told = b"%b\0%b\0%b" % (subject.encode(), reply.encode(), payload)
        return hashlib.blake2b(told, key=self._key, digest_size=TAG).digest()


class Dropped:
    """Counts the messages that were not ours, and says so once a minute at most.

    Args:
        now: tells the time, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._quiet_until = float("-inf")
        self._said = 0
        self.count = 0
        """Messages that were dropped since this process began."""

    def add(self, subject: str) -> None:
        """Count one."""
        self.count += 1
        if self._now() < self._quiet_until:
            return
        _log.warning(
            "the bus carries messages that no process of this installation has sent, or that were altered: "
            "%d dropped, the last of them on %.100s. Either somebody else can write to the bus, or a process "
            "has another CLEW_SECRET_KEY",
            self.count - self._said,
            subject,
        )
        self._quiet_until = self._now() + _SAID_EVERY
        self._said = self.count
