"""Python code that the model writes, run in its thread's session behind a wall.

What it prints is output, and so are its errors. Plots and files that it leaves become files of the project.
Source: OpenAI's guide to code interpreter, and azure-ai-agents' recordings.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

import msgspec

from clew.blobs.blobs import Blobs
from clew.core.calls import error
from clew.core.code import DATA, LINK, fit
from clew.core.files import File
from clew.core.options import Json
from clew.core.records import Call, MadeFile, Outcome
from clew.core.states import CallResult
from clew.core.tools import CODE_INTERPRETER, CodeInterpreterTool, FunctionDefinition
from clew.ids import FILE, Ids
from clew.sandbox.sandbox import MOST_FILES, Left, Ran, SandboxTrouble
from clew.store import files, runs
from clew.store.database import Database
from clew.tools.sessions import Seat, Sessions
from clew.tools.tool import CallContext, WrongArguments

_MOST_TOLD = 48 * 1024
"""Bytes of what code has printed that a model is told: the beginning and the end."""

_MOST_SHOWN = 640 * 1024
"""Bytes of what code has printed that its step keeps, as JSON."""

MADE_BY_RUNS = "assistants_output"
"""The purpose of files that code has left (OpenAI's published API schema)."""

_FUNCTION = FunctionDefinition(
    name=CODE_INTERPRETER,
    description=(
        "Run Python code, in a session that keeps its variables from call to call. What it prints, the value "
        f"of its last expression and its errors come back. The user's files are in {DATA}. Plots are shown "
        f"to the user by plt.show(). To give the user a file, save it in {DATA} and link to it as "
        f"[name]({LINK}name). There is no network."
    ),
    parameters={
        "type": "object",
        "properties": {"code": {"type": "string", "description": "The Python code."}},
        "required": ["code"],
    },
)


class CodeInterpreter:
    """Runs code in the sessions of threads.

    Args:
        room: gives how many bytes a project's files may have together; None for any.
    """

    kind = CODE_INTERPRETER
    repeatable = True
    deadline = 900_000
    """Calls of one turn wait for each other, and each may take a minute."""

    def __init__(
        self,
        db: Database,
        blobs: Blobs,
        sessions: Sessions,
        *,
        ids: Ids,
        room: Callable[[str], int | None],
    ) -> None:
        self._db, self._blobs, self._sessions = db, blobs, sessions
        self._ids, self._room = ids, room

    def functions(self, tool: CodeInterpreterTool) -> Sequence[FunctionDefinition]:
        """Return the one function."""
        return (_FUNCTION,)

    async def perform(self, call: Call, context: CallContext) -> Outcome:
        """Run the code; keep what it leaves.

        Raises:
            WrongArguments: there is none.
        """
        if not call.arguments.strip():
            raise WrongArguments("Give the Python code to run, in 'code'.")
        run = await self._db.fetch(runs.get, context.project, context.thread_id, context.run_id)
        resources = run.config.tool_resources.code_interpreter if run is not None else None
        given = list((resources and resources.file_ids) or ())
        try:
            async with self._sessions.of(context.project, context.thread_id, given) as seat:
                assert seat.session is not None
                ran = await seat.session.run(call.arguments)
                news, seat.news = seat.news, []
                return await self._outcome(seat, ran, news, context)
        except SandboxTrouble as trouble:
            said = trouble.message
            logs: Json = {"outputs": [{"type": "logs", "logs": said}]}
            return Outcome(output=error(said), result=CallResult.FAILED, detail=logs)

    async def _outcome(self, seat: Seat, ran: Ran, news: list[str], context: CallContext) -> Outcome:
        plots = [await self._plot(each.png, context) for each in ran.plots]
        left = [] if ran.ended else await self._left(seat, ran.left, news, context)
        after = _noted(_after(ran, len(plots), left))
        logs = _lines(*_noted(news), ran.logs)
        outputs: list[Json] = [{"type": "logs", "logs": within(logs, _MOST_SHOWN)}] if logs else []
        outputs += [{"type": "image", "image": {"file_id": each.file.id}} for each in plots]
        told = _lines(*_noted(news), within(ran.logs, _MOST_TOLD), *after)
        return Outcome(
            output=told or "The code ran, and printed nothing.",
            result=CallResult.FAILED if ran.raised or ran.ended else CallResult.OK,
            detail={"outputs": outputs},
            made=(*plots, *left),
        )

    # --- what is kept --------------------------------------------------------------------------------

    async def _plot(self, png: bytes, context: CallContext) -> MadeFile:
        async def whole() -> AsyncIterator[bytes]:
            yield png

        file_id = self._ids.new(FILE)
        return MadeFile(file=await self._kept(file_id, f"{file_id}.png", whole(), context), name=None)

    async def _left(
        self, seat: Seat, left: Sequence[Left], news: list[str], context: CallContext
    ) -> list[MadeFile]:
        """Keep the files that code has left, as far as the project has room."""
        assert seat.session is not None
        limit, made = self._room(context.project), list[MadeFile]()
        room = None if limit is None else limit - await self._db.fetch(files.total, context.project)
        for each in left[:MOST_FILES]:
            if fit(each.name) != each.name:
                news.append("A file could not be kept: its name can't be that of a file.")
                continue
            if room is not None and each.size > room:
                news.append(f"{each.name} could not be kept: the project's files have no room for it.")
                continue
            try:
                pieces = _at_most(each.size, seat.session.take(each.name))
                async with aclosing(pieces):
                    file = await self._kept(self._ids.new(FILE), each.name, pieces, context)
            except SandboxTrouble as trouble:
                news.append(f"{each.name} could not be kept: {trouble.message}")
                continue
            seat.left(each.name, file.id)
            room = None if room is None else room - file.bytes
            made.append(MadeFile(file=file, name=each.name))
        return made

    async def _kept(
        self, file_id: str, name: str, pieces: AsyncIterator[bytes], context: CallContext
    ) -> File:
        key = self._ids.new("")
        async with self._blobs.draft(key) as draft:
            async for piece in pieces:
                await draft.write(piece)
            kept = await draft.keep()
        return File(
            id=file_id,
            project=context.project,
            created_at=context.clock.now(),
            filename=name,
            purpose=MADE_BY_RUNS,
            bytes=kept.bytes,
            sha256=kept.sha256,
            blob=key,
        )


async def _at_most(size: int, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield a file's pieces, as many bytes as there was room looked for: code may lie, and go on writing.

    Raises:
        SandboxTrouble: it has more.
    """
    try:
        async for piece in pieces:
            if len(piece) > size:
                raise SandboxTrouble("it has more bytes than were looked for room for")
            size -= len(piece)
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _after(ran: Ran, plots: int, left: Sequence[MadeFile]) -> list[str]:
    """Return what a model is told behind what code has printed."""
    said: list[str] = []
    if plots:
        said.append(f"{plots} plot(s) shown to the user.")
    if left:
        said.append("Kept: " + ", ".join(f"{LINK}{each.name}" for each in left))
    if ran.unseen:
        said.append(f"{ran.unseen} more files were left, and not kept: {MOST_FILES} a call are.")
    return said


def _lines(*parts: str) -> str:
    return "\n".join(stripped for part in parts if (stripped := part.strip("\n")))


def _noted(notes: Sequence[str]) -> list[str]:
    return [f"[{note}]" for note in notes]


def within(text: str, most: int) -> str:
    """Return a text of at most ``most`` bytes as JSON: of a longer one the beginning and the end."""
    if len(text) <= most // 6:  # no character takes more in JSON
        return text
    if _fitting(text, most) == len(text):
        return text
    head = text[: _fitting(text, most // 2)]
    end = text[-most:][::-1]
    tail = end[: _fitting(end, most // 2)][::-1]
    return f"{head}\n[cut: {len(text) - len(head) - len(tail)} characters left out]\n{tail}"


def _fitting(text: str, most: int) -> int:
    """Return how many of a text's first characters take at most ``most`` bytes as JSON.

    Not much more than those is looked at: this is done on the event loop, and code chooses what takes long.
    """
    at, step = 0, 4096
    while step and at < len(text):
        piece = text[at : at + step]
        size = len(msgspec.json.encode(piece)) - 2
        if size <= most:
            at, most = at + len(piece), most - size
        else:
            step //= 2
    return at
