"""A conversation at a glance."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct
from rich.table import Table
from rich.text import Text

from clew.toolkit.monitor.views import short
from clew.toolkit.records import Message, Run

_ROWS = 10
_SHOWN = 100


class ConversationSummary(Struct, frozen=True, kw_only=True):
    """Numbers and the latest messages. ``rich.print(summary)`` shows a table.

    Attributes:
        roles: how many messages each role wrote.
        runs: how many runs ended in (or are in) each status.
        prompt_tokens, completion_tokens: over all runs.
        first_at, last_at: when the first and the last message came, in Unix seconds; None without any.
        latest: the last messages, oldest first.
    """

    thread_id: str
    roles: dict[str, int]
    characters: int
    runs: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    first_at: int | None
    last_at: int | None
    latest: tuple[Message, ...]

    @property
    def messages(self) -> int:
        """Return how many messages there are."""
        return sum(self.roles.values())

    def __rich__(self) -> Table:
        table = Table(
            "", "when", "said", title=Text(f"Conversation {self.thread_id}"), caption=self._caption()
        )
        for message in self.latest:
            table.add_row(Text(message.role), _time(message.created_at), Text(short(message.text, _SHOWN)))
        return table

    def _caption(self) -> Text:
        roles = ", ".join(f"{count} by {role}" for role, count in self.roles.items())
        runs = ", ".join(f"{count} {status}" for status, count in self.runs.items()) or "none"
        return Text(
            f"{self.messages} messages ({roles or 'none'}), {self.characters} characters; runs: {runs}; "
            f"tokens: {self.prompt_tokens} in, {self.completion_tokens} out"
        )


def summarise(thread_id: str, messages: Sequence[Message], runs: Sequence[Run]) -> ConversationSummary:
    """Return a summary of a thread's messages and runs, both oldest first."""
    usages = [run.usage for run in runs if run.usage is not None]
    return ConversationSummary(
        thread_id=thread_id,
        roles=dict(Counter(message.role for message in messages)),
        characters=sum(len(message.text) for message in messages),
        runs=dict(Counter(run.status for run in runs)),
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        first_at=messages[0].created_at if messages else None,
        last_at=messages[-1].created_at if messages else None,
        latest=tuple(messages[-_ROWS:]),
    )


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
