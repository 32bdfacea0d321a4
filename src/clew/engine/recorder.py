"""Records one turn of the model as it comes, and tells the run's readers."""

import asyncio
from typing import NamedTuple

from msgspec.structs import replace

from clew.bus.events import Events
from clew.clock import Clock
from clew.core import turns
from clew.core.citing import Settled
from clew.core.code import CodeInput
from clew.core.content import Annotation
from clew.core.entries import CallPiece, Entry, EventKind, ImagePiece, Subject, TextPiece
from clew.core.journal import message_opening, opened_message, opened_step, tools_opening
from clew.core.records import FUNCTION, Call, CallsItem, Item, Run, TextItem, Turn, TurnFacts, Usage
from clew.core.settling import Settling, annotation_of
from clew.core.tools import CODE_INTERPRETER
from clew.engine.prompt import Prompt
from clew.ids import CALL, MESSAGE, STEP, Ids
from clew.model.chat import (
    CallDelta,
    CallFacts,
    ChatRequest,
    Chunk,
    Finished,
    RefusalDelta,
    TextDelta,
    estimate,
)
from clew.model.endpoint import Prices

_FIRST_PIECES = 3
"""Pieces of an answer that are told as they come, however busy the process is."""


class _Speech:
    """A message as it comes."""

    def __init__(self, message_id: str, step_id: str) -> None:
        self.message_id, self.step_id = message_id, step_id
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.annotations: list[Annotation] = []
        self.images: tuple[str, ...] = ()

    def item(self) -> TextItem:
        return TextItem(
            message_id=self.message_id,
            step_id=self.step_id,
            text="".join(self.text) if self.text else None,
            refusal="".join(self.refusal) if self.refusal else None,
            annotations=tuple(self.annotations),
            images=self.images,
        )

    def annotate(self, text: str, file_id: str) -> Annotation:
        """Return the annotation of a marker or a link that comes next in the text."""
        annotation = annotation_of(text, file_id, sum(map(len, self.text)))
        self.annotations.append(annotation)
        return annotation


class _Head(NamedTuple):
    """A call as it comes; its arguments follow in pieces."""

    id: str
    model_id: str | None
    name: str
    at: int
    arguments: list[str]
    code: CodeInput | None
    """Takes the code out of the arguments of code_interpreter."""


class _Calls:
    """The calls of a turn as they come."""

    def __init__(self, step_id: str) -> None:
        self.step_id = step_id
        self.heads: list[_Head] = []


class TurnRecorder:
    """One turn under way.

    Readers see openings and pieces of what comes first at once. What lasts, such as a completed message,
    they see after its commit; so what follows the first message, or the calls, stays unheard until then:
    messages and steps are closed before the next is opened.

    The ids of what a turn brings follow from the run, the turn's number and its place in the turn. A turn
    that is made again after a crash brings the same ids, so nothing can be there twice, and readers who had
    begun to read the first attempt see the second one replace it.
    """

    def __init__(self, run: Run, *, ids: Ids, clock: Clock, events: Events) -> None:
        self._run, self._ids, self._clock, self._events = run, ids, clock, events
        self._number = run.turns + 1
        self._started_at = clock.now()
        self._first_token_at: int | None = None
        self._first = self._speech_at(0)
        self._items: list[_Speech | _Calls] = []
        self._finished: Finished | None = None
        self._request: ChatRequest | None = None
        self._facts: TurnFacts | None = None
        self._prices: Prices | None = None
        self._settling: Settling | None = None
        self._untold: list[Entry] = []
        self._pieces, self._busy = 0, False
        self.position = run.position
        """Where the run's journal ends for its readers."""

    @property
    def begun(self) -> bool:
        """Whether the model has said anything."""
        return self._first_token_at is not None

    def asked(self, prompt: Prompt, prices: Prices | None = None) -> None:
        """Remember what the model was asked, also to tell what an answer that is broken off has cost."""
        self._request, self._facts, self._prices = prompt.request, prompt.facts, prices
        if prompt.citable is not None or prompt.linkable is not None:
            self._settling = Settling(prompt.citable, prompt.linkable)
        self._first.images = prompt.plots

    def add(self, chunks: list[Chunk]) -> None:
        """Record chunks that came together, and tell of them at once."""
        if self._first_token_at is None:
            self._first_token_at = self._clock.now()
        self._pieces += 1
        try:
            for chunk in chunks:
                match chunk:
                    case TextDelta(text):
                        if self._settling is None:
                            self._add_text(text, refusal=False)
                        else:
                            self._add_settled(self._settling.feed(text))
                    case RefusalDelta(text):
                        self._add_text(text, refusal=True)
                    case CallDelta():
                        self._settle()
                        self._add_call(chunk)
                    case Finished():
                        self._settle_all()
                        self._finished = chunk
        finally:
            if self._untold:
                entries, self._untold = self._untold, []
                self._events.publish(self._run.id, entries)
        self._busy = self._events.turnstile.rate.count(len(chunks), asyncio.get_running_loop().time())

    @property
    def must_wait(self) -> bool:
        """Whether the process is behind: what the model says meanwhile becomes one piece."""
        return self._events.turnstile.full

    @property
    def may_rest(self) -> bool:
        """Whether the process is so busy with words that this answer's next ones may come together.

        Its first ones may not, nor those of an answer that comes all at once.
        """
        return self._busy and self._pieces > _FIRST_PIECES and self._finished is None

    async def let_through(self) -> None:
        """Wait until more may be told."""
        await self._events.turnstile.through()

    def turn(self) -> Turn:
        """Return what has been recorded, with what was held back of an answer that broke off."""
        self._settle_all()
        if self._untold:
            entries, self._untold = self._untold, []
            self._events.publish(self._run.id, entries)
        return self._so_far()

    def _so_far(self) -> Turn:
        blank, usage = self._first, self._usage()
        return Turn(
            number=self._number,
            started_at=self._started_at,
            blank=TextItem(message_id=blank.message_id, step_id=blank.step_id, images=blank.images),
            items=tuple(map(self._item, self._items)),
            first_token_at=self._first_token_at,
            finish_reason=self._finished.reason if self._finished else None,
            usage=usage,
            facts=self._facts_with(usage),
        )

    def _facts_with(self, usage: Usage) -> TurnFacts | None:
        """Return what is known of the turn besides its answer."""
        facts, finished = self._facts, self._finished
        if facts is None or (finished is None and self._prices is None):
            return facts
        return replace(
            facts,
            echo=finished.echo if finished else None,
            thoughts=finished.thoughts if finished else None,
            cost=self._prices.of(usage) if self._prices else None,
        )

    def _item(self, item: _Speech | _Calls) -> Item:
        if isinstance(item, _Speech):
            return item.item()
        calls = (self._call(index, head, item.step_id) for index, head in enumerate(item.heads))
        return CallsItem(step_id=item.step_id, calls=tuple(calls))

    def _call(self, index: int, head: _Head, step_id: str) -> Call:
        known = self._finished.calls if self._finished is not None else ()
        facts = known[index] if index < len(known) else CallFacts(head.model_id, None)
        return Call(
            id=head.id,
            project=self._run.project,
            created_at=head.at,
            run_id=self._run.id,
            step_id=step_id,
            turn=self._number,
            index=index,
            name=head.name,
            arguments="".join(head.arguments),
            model_id=facts.id,
            extras=facts.extras,
        )

    def _usage(self) -> Usage:
        """Return what the model counted; of an answer that was broken off, an estimate."""
        if self._finished is not None:
            return self._finished.usage
        if self._request is None or self._first_token_at is None:
            return Usage()
        said = 0
        for item in self._items:
            if isinstance(item, _Speech):
                said += sum(map(len, item.text)) + sum(map(len, item.refusal))
            else:
                said += sum(len(piece) for head in item.heads for piece in head.arguments)
        return estimate(self._request, said)

    def _new_id(self, prefix: str, *parts: str) -> str:
        return self._ids.derived(prefix, self._run.id, str(self._number), *parts)

    def _speech_at(self, index: int) -> _Speech:
        number = str(index)
        return _Speech(self._new_id(MESSAGE, number, "message"), self._new_id(STEP, number, "message step"))

    # --- text ------------------------------------------------------------------------------------

    def _settle(self) -> None:
        if self._settling is not None:
            self._add_settled(self._settling.end())

    def _settle_all(self) -> None:
        self._settle()
        for item in self._items:
            if isinstance(item, _Calls):
                self._end_code(item)

    def _add_settled(self, settled: list[Settled]) -> None:
        for text, file_id in settled:
            self._add_text(text, refusal=False, names=file_id)

    def _add_text(self, text: str, *, refusal: bool, names: str | None = None) -> None:
        last = self._items[-1] if self._items else None
        if not isinstance(last, _Speech):
            if last is not None and not text.strip():
                return  # white space behind calls is not a message
            last = self._speech_at(len(self._items)) if self._items else self._first
            self._items.append(last)
            if self._told_live(last):
                self._open_message()
        if last.refusal and not last.text:
            refusal = True  # what follows a refusal belongs to it
        pieces = last.refusal if refusal else last.text
        annotation = None if names is None or refusal else last.annotate(text, names)
        if self._told_live(last):
            part = len(last.images) + (1 if refusal and last.text else 0)
            number = max(0, len(last.annotations) - 1)
            piece = TextPiece(last.message_id, text, part, not pieces, refusal, annotation, number)
            self._tell(EventKind.MESSAGE_DELTA, piece)
        pieces.append(text)

    def _told_live(self, item: _Speech | _Calls) -> bool:
        return item is self._items[0]

    def _open_message(self) -> None:
        turn = self._so_far()
        said = turn.said[0]
        step = opened_step(turns.message_step(self._run, turn, said, 0))
        message = opened_message(turns.message(self._run, turn, said, 0))
        self._open(message_opening(self.position + 1, step, message))
        for part, file_id in enumerate(said.images):
            self._tell(EventKind.MESSAGE_DELTA, ImagePiece(said.message_id, part, file_id))

    # --- calls -----------------------------------------------------------------------------------

    def _add_call(self, chunk: CallDelta) -> None:
        if chunk.index > 0 and not self._run.config.parallel_tool_calls:
            return  # the model was asked for one call at a time; it can ask for the next one later
        calls = next((item for item in self._items if isinstance(item, _Calls)), None)
        if calls is None:
            calls = _Calls(self._new_id(STEP, "tools step"))
            self._items.append(calls)
            if self._told_live(calls):
                self._open_tools()
        live = self._told_live(calls)
        if chunk.index == len(calls.heads):
            call_id = self._new_id(CALL, str(chunk.index))
            name = chunk.name or ""
            kind = self._kind(name)
            code = CodeInput() if kind == CODE_INTERPRETER else None
            head = _Head(call_id, chunk.id, name, self._clock.now(), [], code)
            self._end_code(calls)
            calls.heads.append(head)
            if live:
                self._tell(
                    EventKind.STEP_DELTA,
                    CallPiece(calls.step_id, chunk.index, call_id, head.name, kind=kind),
                )
        head = calls.heads[chunk.index]
        self._add_arguments(
            calls, chunk.index, head.code.feed(chunk.arguments) if head.code else chunk.arguments
        )

    def _add_arguments(self, calls: _Calls, index: int, arguments: str) -> None:
        if not arguments:
            return
        head = calls.heads[index]
        head.arguments.append(arguments)
        if self._told_live(calls):
            piece = CallPiece(calls.step_id, index, arguments=arguments, kind=self._kind(head.name))
            self._tell(EventKind.STEP_DELTA, piece)

    def _end_code(self, calls: _Calls) -> None:
        """Take what is left of the newest call's code."""
        if calls.heads and (code := calls.heads[-1].code) is not None:
            self._add_arguments(calls, len(calls.heads) - 1, code.end())

    def _kind(self, name: str) -> str:
        offer = self._run.config.offers.get(name)
        return FUNCTION if offer is None else offer.kind

    def _open_tools(self) -> None:
        turn = self._so_far()
        called = turn.called
        assert called is not None
        step = replace(turns.tools_step(self._run, turn, called, []), usage=Usage(), facts=None)
        self._open(tools_opening(self.position + 1, step))

    def _tell(self, kind: EventKind, piece: Subject) -> None:
        entry = Entry(self.position + 1, kind, piece)
        self.position = entry.end
        self._untold.append(entry)

    def _open(self, entries: list[Entry]) -> None:
        self.position = entries[-1].end
        self._untold += entries
