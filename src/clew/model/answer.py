"""Reads one answer of a chat-completions endpoint: frames in, chunks out. Pure.

Lenient in what it reads: a field that is missing, null or of another type than it should be changes nothing
that does not need it. Strict in what it concludes: an answer is whole only if its end was told.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from clew.core.options import Json
from clew.core.records import Usage
from clew.model.calls import CallAssembler, pieces_of
from clew.model.chat import (
    CallFacts,
    Chunk,
    Finished,
    FinishReason,
    ModelError,
    RefusalDelta,
    TextDelta,
    joined,
)
from clew.model.counting import Counted, counted
from clew.model.endings import Ending, ending_of, word_of
from clew.model.extras import Extras, is_empty
from clew.model.frames import AnyFrame, Done, Frame, Words
from clew.model.thinking import ThinkFilter
from clew.model.trouble import Problem, model_error, problem_of

LONGEST_ANSWER = 4_000_000
"""Characters of an answer, its reasoning included: far more than any model's context holds."""

_SURELY_REPEATED = 8
"""Characters of an answer's only piece from which on the same again is a repetition."""

_LONGEST_ECHO = 1_000_000
"""Bytes of what came with an answer, or with its calls, that are kept to go back to the model."""

_DEEPEST = 32

_KNOWN = frozenset(("role", "content", "refusal", "tool_calls", "function_call", "audio", "text", "index"))
_CALLS = ("tool_calls", "function_call")
_ERRORS = ("error", "errors", "detail", "message", "Message", "msg")
_REASONS: dict[Ending, FinishReason] = {Ending.LENGTH: "length", Ending.FILTERED: "content_filter"}

_NOTHING = Usage()

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_told_unknown: set[str] = set()


class AnswerReader:
    """Turns the frames of one answer into chunks, and remembers how it ended.

    Args:
        offered: the names of the functions that the model was offered.
        hides_thoughts: whether reasoning in tags at the beginning is kept out of the text.

    Attributes:
        over: whether the endpoint has said that nothing more comes.
        begun: whether the model has said anything, its reasoning aside.
    """

    def __init__(self, offered: list[str] | None = None, *, hides_thoughts: bool = False) -> None:
        self.over = self.begun = False
        self._word = ""
        self._choice: int | None = None
        self._counted: Counted | None = None
        self._offered = offered or ()
        self._calls: CallAssembler | None = None
        self._extras = Extras()
        self._think = ThinkFilter() if hides_thoughts else None
        self._thoughts: list[str] = []
        self._text: list[str] = []
        self._text_size = 0
        self._blank: list[str] = []
        """White space that becomes text only if text follows."""
        self._speaks = False
        self._size = 0
        self._chunks: list[Chunk] = []
        self._trouble: ModelError | None = None

    @property
    def ended(self) -> bool:
        """Whether the answer came to an end: what breaks now is no harm any more."""
        return bool(self._word) or (self.over and self._choice is not None)

    def read_all(self, frames: Iterable[AnyFrame], *, merge: bool = False) -> list[Chunk]:
        """Return the chunks that are settled by frames that came together; ``merge`` joins their words.

        Trouble behind chunks is kept for :meth:`end`, so that they are heard.

        Raises:
            ModelError: a frame tells of an error, can't be read, or the answer is too long to keep.
        """
        chunks: list[Chunk] = []
        for frame in frames:
            try:
                self._take(frame)
            except ModelError as trouble:
                if not chunks:
                    raise
                self._trouble, self.over = trouble, True
                break
            chunks += self._chunks
            self._chunks.clear()
            if self.over:
                break
        return joined(chunks) if merge else chunks

    def read(self, frame: AnyFrame) -> list[Chunk]:
        """Return the chunks that are settled by one frame.

        Raises:
            ModelError: the frame tells of an error, can't be read, or the answer is too long to keep.
        """
        self._take(frame)
        chunks, self._chunks = self._chunks, []
        return chunks

    def _take(self, frame: AnyFrame) -> None:
        if isinstance(frame, Words):
            if self._choice is None:
                self._choice = 0
            if self._choice == 0:
                self._read_words(frame.texts)
        elif isinstance(frame, Done):
            self.over = True
        else:
            try:
                self._read_frame(frame)
            except RecursionError:
                raise self._unreadable() from None
        if self._size > LONGEST_ANSWER:
            raise ModelError("server_error", "The model's answer is too long to keep.")

    def _read_frame(self, frame: Frame) -> None:
        value = frame.value
        if not isinstance(value, dict):
            self._read_oddity(frame)
            return
        self._look_for_error(frame.event, value)
        self._look_for_usage(value)
        choices = value.get("choices")
        if isinstance(choices, dict):
            choices = [choices]
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict) and self._is_ours(choice):
                    self._read_choice(choice)

    def end(self, estimate: Callable[[int], Usage]) -> list[Chunk]:
        """Return the last chunks; ``estimate`` counts tokens, of so many characters, if the endpoint did not.

        Raises:
            ModelError: the answer has not come to its end.
        """
        if self._trouble is not None:
            raise self._trouble
        if not self.ended:
            if not self.begun:
                raise ModelError("server_error", "The model ended its answer before it began.", again=True)
            raise ModelError("server_error", "The model broke off in the middle of its answer.")
        if self._think is not None:
            self._say(self._think.end())
        facts = self._facts() if self._calls is not None else []
        reason = self._reason(bool(facts))
        usage = self._usage(estimate)
        finished = Finished(reason, usage, tuple(facts), self._echo(), self._reasoned())
        chunks, self._chunks = [*self._chunks, finished], []
        return chunks

    def _facts(self) -> list[CallFacts]:
        """Return what goes back with each call, as far as it is not too long for that."""
        assert self._calls is not None
        facts = self._calls.end(self._hand_on)
        if sum(len(_encode(fact.extras)) for fact in facts if fact.extras) > _LONGEST_ECHO:
            _log.warning("what came with a model's calls is too long to be sent back to it")
            return [CallFacts(fact.id, None) for fact in facts]
        return facts

    def _reasoned(self) -> str | None:
        """Return what the text began with in tags, or what came as parts of its own."""
        if self._think is None and not self._thoughts:
            return None
        tagged = self._think.thoughts if self._think is not None else []
        return "".join([*self._thoughts, *tagged]).strip()[:_LONGEST_ECHO] or None

    def _usage(self, estimate: Callable[[int], Usage]) -> Usage:
        """Return what the endpoint counted, with what it did not estimated."""
        found = self._counted
        if found is None:
            return estimate(self._size)
        whole = found.prompt is not None and found.completion is not None
        return found.usage(_NOTHING if whole else estimate(self._size))

    @property
    def usage_reported(self) -> bool:
        """Whether the endpoint counted the tokens."""
        return self._counted is not None

    def _reason(self, calls: bool) -> FinishReason:
        ending = ending_of(self._word) if self._word else Ending.WHOLE
        if ending == Ending.UNKNOWN and self._word not in _told_unknown and len(_told_unknown) < 1_000:
            _told_unknown.add(self._word)
            _log.warning("a model ended its answer for an unknown reason, %r; taken as whole", self._word)
        if ending == Ending.UNKNOWN and not self.begun and not calls:
            ending = Ending.BROKEN
        if ending == Ending.BROKEN:
            message = f"The model broke off its answer ({self._word})."
            raise ModelError("server_error", message, again=not self.begun)
        return _REASONS.get(ending, "tool_calls" if calls else "stop")

    def _echo(self) -> Json | None:
        echo = self._extras.plain()
        if echo is not None and len(_encode(echo)) > _LONGEST_ECHO:
            _log.warning("what came with a model's answer is too long to be sent back to it: %s", list(echo))
            return None
        return echo

    # --- what is no answer -----------------------------------------------------------------------

    def _read_oddity(self, frame: Frame) -> None:
        if frame.event == "error":
            raise self._error(problem_of(frame.text or frame.value))
        if frame.text.lstrip().startswith(("{", "[")):
            raise self._unreadable()
        if isinstance(frame.value, list):
            for value in frame.value[:16]:
                self._look_for_error(frame.event, value if isinstance(value, dict) else {})

    def _unreadable(self) -> ModelError:
        return ModelError(
            "server_error", "The model sent an answer that cannot be read.", again=not self.begun
        )

    def _look_for_error(self, event: str, value: Json) -> None:
        if event == "error" or value.get("error") or value.get("errors"):
            raise self._error(problem_of(value))
        if "choices" in value or event == "ping" or value.get("type") == "ping":
            return
        if "done" in value and ("message" in value or "response" in value):
            raise ModelError(
                "server_error",
                "The model endpoint does not speak chat completions (it looks like Ollama's own API). "
                "Its URL should end in /v1: see CLEW_MODEL_URL.",
            )
        said = next((value[name] for name in _ERRORS if isinstance(value.get(name), str | list)), None)
        if said:
            raise self._error(problem_of(value))

    def _error(self, problem: Problem) -> ModelError:
        if self.begun:
            return model_error(
                problem._replace(status=problem.status or 500),
                "The model reported an error in the middle of its answer",
            )
        return model_error(problem, "The model reported an error instead of an answer")

    def _look_for_usage(self, value: Json) -> None:
        usage = value.get("usage")
        if usage is None and isinstance(groq := value.get("x_groq"), dict):
            usage = groq.get("usage")
        if usage is None and "usageMetadata" in value:
            usage = value["usageMetadata"]
        if usage and (found := counted(usage)) is not None:
            self._counted = found

    # --- the answer --------------------------------------------------------------------------------

    def _is_ours(self, choice: Json) -> bool:
        """Whether a choice is the one that is read: the first that comes."""
        try:
            index = int(float(choice.get("index") or 0))
        except (TypeError, ValueError, OverflowError):
            index = 0
        if self._choice is None:
            self._choice = index
        return index == self._choice

    def _read_choice(self, choice: Json) -> None:
        if choice.get("error"):
            raise self._error(problem_of(choice["error"]))
        word = word_of(choice.get("finish_reason") or choice.get("stop_reason"))
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._read_delta(delta | {"content": None} if word and self._is_said(delta) else delta)
        elif isinstance(message := choice.get("message"), dict):
            if not self.begun:  # else it repeats what was said
                self._read_delta(message)
        elif isinstance(text := choice.get("text"), str):
            self._read_text(text)
        if "usage" in choice:
            self._look_for_usage({"usage": choice["usage"]})
        if word and not (self._word and _is_whole(word) and not _is_whole(self._word)):
            self._word = word

    def _is_said(self, delta: Json) -> bool:
        """Whether the last frame repeats the whole text, as some servers' does; 1 after 1 may be 11."""
        content = delta.get("content")
        if not isinstance(content, str) or len(content) != self._text_size:
            return False
        if len(self._text) < 2 and self._text_size < _SURELY_REPEATED:
            return False
        return content == "".join(self._text)

    def _read_delta(self, delta: Json) -> None:
        for key, value in delta.items():
            if key not in _KNOWN and not is_empty(value):
                self._size += len(key) + (len(value) if isinstance(value, str) else len(_encode(value)))
                self._extras.add({key: value})
        content = delta.get("content")
        if content is None and "text" in delta:
            content = delta["text"]
        if isinstance(content, str):
            self._read_text(content)
        elif content is not None:
            self._read_parts(content)
        if "refusal" in delta and isinstance(refusal := delta["refusal"], str) and refusal:
            self._hand_on(RefusalDelta(refusal))
            self._size += len(refusal)
        for name in _CALLS:
            if delta.get(name):
                self._read_calls(delta[name])
                break

    def _read_calls(self, calls: Any) -> None:
        self._speaks, self._blank = False, []
        if pieces := pieces_of(calls):
            self.begun = True
            if self._calls is None:
                self._calls = CallAssembler(self._offered)
            self._size += sum(
                len(piece.arguments) + (len(_encode(piece.extras)) if piece.extras else 0) for piece in pieces
            )
            self._calls.add(pieces, self._hand_on)

    def _read_parts(self, content: Any) -> None:
        """Read content that comes in parts: texts, and reasoning that is not part of the message."""
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, str):
                self._read_text(part)
            elif isinstance(part, dict):
                if isinstance(text := part.get("text"), str):
                    self._read_text(text)
                elif thinking := part.get("thinking"):
                    said = _texts(thinking, 0)
                    self._thoughts += said
                    self._size += sum(map(len, said))

    def _read_words(self, texts: Sequence[str]) -> None:
        if not self._speaks or self._think is not None:
            for text in texts:
                self._read_text(text)
            return
        said = [text for text in texts if text]
        size = len("".join(said))
        self._size += size
        self._text_size += size
        self._text += said
        self._chunks += map(TextDelta, said)

    def _read_text(self, text: str) -> None:
        if not text:
            return
        self._size += len(text)
        self._text.append(text)
        self._text_size += len(text)
        self._say(text if self._think is None else self._think.add(text))

    def _say(self, text: str) -> None:
        """Hand on text; white space before any, or behind calls, only with what follows it."""
        if not text:
            return
        if not self._speaks:
            self._blank.append(text)
            if text.isspace():
                return
            text = "".join(self._blank)
            self._speaks, self._blank = True, []
        self._hand_on(TextDelta(text))

    def _hand_on(self, chunk: Chunk) -> None:
        self.begun = True
        self._chunks.append(chunk)


def _is_whole(word: str) -> bool:
    """Whether a word for the end says nothing against the answer: what another has said stands."""
    return ending_of(word) in (Ending.WHOLE, Ending.UNKNOWN)


def _texts(value: Any, depth: int) -> list[str]:
    """Return the strings in parts of reasoning; those nested deeper than anybody nests are left out."""
    match value:
        case str():
            return [value]
        case list() if depth < _DEEPEST:
            return [text for each in value[:1_000] for text in _texts(each, depth + 1)]
        case dict() if isinstance(text := value.get("text"), str):
            return [text]
    return []
