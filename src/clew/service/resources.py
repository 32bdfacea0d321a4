"""What tools work on: files and vector stores that agents, threads, runs and messages name.

What is named must be the project's own. A store that is described where one may be named is made; a file that
is attached to a message goes into its thread's store, or among the files of its code interpreter.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from clew.core.content import Attachment, ImageFileContent
from clew.core.errors import NotFound
from clew.core.records import Message, Thread
from clew.core.tools import CodeInterpreterResources, FileSearchResources, ToolResources
from clew.service.commands import Given, NewStore, NewStoreFile
from clew.service.vector_stores import Making, add_with_files, draft, held, put
from clew.store import files, threads, vector_stores
from clew.store.statement import Transaction

THREAD_STORE_DAYS = 7
"""Days after its last use that a store expires which was made for a thread."""


def needs_files(messages: Sequence[Message]) -> bool:
    """Whether messages have images or attachments."""
    return any(
        message.attachments or any(isinstance(part, ImageFileContent) for part in message.content)
        for message in messages
    )


def has_to_read(messages: Sequence[Message], *given: Given | None) -> bool:
    """Whether messages and resources may have put files into vector stores, where they are to be read."""
    return any(message.attachments for message in messages) or any(
        each is not None and each.new_store is not None for each in given
    )


async def settled(
    tx: Transaction, make: Making, project: str, given: Given, *, of_thread: bool = False
) -> ToolResources:
    """Return resources in which everything is there: what is named is looked for, what is described is made.

    Raises:
        NotFound: the project has no such file or store.
        StoreFull: a store has too many files.
    """
    named = given.named
    if named.code_interpreter is not None:
        for file_id in named.code_interpreter.file_ids or ():
            await _look_for(tx, project, file_id, "tool_resources.code_interpreter.file_ids")
    search = named.file_search
    for store_id in (search and search.vector_store_ids) or ():
        if await vector_stores.get(tx, project, store_id) is None:
            raise NotFound("vector_store", store_id, "tool_resources.file_search.vector_store_ids")
    if given.new_store is None:
        return named
    store = draft(make, project, given.new_store, THREAD_STORE_DAYS if of_thread else None)
    await add_with_files(tx, store, given.new_store.files)
    return replace(named, file_search=FileSearchResources(vector_store_ids=[store.id]))


async def _look_for(tx: Transaction, project: str, file_id: str, where: str) -> None:
    if await files.get(tx, project, file_id) is None:
        raise NotFound("file", file_id, where)


async def attach(
    tx: Transaction,
    make: Making,
    project: str,
    thread_id: str,
    messages: Sequence[Message],
    names: str = "",
) -> None:
    """Look for the images of messages that are added to a thread, and do with their attachments as they say.

    ``names`` is what a request calls its list of messages, if it has one.

    Raises:
        NotFound: the project has no such file.
        StoreFull: the thread's store has too many files.
    """
    for index, message in enumerate(messages):
        path = f"{names}[{index}]." if names else ""
        for number, part in enumerate(message.content):
            if isinstance(part, ImageFileContent):
                where = f"{path}content[{number}].image_file.file_id"
                await _look_for(tx, project, part.image_file.file_id, where)
        for number, attachment in enumerate(message.attachments):
            where = f"{path}attachments[{number}].file_id"
            await _look_for(tx, project, attachment.file_id or "", where)
    attached = [each for message in messages for each in message.attachments]
    if not attached:
        return
    thread = await threads.get(tx, project, thread_id)
    if thread is None:
        raise NotFound("thread", thread_id)
    changed = await _attached(tx, make, thread, attached)
    if changed != thread:
        await threads.save(tx, changed)


async def _attached(tx: Transaction, make: Making, thread: Thread, attached: Sequence[Attachment]) -> Thread:
    resources = thread.tool_resources
    searched, run = ([each for each in attached if _is_for(each, kind)] for kind in _KINDS)
    if run:
        before = list((resources.code_interpreter and resources.code_interpreter.file_ids) or ())
        ids = list(dict.fromkeys([*before, *(each.file_id or "" for each in run)]))
        resources = replace(resources, code_interpreter=CodeInterpreterResources(file_ids=ids[-20:]))
    if searched:
        wanted = [NewStoreFile(file_id=each.file_id or "") for each in searched]
        resources = await _into_store(tx, make, thread, resources, wanted)
    return replace(thread, tool_resources=resources)


_KINDS = ("file_search", "code_interpreter")


def _is_for(attachment: Attachment, kind: str) -> bool:
    return any(tool.type == kind for tool in attachment.tools or ())


async def _into_store(
    tx: Transaction,
    make: Making,
    thread: Thread,
    resources: ToolResources,
    wanted: Sequence[NewStoreFile],
) -> ToolResources:
    """Put files into a thread's store; make that if there is none, or if it is gone or expired."""
    named = (resources.file_search and resources.file_search.vector_store_ids) or ()
    for store_id in named:
        store = await vector_stores.get(tx, thread.project, store_id)
        if store is not None and store.status(make.now) != "expired":
            await put(tx, await held(tx, thread.project, store_id), wanted, make.now)
            return resources
    store = draft(make, thread.project, NewStore(), THREAD_STORE_DAYS)
    await add_with_files(tx, store, wanted)
    return replace(resources, file_search=FileSearchResources(vector_store_ids=[store.id]))
