"""The access log: a line for a request, if it is worth one."""

import logging
import time
from typing import Literal, TypeAlias

from starlette.types import Scope

Access: TypeAlias = Literal["trouble", "all", "off"]

SLOW = 1.0
"""Seconds to an answer's beginning from which on it is trouble, unless the client asked it to wait."""

_REFUSED_EVERY = 1.0
"""Seconds between two lines of refused keys: whoever guesses them writes no log."""

_log = logging.getLogger("clew.access")


class AccessLog:
    """Writes lines of requests.

    Args:
        wanted: ``trouble`` is failed authentication, statuses from 500 on, and slow answers.
    """

    def __init__(self, wanted: Access = "trouble") -> None:
        self.wanted = wanted
        self._refused, self._refused_at = 0, -_REFUSED_EVERY

    def note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        """Note an answered request; called for every one, so what is no trouble ends in the first line.

        ``status`` is 0 if its client left before it was answered; ``seconds`` are those to the answer's
        beginning.
        """
        slow = seconds > SLOW and not _was_to_wait(scope)
        if not (status >= 500 or status == 401 or slow or self.wanted == "all") or self.wanted == "off":
            return
        access = scope.get("clew.access")
        fields = {
            "method": scope["method"],
            "route": scope.get("clew.route") or scope["path"][:200],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "project": scope.get("clew.project"),
            "key": access and access.name,
            "request_id": request_id,
            "client": scope["client"][0] if scope.get("client") else None,
        }
        if status == 401 and self.wanted != "all":
            self._refused += 1
            now = time.monotonic()
            if now - self._refused_at < _REFUSED_EVERY:
                return
            fields["refused_keys"], self._refused, self._refused_at = self._refused, 0, now
        level = logging.WARNING if status >= 500 or status == 401 or slow else logging.INFO
        said = f"{fields['method']} {fields['route']} {status or 'left'} in {fields['ms']} ms"
        _log.log(level, "%s", said, extra={"fields": fields})


def _was_to_wait(scope: Scope) -> bool:
    """Whether a client asked to be kept waiting, as helpers of OpenAI's clients do without saying so."""
    waits = b"wait=" in scope["query_string"]
    return waits or scope.get("clew.headers", {}).get(b"x-stainless-poll-helper") == b"true"
