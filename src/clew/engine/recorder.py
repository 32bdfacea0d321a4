"""Records one turn of the model as it comes, and tells the run's readers."""

from clew.bus.events import Events
from clew.clock import Clock
from clew.core import turns
from clew.core.journal import (
    CallPiece,
    Entry,
    Subject,
    TextPiece,
    message_opening,
    opened_message,
    opened_step,
    tools_opening,
)
from clew.core.records import Call, Run, Turn, Usage
from clew.ids import CALL, MESSAGE, STEP, Ids
from clew.model.chat import CallDelta, ChatRequest, Chunk, Finished, RefusalDelta, TextDelta, estimate


class TurnRecorder:
    """One turn under way.

    Readers see openings and pieces at once. What lasts, such as a completed message, they see after
    its commit. Calls that follow text therefore stay unheard until then: messages and steps are
    closed before the next is opened.

    The ids of what a turn brings follow from the run and the turn's number. A turn that is made again
    after a crash brings the same ids, so nothing can be there twice, and readers who had begun to
    read the first attempt see the second one replace it.
    """

    def __init__(self, run: Run, *, ids: Ids, clock: Clock, events: Events) -> None:
        self._run, self._ids, self._clock, self._events = run, ids, clock, events
        number = run.turns + 1
        self._number = str(number)
        self._blank = Turn(
            number=number,
            message_id=ids.derived(MESSAGE, run.id, self._number, "message"),
            message_step_id=ids.derived(STEP, run.id, self._number, "message step"),
            tools_step_id=ids.derived(STEP, run.id, self._number, "tools step"),
            started_at=clock.now(),
        )
        self._first_token_at: int | None = None
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[tuple[str, str, list[str]]] = []
        self._finished: Finished | None = None
        self._request: ChatRequest | None = None
        self.position = run.position
        """Where the run's journal ends for its readers."""

    def add(self, chunk: Chunk) -> None:
        """Record a chunk."""
        if self._first_token_at is None:
            self._first_token_at = self._clock.now()
        match chunk:
            case TextDelta(text):
                refused = bool(self._refusal and not self._text)  # what follows a refusal belongs to it
                self._add_text(text, self._refusal if refused else self._text, refusal=refused)
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
            usage=self._usage(),
        )

    def asked(self, request: ChatRequest) -> None:
        """Remember what the model was asked, to tell what an answer that is broken off has cost."""
        self._request = request

    def _usage(self) -> Usage:
        """Return what the model counted; of an answer that was broken off, an estimate."""
        if self._finished is not None:
            return self._finished.usage
        if self._request is None or self._first_token_at is None:
            return Usage()
        said = [*self._text, *self._refusal, *(piece for call in self._calls for piece in call[2])]
        return estimate(self._request, sum(map(len, said)))

    @property
    def _speaking(self) -> bool:
        return bool(self._text or self._refusal)

    def _add_text(self, text: str, pieces: list[str], *, refusal: bool) -> None:
        if self._calls:
            return  # a message closes before tools are called; what is said after that is not kept
        if not self._speaking:
            self._open_message()
        part = 1 if refusal and self._text else 0
        piece = TextPiece(self._blank.message_id, text, part, first=not pieces, refusal=refusal)
        pieces.append(text)
        self._tell("message.delta", piece)

    def _add_call(self, chunk: CallDelta) -> None:
        if chunk.index > 0 and not self._run.config.parallel_tool_calls:
            return  # the model was asked for one call at a time; it can ask for the next one later
        silent = self._speaking
        if chunk.index == len(self._calls):
            if not self._calls and not silent:
                self._open_tools()
            call_id = self._ids.derived(CALL, self._run.id, self._number, str(chunk.index))
            self._calls.append((call_id, chunk.name or "", []))
            if not silent:
                piece = CallPiece(self._blank.tools_step_id, chunk.index, call_id, chunk.name or "")
                self._tell("run.step.delta", piece)
        if chunk.arguments:
            self._calls[chunk.index][2].append(chunk.arguments)
            if not silent:
                piece = CallPiece(self._blank.tools_step_id, chunk.index, arguments=chunk.arguments)
                self._tell("run.step.delta", piece)

    def _open_message(self) -> None:
        turn = self.turn()
        step = opened_step(turns.message_step(self._run, turn, 0, Usage()))
        message = opened_message(turns.message(self._run, turn, 0))
        self._publish(message_opening(self.position + 1, step, message))

    def _open_tools(self) -> None:
        step = turns.tools_step(self._run, self.turn(), [])
        self._publish(tools_opening(self.position + 1, step))

    def _tell(self, name: str, piece: Subject) -> None:
        self._publish([Entry(self.position + 1, name, piece)])

    def _publish(self, entries: list[Entry]) -> None:
        self.position = entries[-1].end
        self._events.publish(self._run.id, entries)
