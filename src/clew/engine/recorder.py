"""Records one turn of the model as it comes, and tells the run's readers."""

from clew.bus.events import CallDelta as CallPiece
from clew.bus.events import Events, RunEvent, Subject
from clew.bus.events import TextDelta as TextPiece
from clew.clock import Clock
from clew.core import turns
from clew.core.records import Call, Run, Turn, Usage
from clew.ids import CALL, MESSAGE, STEP, Ids
from clew.model.chat import CallDelta, Chunk, Finished, RefusalDelta, TextDelta


class TurnRecorder:
    """One turn under way.

    Readers see openings and pieces at once. What lasts, such as a completed message, they see after
    its commit. A call that follows text therefore stays unheard until the text's message is
    committed (:meth:`open_tools`), because messages and steps are closed before the next is opened.
    """

    def __init__(self, run: Run, *, ids: Ids, clock: Clock, events: Events) -> None:
        self._run, self._ids, self._clock, self._events = run, ids, clock, events
        self._blank = Turn(
            number=run.turns + 1,
            message_id=ids.new(MESSAGE),
            message_step_id=ids.new(STEP),
            tools_step_id=ids.new(STEP),
            started_at=clock.now(),
        )
        self._first_token_at: int | None = None
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[tuple[str, str, list[str]]] = []
        self._finished: Finished | None = None
        self._message_open = False
        self._tools_open = False
        self._held: list[CallPiece] = []

    def add(self, chunk: Chunk) -> None:
        """Record a chunk."""
        if self._first_token_at is None:
            self._first_token_at = self._clock.now()
        match chunk:
            case TextDelta(text):
                self._add_text(text, self._text, refusal=False)
            case RefusalDelta(text):
                self._add_text(text, self._refusal, refusal=True)
            case CallDelta():
                self._add_call(chunk)
            case Finished():
                self._finished = chunk

    def turn(self) -> Turn:
        """Return what has been recorded so far."""
        return Turn(
            number=self._blank.number,
            message_id=self._blank.message_id,
            message_step_id=self._blank.message_step_id,
            tools_step_id=self._blank.tools_step_id,
            started_at=self._blank.started_at,
            first_token_at=self._first_token_at,
            text="".join(self._text) if self._text else None,
            refusal="".join(self._refusal) if self._refusal else None,
            calls=tuple(
                Call(id=call_id, name=name, arguments="".join(pieces))
                for call_id, name, pieces in self._calls
            ),
            finish_reason=self._finished.reason if self._finished else None,
            usage=self._finished.usage if self._finished else Usage(),
        )

    def open_message(self) -> None:
        """Announce the message, unless it has been."""
        if self._message_open:
            return
        self._message_open = True
        if not self._events.wanted(self._run.id):
            return
        step, message = turns.opened_message(self._run, self.turn())
        self._publish("run.step.created", step)
        self._publish("run.step.in_progress", step)
        self._publish("message.created", message)
        self._publish("message.in_progress", message)

    def open_tools(self) -> None:
        """Announce the step of tool calls with the pieces held back, unless it has been."""
        if not self._calls or self._tools_open:
            return
        self._tools_open = True
        if self._events.wanted(self._run.id):
            step = turns.opened_tools(self._run, self.turn())
            self._publish("run.step.created", step)
            self._publish("run.step.in_progress", step)
        for piece in self._held:
            self._publish("run.step.delta", piece)
        self._held.clear()

    def _add_text(self, text: str, pieces: list[str], *, refusal: bool) -> None:
        if self._calls:
            return  # a message closes before tools are called; what is said after that is not kept
        self.open_message()
        part = 1 if refusal and self._text else 0
        piece = TextPiece(self._blank.message_id, text, part, first=not pieces, refusal=refusal)
        pieces.append(text)
        self._publish("message.delta", piece)

    def _add_call(self, chunk: CallDelta) -> None:
        if chunk.index == len(self._calls):
            call_id = self._ids.new(CALL)  # our own: models repeat theirs within a thread
            self._calls.append((call_id, chunk.name or "", []))
            self._tell(CallPiece(self._blank.tools_step_id, chunk.index, call_id, chunk.name or ""))
        if chunk.arguments:
            self._calls[chunk.index][2].append(chunk.arguments)
            self._tell(CallPiece(self._blank.tools_step_id, chunk.index, arguments=chunk.arguments))

    def _tell(self, piece: CallPiece) -> None:
        if self._tools_open:
            self._publish("run.step.delta", piece)
            return
        self._held.append(piece)
        if not self._message_open:
            self.open_tools()

    def _publish(self, name: str, subject: Subject) -> None:
        self._events.publish(self._run.id, RunEvent(name, subject))
