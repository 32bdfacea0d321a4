"""How long a conversation may get, and how long it is: by what the model's endpoint counted."""

import warnings
from collections.abc import Callable, Iterable

from msgspec import Struct

from clew.toolkit.errors import ConversationTooLong, ConversationWarning
from clew.toolkit.monitor.events import RunResult
from clew.toolkit.records import Message

_CHARACTERS_PER_TOKEN = 3.0
"""A careful guess until the endpoint has counted something: most text has about four."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long a conversation may get; None means no limit.

    Attributes:
        tokens: the model's context, such as 8192: what a run's prompt and answer may have together.
        messages: in the thread.
        message_characters: in one message.
        warn_at: the share of ``tokens`` or ``messages`` at which to warn, between 0 and 1.
    """

    tokens: int | None = None
    messages: int | None = None
    message_characters: int | None = 256_000
    warn_at: float = 0.8


NO_LIMITS = Limits()


def warn(message: str) -> None:
    """Warn with a :class:`~clew.toolkit.errors.ConversationWarning`."""
    warnings.warn(message, ConversationWarning, stacklevel=2)


class Meter:
    """Knows how long a conversation is, and says so in time.

    The tokens of the last model call are the truth; what came after it is estimated from the ratio
    of characters to tokens that this conversation has shown.
    """

    def __init__(self, limits: Limits, on_warning: Callable[[str], object] = warn) -> None:
        self.limits = limits
        self._on_warning = on_warning
        self._context = 0
        self._characters = 0
        self._messages = 0
        self._pending = 0
        self._ratio = _CHARACTERS_PER_TOKEN
        self._warned: set[str] = set()

    @property
    def tokens(self) -> int:
        """Return how many tokens the next prompt will have, about."""
        return self._context + round(self._pending / self._ratio)

    @property
    def messages(self) -> int:
        """Return how many messages there are."""
        return self._messages

    def begin(self, messages: Iterable[Message]) -> None:
        """Start from messages that are there already."""
        for message in messages:
            self.added(message.text)

    def added(self, text: str) -> None:
        """Count a message."""
        self._messages += 1
        self._characters += len(text)
        self._pending += len(text)

    def ran(self, result: RunResult) -> None:
        """Count what a run wrote, and learn from what its model calls took."""
        for message in result.messages:
            self.added(message.text)
        usage = next((step.usage for step in reversed(result.steps) if step.usage is not None), None)
        if usage is None and len(result.steps) <= 1:
            usage = result.run.usage
        if usage is None or usage.total_tokens == 0:
            return
        self._context, self._pending = usage.total_tokens, 0
        self._ratio = max(1.0, self._characters / usage.total_tokens)

    def check(self, text: str) -> None:
        """Check that a message may be added; warn when the end is near.

        Raises:
            ConversationTooLong: it may not.
        """
        most = self.limits.message_characters
        if most is not None and len(text) > most:
            raise ConversationTooLong(f"The message has {len(text)} characters; {most} are allowed.")
        self._check("messages", self._messages + 1, self.limits.messages)
        self._check("tokens", self.tokens + round(len(text) / self._ratio), self.limits.tokens)

    def _check(self, what: str, count: int, most: int | None) -> None:
        if most is None:
            return
        if count > most:
            raise ConversationTooLong(f"The conversation would have {count} {what}; {most} are allowed.")
        if count >= most * self.limits.warn_at and what not in self._warned:
            self._warned.add(what)
            self._on_warning(
                f"The conversation has {count} of at most {most} {what}: summarise it and start a new "
                "one, or branch from a later message."
            )
