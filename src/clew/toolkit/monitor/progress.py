"""What is known of a run so far. Events of a stream and answers to polls both end here, and whatever
is new in them, and only that, is told to the listeners.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from clew.toolkit._time import Time
from clew.toolkit.clients.sse import ServerEvent
from clew.toolkit.errors import RunError, ServerFault, StreamLost
from clew.toolkit.monitor.events import (
    Event,
    MessageWritten,
    RunResult,
    StatusChanged,
    StepChanged,
    TextDelta,
    TextRestarted,
    Timings,
)
from clew.toolkit.records import Message, Run, RunStatus, Step, Text
from clew.toolkit.tools.results import ToolResult

Listener = Callable[[Event], None]

_RUN, _STEP, _MESSAGE = "thread.run.", "thread.run.step.", "thread.message."


class _Piece(Struct, frozen=True):
    type: str = ""
    text: Text | None = None
    refusal: str | None = None


class _Delta(Struct, frozen=True):
    content: tuple[_Piece, ...] = ()


class _MessageDelta(Struct, frozen=True):
    id: str
    delta: _Delta


class _Trouble(Struct, frozen=True):
    message: str = ""
    code: str | None = None


class _Told:
    """What was told of one message's text, and what of it a repeated stream has yet to come past."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._behind = ""

    def begin_again(self) -> None:
        """Expect the text from its beginning."""
        self._behind = "".join(self._parts)

    def hear(self, text: str) -> tuple[str, bool]:
        """Return what of a piece is new, and whether the text isn't the one that was told before.

        It is another when a worker died and the next one asked the model again: then what is returned
        is all of it so far.
        """
        if self._behind.startswith(text):
            self._behind = self._behind[len(text) :]
            return "", False
        if text.startswith(self._behind):
            new, restarted = text[len(self._behind) :], False
        else:
            told = "".join(self._parts)
            new, restarted = told[: len(told) - len(self._behind)] + text, True
            self._parts = []
        self._parts.append(new)
        self._behind = ""
        return new, restarted


class Progress:
    """A run being followed."""

    def __init__(self, time: Time, listeners: tuple[Listener, ...]) -> None:
        self.run: Run | None = None
        self.calls: list[ToolResult] = []
        self.reconnects = 0
        self.tool_seconds = 0.0
        self._time = time
        self._begun = time.now()
        self._listeners = listeners
        self._steps: dict[str, Step] = {}
        self._messages: dict[str, Message] = {}
        self._states: list[tuple[str, float]] = []
        self._first_token: float | None = None
        self._repeating: int | None = None
        self._texts: dict[str, _Told] = {}

    @property
    def seconds(self) -> float:
        """Return the seconds since the run was asked for."""
        return self._time.now() - self._begun

    def tell(self, event: Event) -> None:
        """Tell the listeners."""
        for listener in self._listeners:
            listener(event)

    # --- what is new ---

    def saw_run(self, run: Run) -> None:
        """Take a run as it is now. An older view of a run that has ended changes nothing."""
        before = self.run.status if self.run is not None else None
        if self.run is not None and self.run.is_terminal and not run.is_terminal:
            return
        self.run = run
        if run.status != before:
            seconds = self.seconds
            self._states.append((run.status, seconds))
            self.tell(StatusChanged(run=run, before=before, seconds=seconds))

    def saw_step(self, step: Step) -> None:
        """Take a step as it is now."""
        known = self._steps.get(step.id)
        if known is not None and not known.is_open and step.is_open:
            return
        self._steps[step.id] = step
        if known is None or known.status != step.status:
            before = None if known is None else known.status
            self.tell(StepChanged(step=step, before=before, seconds=self.seconds))

    def saw_message(self, message: Message) -> None:
        """Take a message in its final form."""
        known = message.id in self._messages
        self._messages[message.id] = message
        if not known:
            self.tell(MessageWritten(message=message, seconds=self.seconds))

    def begin_again(self) -> None:
        """Expect a stream that repeats the run's events from the first: what is known stays untold."""
        self._repeating = -1 if self._states else None

    def saw_event(self, event: ServerEvent) -> None:
        """Take an event of a stream. Events of unknown names are for newer programs: ignored.

        Raises:
            ServerFault: the event is an error, sent in place of the run's own.
            StreamLost: the event's data isn't what its name says.
        """
        try:
            self._take(event)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StreamLost(f"The event {event.name} can't be read: {error}.") from error

    def _take(self, event: ServerEvent) -> None:
        name = event.name
        if name.endswith(".delta"):
            if name == "thread.message.delta":
                self._text(msgspec.json.decode(event.data, type=_MessageDelta))
            return
        if name == "thread.message.created":
            self._told(msgspec.json.decode(event.data, type=Message).id).begin_again()
        elif name in ("thread.message.completed", "thread.message.incomplete"):
            self.saw_message(msgspec.json.decode(event.data, type=Message))
        elif name.startswith(_STEP):
            self.saw_step(msgspec.json.decode(event.data, type=Step))
        elif name.startswith(_RUN):
            run = msgspec.json.decode(event.data, type=Run)
            if not self._is_repeated(run.status):
                self.saw_run(run)
        elif name == "error":
            trouble = msgspec.json.decode(event.data, type=_Trouble)
            raise ServerFault(trouble.message or "The stream ended with an error.", status=500)

    def _text(self, delta: _MessageDelta) -> None:
        parts = (piece.text.value if piece.text else piece.refusal for piece in delta.delta.content)
        told = self._told(delta.id)
        text, restarted = told.hear("".join(part for part in parts if part))
        if restarted:
            self.tell(TextRestarted(message_id=delta.id, seconds=self.seconds))
        if not text:
            return
        if self._first_token is None:
            self._first_token = self.seconds
        self.tell(TextDelta(message_id=delta.id, text=text, seconds=self.seconds))

    def _told(self, message_id: str) -> "_Told":
        return self._texts.setdefault(message_id, _Told())

    def _is_repeated(self, status: str) -> bool:
        """Return whether a state was told before, in a stream that begins again."""
        if self._repeating is None:
            return False
        states = [state for state, _ in self._states]
        following = self._repeating + 1
        if self._repeating >= 0 and status == states[self._repeating]:
            return True
        if following < len(states) and status == states[following]:
            self._repeating = following
            return True
        if self._repeating < 0:
            return True  # from before the first state that was told
        self._repeating = None
        return False

    # --- what is known ---

    @property
    def last_closed_step(self) -> str | None:
        """Return the id of the last step before which nothing can change any more."""
        closed = None
        for step in self._steps.values():
            if step.is_open:
                break
            closed = step.id
        return closed

    @property
    def is_whole(self) -> bool:
        """Return whether the events so far told of everything, so that nothing need be read again."""
        return bool(self._steps) and not any(step.is_open for step in self._steps.values())

    def result(self, failure: RunError | None = None) -> RunResult:
        """Return what is known now, and why it was left if it was. There must have been a run."""
        assert self.run is not None
        begun = next((seconds for status, seconds in self._states if status == RunStatus.IN_PROGRESS), None)
        return RunResult(
            run=self.run,
            steps=tuple(self._steps.values()),
            messages=tuple(self._messages.values()),
            calls=tuple(self.calls),
            states=tuple(self._states),
            timings=Timings(
                queue=begun,
                first_token=self._first_token,
                tools=self.tool_seconds,
                total=self._states[-1][1] if self._states else 0.0,
            ),
            reconnects=self.reconnects,
            failure=failure,
        )
