"""A conversation: one thread, one agent, and all one does with them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import anyio
from msgspec.structs import replace

from clew.daemons import in_daemon_thread
from clew.toolkit._blocking import blocking, run
from clew.toolkit.connect import AnyClient, connect
from clew.toolkit.conversation.copying import copy_in
from clew.toolkit.conversation.files import write_whole
from clew.toolkit.conversation.limits import NO_LIMITS, Limits, Meter, warn
from clew.toolkit.conversation.search import Match, find
from clew.toolkit.conversation.summary import ConversationSummary, summarise
from clew.toolkit.conversation.transcript import Format, Transcript, parse, render
from clew.toolkit.errors import ConversationError, ExportInvalid, NotFound
from clew.toolkit.monitor.events import RunResult
from clew.toolkit.monitor.monitor import RunMonitor
from clew.toolkit.monitor.progress import Listener
from clew.toolkit.records import Json, Message
from clew.toolkit.service import RunOptions
from clew.toolkit.tools.executor import ToolExecutor

_FORMATS: dict[str, Format] = {".json": "json", ".jsonl": "jsonl", ".md": "markdown", ".markdown": "markdown"}

_SUMMARISE = (
    "Summarise the conversation so far in at most {sentences} sentences, for somebody who hasn't read it. "
    "Say only what is in it."
)


class ConversationManager:
    """A conversation with an agent.

    >>> with ConversationManager(client, agent.id, delete_on_leaving=True) as conversation:
    ...     print(conversation.send("My boat is called Argo.").text)
    ...     print(conversation.send("What is my boat called?").text)

    Every method has two forms: ``asend`` is a coroutine, ``send`` waits for it.
    """

    def __init__(
        self,
        client: AnyClient,
        agent_id: str,
        *,
        thread_id: str | None = None,
        tools: ToolExecutor | None = None,
        timeout: float | None = 600.0,
        limits: Limits = NO_LIMITS,
        on_warning: Callable[[str], object] = warn,
        metadata: Mapping[str, str] | None = None,
        delete_on_leaving: bool = False,
        monitor: RunMonitor | None = None,
    ) -> None:
        """Prepare a conversation; nothing is sent yet.

        Args:
            client: anything :func:`clew.toolkit.connect` takes.
            agent_id: the agent that answers.
            thread_id: an existing thread to go on with; otherwise one is created when it is needed.
            tools: answers the agent's tool calls.
            timeout: seconds an answer may take, tools included.
            limits: how long the conversation may get.
            on_warning: told when it comes near a limit; by default a ConversationWarning.
            metadata: for the thread that is created.
            delete_on_leaving: whether leaving the ``with`` block deletes the threads created here.
            monitor: follows the runs, in place of one with ``tools`` and ``timeout``.
        """
        self.agent_id = agent_id
        self.service = connect(client)
        self._monitor = monitor or RunMonitor(self.service, tools=tools, timeout=timeout)
        self._thread_id = thread_id
        self._created: list[str] = []
        self._metadata = metadata
        self._delete = delete_on_leaving
        self._on_warning = on_warning
        self._meter = Meter(limits, on_warning)
        self._counted = thread_id is None
        self._lock = anyio.Lock()

    def __repr__(self) -> str:
        return f"<ConversationManager {self._thread_id or 'without a thread yet'}>"

    @property
    def thread_id(self) -> str | None:
        """Return the thread, or None as long as nothing was said."""
        return self._thread_id

    @property
    def tokens(self) -> int:
        """Return about how many tokens the next prompt has: what the last run counted, and a guess."""
        return self._meter.tokens

    # --- talking ---

    async def aadd_user_message(
        self,
        text: str,
        *,
        files: Sequence[str] = (),
        images: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> Message:
        """Add a message by the user. The agent doesn't answer yet.

        Args:
            files: ids of uploaded files that the agent may search, now and later in this thread.
            images: ids of uploaded images that its model is shown with the text.

        Raises:
            ConversationTooLong: it would exceed a limit; nothing was sent.
            ThreadBusy: a run is active on the thread.
        """
        thread_id = await self._thread()
        await self._count(thread_id)
        self._meter.check(text)
        message = await self.service.acreate_message(
            thread_id,
            _with_images(text, images),
            attachments=[{"file_id": each, "tools": [{"type": "file_search"}]} for each in files] or None,
            metadata=metadata,
        )
        self._meter.added(text)
        return message

    async def aprocess_agent_response(
        self, *, check: bool = True, listener: Listener | None = None, **options: Unpack[RunOptions]
    ) -> RunResult:
        """Let the agent answer what is in the thread, with its tools.

        Args:
            check: whether to raise if the run doesn't complete.
            listener: called with every event of the run.
            options: what the run is given besides, such as ``additional_instructions``.

        Raises:
            RunError: the run didn't complete.
        """
        thread_id = await self._thread()
        result = await self._monitor.arun(thread_id, self.agent_id, check=False, listener=listener, **options)
        self._meter.ran(result)
        if check and result.problem is not None:
            raise result.problem
        return result

    async def asend(
        self,
        text: str,
        *,
        files: Sequence[str] = (),
        images: Sequence[str] = (),
        check: bool = True,
        listener: Listener | None = None,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Add a message, with files and images as of :meth:`aadd_user_message`, and let the agent answer.

        ``.text`` of the result is the answer. Messages sent at once from several tasks wait for each other.

        Raises:
            ConversationTooLong, ThreadBusy, RunError: as the two steps do.
        """
        async with self._lock:
            await self.aadd_user_message(text, files=files, images=images)
            return await self.aprocess_agent_response(check=check, listener=listener, **options)

    # --- looking back ---

    async def ahistory(self, *, last: int | None = None) -> list[Message]:
        """Return the messages, oldest first; ``last`` gives only that many of the newest."""
        if self._thread_id is None:
            return []
        thread_id = self._thread_id
        if last is None:
            return await self.service.aall_messages(thread_id)
        if last <= 100:
            page = await self.service.alist_messages(thread_id, limit=max(1, last))
            return list(reversed(page.data[:last]))
        return (await self.service.aall_messages(thread_id))[-last:]

    async def aget_conversation_summary(self) -> ConversationSummary:
        """Return the conversation at a glance: numbers and the latest messages, as a table for rich."""
        if self._thread_id is None:
            return summarise("(not begun)", [], [])
        messages = await self.service.aall_messages(self._thread_id)
        runs = await self.service.aall_runs(self._thread_id)
        return summarise(self._thread_id, messages, runs)

    async def awrite_summary(self, *, sentences: int = 3, instructions: str | None = None) -> str:
        """Have the agent's model summarise the conversation; return its text.

        It is an ordinary run, on a copy of the thread that is deleted afterwards: the conversation
        itself doesn't change.

        Raises:
            ConversationError: there is nothing to summarise.
            RunError: the run didn't complete.
        """
        if not await self.ahistory(last=1):
            raise ConversationError("There is nothing to summarise yet.")
        ask = instructions or _SUMMARISE.format(sentences=sentences)
        branch = await self._copied(await self.atranscript(), NO_LIMITS)  # most wanted at the limit
        try:
            result = await branch.asend(ask, tool_choice="none")
        finally:
            with anyio.CancelScope(shield=True):
                await branch.adelete()
        return result.text

    async def asearch(self, words: str, *, role: str | None = None) -> list[Match]:
        """Return every place where ``words`` stand, whatever their case, oldest message first.

        Raises:
            ValueError: there are no words to look for.
        """
        return list(find(await self.ahistory(), words, role=role))

    # --- files ---

    async def atranscript(self, *, with_runs: bool = False) -> Transcript:
        """Return everything in the thread, with its runs and steps if asked for.

        Raises:
            ConversationError: nothing was said yet.
        """
        if self._thread_id is None:
            raise ConversationError("The conversation hasn't begun.")
        thread = await self.service.aget_thread(self._thread_id)
        messages = await self.service.aall_messages(thread.id)
        runs = await self.service.aall_runs(thread.id) if with_runs else []
        steps = [step for each in runs for step in await self.service.aall_steps(thread.id, each.id)]
        return Transcript(thread=thread, messages=tuple(messages), runs=tuple(runs), steps=tuple(steps))

    async def aexport(self, path: Path | str, form: Format | None = None) -> Path:
        """Write the conversation to a file.

        Args:
            path: where; an existing file is replaced as a whole or not at all.
            form: ``json`` (the lesson's shape), ``jsonl`` (everything but runs, with checksums) or
                ``markdown``; by default what the name ends in says.

        Raises:
            ValueError: the name doesn't say the form.
        """
        target = Path(path)
        chosen = form or _FORMATS.get(target.suffix.lower())
        if chosen is None:
            raise ValueError(f"say the form, or let the name end in {', '.join(_FORMATS)}: {target.name}")
        text = render(await self.atranscript(), chosen)
        return await in_daemon_thread(write_whole, target, text)

    async def abackup(self, path: Path | str) -> Path:
        """Write everything, with runs and steps, as JSON Lines with checksums."""
        text = render(await self.atranscript(with_runs=True), "jsonl")
        return await in_daemon_thread(write_whole, Path(path), text)

    @classmethod
    async def arestore(
        cls, client: AnyClient, agent_id: str, path: Path | str, **options: Any
    ) -> ConversationManager:
        """Create a new thread from a backup or export, in this service or another, and go on with it.

        Messages, their metadata and their order come back, and are compared afterwards; ids and times
        are the new service's (the old ones are in each message's metadata). Runs and steps stay in
        the file: no service takes them.

        Args:
            client: anything :func:`clew.toolkit.connect` takes.
            agent_id: the agent that answers from now on.
            path: a file in one of the JSON forms.
            options: further arguments of this class.

        Raises:
            ExportInvalid: the file isn't an export, or is damaged.
            RestoreIncomplete: the new thread differs; it was deleted again.
        """
        transcript = parse(await in_daemon_thread(_text_in, Path(path)))
        service = connect(client)
        thread = await copy_in(service, transcript)
        restored = cls(service, agent_id, thread_id=thread.id, **options)
        restored._created.append(thread.id)
        return restored

    @classmethod
    def restore(
        cls, client: AnyClient, agent_id: str, path: Path | str, **options: Any
    ) -> ConversationManager:
        """Return the waiting form of :meth:`arestore`."""
        return run(cls.arestore(client, agent_id, path, **options))

    # --- branching ---

    async def abranch(self, at: str | None = None) -> ConversationManager:
        """Return a new conversation with a copy of this one's messages.

        Args:
            at: the id of the last message to copy; by default all of them.

        Raises:
            NotFound: no message of this conversation has that id.
        """
        transcript = await self.atranscript()
        messages = transcript.messages
        if at is not None:
            ids = [message.id for message in messages]
            if at not in ids:
                raise NotFound(f"No message {at!r} in this conversation.", status=404)
            messages = messages[: ids.index(at) + 1]
        return await self._copied(replace(transcript, messages=messages), self._meter.limits)

    async def _copied(self, transcript: Transcript, limits: Limits) -> ConversationManager:
        thread = await copy_in(self.service, transcript)
        copy = ConversationManager(
            self.service,
            self.agent_id,
            thread_id=thread.id,
            monitor=self._monitor,
            limits=limits,
            on_warning=self._on_warning,
            delete_on_leaving=self._delete,
        )
        copy._created.append(thread.id)
        return copy

    # --- its end ---

    async def adelete(self) -> None:
        """Delete the thread, with all that is in it. The next message begins a new one."""
        thread_id, self._thread_id = self._thread_id, None
        if thread_id is not None:
            await self._forget(thread_id)

    async def aclose(self) -> None:
        """Delete the threads created here, if that was asked for."""
        if not self._delete:
            return
        if self._thread_id in self._created:
            self._thread_id = None
        for thread_id in list(self._created):
            await self._forget(thread_id)

    add_user_message = blocking(aadd_user_message)
    process_agent_response = blocking(aprocess_agent_response)
    send = blocking(asend)
    history = blocking(ahistory)
    get_conversation_summary = blocking(aget_conversation_summary)
    write_summary = blocking(awrite_summary)
    search = blocking(asearch)
    transcript = blocking(atranscript)
    export = blocking(aexport)
    backup = blocking(abackup)
    branch = blocking(abranch)
    delete = blocking(adelete)
    close = blocking(aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()

    # --- details ---

    async def _thread(self) -> str:
        if self._thread_id is None:
            thread = await self.service.acreate_thread(metadata=self._metadata)
            self._thread_id = thread.id
            self._created.append(thread.id)
        return self._thread_id

    async def _count(self, thread_id: str) -> None:
        """Count what an existing thread holds, if a limit makes that worth a request."""
        limits = self._meter.limits
        if self._counted or (limits.tokens is None and limits.messages is None):
            return
        self._meter.begin(await self.service.aall_messages(thread_id))
        self._counted = True

    async def _forget(self, thread_id: str) -> None:
        if thread_id in self._created:
            self._created.remove(thread_id)
        with contextlib.suppress(NotFound):  # somebody else was quicker
            await self.service.adelete_thread(thread_id)


def _text_in(path: Path) -> str:
    """Return a file's text.

    Raises:
        ExportInvalid: it is none.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ExportInvalid(f"This isn't text in UTF-8: line {line}, byte {error.start + 1}.") from None


def _with_images(text: str, images: Sequence[str]) -> str | list[Json]:
    """Return a message's content: the text, or parts where images go with it."""
    if not images:
        return text
    shown = [{"type": "image_file", "image_file": {"file_id": each}} for each in images]
    return [{"type": "text", "text": text}, *shown]
