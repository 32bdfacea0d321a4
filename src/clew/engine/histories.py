"""What models were told of long threads, kept between turns: a turn reads only what is new.

The database stays the truth. With the new messages comes how many the thread shows at that moment: if that
is not what is known and what is new, something was deleted, and the thread is read anew.
"""

from collections import OrderedDict
from collections.abc import Sequence

from clew.core.records import Message
from clew.engine.prompt import Told, told
from clew.store import messages
from clew.store.database import Database

_AT_ONCE = 20
"""Up to so many messages are read at once and not kept; more are read beside the event loop."""

_NEW = 100
"""More new messages than this are not read at once: the thread is read anew, beside the event loop."""

_MOST_TOKENS = 8_000_000
"""Of all that is kept, some 64 MB. What was longest not asked for goes first."""


def as_told(found: Sequence[Message]) -> list[Told]:
    """Return messages as a model is told them, without those that say nothing."""
    return [each for message in found if (each := told(message)) is not None]


class _Kept:
    """A thread's messages up to one of them."""

    __slots__ = ("last_id", "seq", "tokens", "told", "visible")

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.last_id, self.seq, self.visible, self.tokens = "", 0, 0, 0

    def extend(self, found: messages.Numbered) -> None:
        """Add messages that follow on what is kept."""
        new = as_told(found.messages)
        self.told += new
        self.tokens += sum(each.tokens for each in new)
        self.visible = found.visible
        if found.messages:
            self.last_id, self.seq = found.messages[-1].id, found.seqs[-1]

    def follows(self, found: messages.Numbered) -> bool:
        """Whether what was found begins with the last message kept and nothing before it was deleted."""
        if not found.messages or found.messages[0].id != self.last_id:
            return False
        return found.visible - self.visible == len(found.messages) - 1


class Histories:
    """The histories that this process's models are told.

    Args:
        most_tokens: how much is kept, in tokens as prompts estimate them.
    """

    def __init__(self, db: Database, *, most_tokens: int = _MOST_TOKENS) -> None:
        self._db, self._most = db, most_tokens
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._tokens = 0

    async def before(self, thread_id: str, run_id: str, limit: int | None) -> Sequence[Told]:
        """Return the thread's newest ``limit`` messages (None: all), oldest first, less those of one run."""
        if thread_id not in self._kept:
            first = _AT_ONCE if limit is None else min(limit, _AT_ONCE)
            newest = await self._db.fetch(messages.newest, thread_id, first, except_run=run_id)
            if len(newest) == first != limit and limit is not None:
                newest = await self._db.scan(messages.newest, thread_id, limit, except_run=run_id)
            if limit is not None or len(newest) < first:
                return as_told(newest)
        known = await self._known(thread_id)
        others = [each for each in known.told if each.run_id != run_id]
        return others if limit is None else others[-limit:]

    async def _known(self, thread_id: str) -> _Kept:
        """Return all of a thread, of which as much as possible was known before."""
        kept = self._kept.pop(thread_id, None)
        if kept is not None:
            self._tokens -= kept.tokens
            found = await self._db.fetch(messages.since, thread_id, kept.seq, _NEW)
            if len(found.messages) < _NEW and kept.follows(found):
                kept.extend(messages.Numbered(found.visible, found.seqs[1:], found.messages[1:]))
                return self._keep(thread_id, kept)
        kept = _Kept()
        kept.extend(await self._db.scan(messages.since, thread_id, 0, None))
        return self._keep(thread_id, kept)

    def _keep(self, thread_id: str, kept: _Kept) -> _Kept:
        if (other := self._kept.pop(thread_id, None)) is not None:  # two turns of one thread, by turns
            self._tokens -= other.tokens
        self._kept[thread_id] = kept
        self._tokens += kept.tokens
        while self._tokens > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._tokens -= oldest.tokens
        return kept
