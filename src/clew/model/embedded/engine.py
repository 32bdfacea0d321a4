"""The embedded model: a small language model in a process beside Clew, behind the seam of any model."""

import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from clew.core.options import Json
from clew.core.tools import CODE_INTERPRETER, FILE_SEARCH
from clew.daemons import in_daemon_thread
from clew.ids import CALL, Ids, RandomIds, new_api_key
from clew.model.chat import CallDelta, ChatRequest, Chunk, Finished, ModelError, Sight, TextDelta
from clew.model.embedded import coding, conversation, native, prompts, searching
from clew.model.embedded.calling import MOST_CALLS, Call, Chooser
from clew.model.embedded.catalog import DEFAULT
from clew.model.embedded.dialogue import Dialogue
from clew.model.embedded.profiles import UNMEASURED, Profile, profile_of
from clew.model.embedded.weights import Located, pull
from clew.weights.errors import WeightsError
from clew.weights.files import Progress, ignore_progress
from clew.weights.machine import obstacle, threads
from clew.weights.process import LlamaProcess, Setup, WorkerError

_T = TypeVar("_T")

_MOST_TOKENS = 1024
_CODE_TOKENS = 512


class EmbeddedModel:
    """A chat model on this machine's processors, loaded (and fetched, if need be) on first use.

    Args:
        name: weights of the catalogue; a request's ``model`` is not looked at.
        data_dir: Clew's data directory; weights are kept in its subdirectory ``models``.
        file: a GGUF file to use instead of the catalogue's.
        context_tokens: tokens one request may take, prompt and answer together.
        slots: requests computed at once; further ones wait. Memory grows with slots x context.
        progress: told about downloads, from another thread: bytes done, bytes in all, what.
        ids: makes the ids of calls.
    """

    def __init__(
        self,
        name: str = DEFAULT,
        *,
        data_dir: Path,
        file: Path | None = None,
        context_tokens: int = 8192,
        slots: int = 2,
        progress: Progress = ignore_progress,
        ids: Ids | None = None,
    ) -> None:
        self.name, self._context_tokens = name, context_tokens
        self._data_dir, self._file, self._slots, self._progress = data_dir, file, slots, progress
        self._ids: Ids = RandomIds() if ids is None else ids
        self._opening = threading.Lock()
        self._opened: tuple[LlamaProcess, Profile | None] | None = None
        self._closed = False

    @property
    def images(self) -> Sight:
        return "noted"

    def context_tokens(self, model: str) -> int:
        """Return the tokens that one request may take, whatever it calls the model."""
        return self._context_tokens

    @property
    def pid(self) -> int | None:
        """The number of the model's process, if it runs."""
        return self._opened[0].pid if self._opened is not None and self._opened[0].alive else None

    async def load(self) -> None:
        """Fetch the weights if they are missing and load them, if that has not been done.

        Raises:
            ModelError: this machine can't run the model, or the weights can't be had.
        """
        await self._open()

    async def aclose(self) -> None:
        """End the model's process and any download at once. Requests under way fail."""
        self._closed = True
        if self._opened is not None:
            self._opened[0].kill()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[list[Chunk], None]:
        """See :meth:`clew.model.chat.ChatModel.stream`."""
        process, profile = await self._open()
        dialogue = Dialogue(process, request, min(_MOST_TOKENS, self._context_tokens))
        if profile is None and not chosen_tools(request)[1]:
            parts = native.answer(dialogue, request, self._ids)
        else:
            parts = self._answer(dialogue, request, profile or UNMEASURED)
        async with aclosing(parts):
            async for chunk in parts:
                yield [chunk]
        yield [Finished(dialogue.finish, dialogue.usage)]

    async def _answer(
        self, dialogue: Dialogue, request: ChatRequest, profile: Profile
    ) -> AsyncGenerator[Chunk, None]:
        if conversation.ends_in_outputs(request.messages):
            # Never another call: a small model that may call again after an output does so for ever.
            turns = conversation.answer_turns(request.messages, self._context_tokens)
        else:
            calls = await _choose(dialogue, request, profile)
            if calls:
                for index, call in enumerate(calls):
                    yield CallDelta(index, self._ids.new(CALL), call.name, call.arguments)
                dialogue.finish = "tool_calls"
                return
            shown = conversation.recall_turns if profile.recalls else conversation.chat_turns
            turns = shown(request.messages)
        body = {"messages": [{"role": role, "content": text} for role, text in turns]}
        said: list[str] = []
        async with aclosing(native.speak(dialogue, body, request.response_format)) as deltas:
            async for delta in deltas:
                if delta.get("content"):
                    said.append(delta["content"])
                    yield TextDelta(delta["content"])
        if marker := searching.citation("".join(said), request.messages):
            yield TextDelta(marker)

    async def _open(self) -> tuple[LlamaProcess, Profile | None]:
        opened = self._opened
        if opened is None or not opened[0].alive or self._closed:
            try:
                opened = await in_daemon_thread(self._open_now)
            except (WeightsError, WorkerError) as error:
                raise ModelError("server_error", str(error)) from error
        return opened

    def _open_now(self) -> tuple[LlamaProcess, Profile | None]:
        with self._opening:
            self._check_open()
            if self._opened is not None and self._opened[0].alive:
                return self._opened
            trouble = obstacle()
            if trouble is not None:
                raise WorkerError(trouble)
            weights = pull(self.name, self._data_dir, self._report, self._file)
            process = LlamaProcess.start(self._setup(weights))
            self._opened = process, profile_of(weights.sha256)
            if self._closed:
                process.kill()
            self._check_open()
            return self._opened

    def _check_open(self) -> None:
        if self._closed:
            raise WorkerError("the embedded model was closed")

    def _report(self, done: int, total: int, what: str) -> None:
        self._check_open()  # ends a download that nobody waits for any more
        self._progress(done, total, what)

    def _setup(self, weights: Located) -> Setup:
        return Setup(
            path=weights.path,
            context_tokens=self._context_tokens,
            slots=self._slots,
            threads=threads(),
            api_key=new_api_key(),
        )


async def _choose(dialogue: Dialogue, request: ChatRequest, profile: Profile) -> list[Call]:
    """The calls that the last user message asks for, or that ``tool_choice`` demands."""
    tools, forced = chosen_tools(request)
    if not tools:
        return []
    last = conversation.last_said(request.messages)
    if any(map(coding.is_code, tools)):
        others = [tool for tool in tools if not coding.is_code(tool)]
        if (forced and not others) or coding.asks_for_code(last, conversation.instructions(request.messages)):
            program = await dialogue.complete(coding.prompt(last), _CODE_TOKENS, stop=[coding.END])
            return [Call(CODE_INTERPRETER, coding.arguments(program.text))]
        tools = others
    search = [Call(FILE_SEARCH, searching.arguments(last))] if any(map(searching.is_search, tools)) else []
    if search and (forced or last):
        tools = [tool for tool in tools if not searching.is_search(tool)]
        if forced or not tools:
            return search
    if not tools:
        return []
    chooser = Chooser(dialogue, profile, tools)
    if not forced and (not last or not await chooser.wants_call(last)):
        return search if last else []
    users = prompts.user_texts(request.messages) or [conversation.instructions(request.messages)]
    calls = await chooser.write(users, MOST_CALLS if request.parallel_tool_calls else 1, forced)
    if forced and not calls:
        raise ModelError(
            "server_error", "the embedded model could not write the call that tool_choice demands"
        )
    return calls


def chosen_tools(request: ChatRequest) -> tuple[Sequence[Json], bool]:
    """The tools that ``tool_choice`` leaves, and whether one of them must be called.

    Raises:
        ModelError: it names a tool that is not there.
    """
    choice = request.tool_choice
    if choice == "none" or not request.tools:
        return (), False
    if not isinstance(choice, dict):
        return request.tools, choice == "required"
    name = (choice.get("function") or {}).get("name")
    named = [tool for tool in request.tools if tool["function"]["name"] == name]
    if not named:
        raise ModelError(
            "invalid_prompt", f"tool_choice names the function {name!r}, which is not among the tools"
        )
    return named, True
