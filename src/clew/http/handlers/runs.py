"""Runs: /threads/{thread_id}/runs and /threads/runs."""

from clew.http.answers import Json
from clew.http.call import Call, includes, page_request, wait_seconds, waits_in_line, whole_number
from clew.http.handlers.steps import CONTENT
from clew.http.idempotency import key_of
from clew.http.streams import RunStream, StreamPlace
from clew.service import runs
from clew.service.commands import StartRun
from clew.service.following import RunKeys
from clew.service.starting import RunReceipt, start
from clew.wire import bodies, frames, objects
from clew.wire.explanations import RunExplanation, explanation
from clew.wire.objects import ListObject, RunObject
from clew.wire.requests import CreateRun, CreateThreadAndRun, SubmitToolOutputs, UpdateMetadata

POLL_AFTER_MS = 100
"""Milliseconds after which clients that poll are told to ask again."""

_POLL_AFTER = ((b"openai-poll-after-ms", b"%d" % POLL_AFTER_MS),)

LAST_POSITION = 999_999_999_999_999
"""No run's journal gets that far, and any client's numbers do."""


async def create(call: Call[CreateRun]) -> Json[RunObject] | RunStream:
    """Start a run on a thread, with the messages that the body adds, all or nothing."""
    wait = waits_in_line(call)
    return await _start(call, bodies.start_run(call.body, call.path["thread_id"], call.dialect, wait=wait))


async def create_thread_and_run(call: Call[CreateThreadAndRun]) -> Json[RunObject] | RunStream:
    """Create a thread and start a run on it, all or nothing."""
    return await _start(call, bodies.start_thread_and_run(call.body, call.dialect, wait=waits_in_line(call)))


async def _start(
    call: Call[CreateRun] | Call[CreateThreadAndRun], command: StartRun
) -> Json[RunObject] | RunStream:
    if not call.body.stream:
        return Json(objects.run((await start(call.services, call.project, command, key_of(call))).run))
    with StreamPlace(call.services, call.project) as place:
        receipt = await start(call.services, call.project, command, key_of(call))
        return _stream(call, receipt, place)


async def submit_tool_outputs(call: Call[SubmitToolOutputs]) -> Json[RunObject] | RunStream:
    """Answer all the calls that a run waits for. Of two submissions one wins."""
    command = bodies.submit(call.body)
    if not call.body.stream:
        receipt = await runs.submit(call.services, call.run_keys, command, key_of(call))
        return Json(objects.run(receipt.run))
    with StreamPlace(call.services, call.project) as place:
        receipt = await runs.submit(call.services, call.run_keys, command, key_of(call))
        return _stream(call, receipt, place)


def _stream(
    call: Call[CreateRun] | Call[CreateThreadAndRun] | Call[SubmitToolOutputs],
    receipt: RunReceipt,
    place: StreamPlace,
) -> RunStream:
    run, thread = receipt.run, receipt.thread
    keys = RunKeys(call.project, run.thread_id, run.id)
    preface = frames.thread_created(objects.thread(thread)) if thread is not None else b""
    content = includes(call, CONTENT)
    return RunStream(call.services, keys, place, after=receipt.after, preface=preface, content=content)


async def cancel(call: Call[None]) -> Json[RunObject]:
    """Cancel a run: whoever works on it stops at once."""
    return Json(objects.run(await runs.cancel(call.services, call.run_keys, key_of(call))))


async def get(call: Call[None]) -> Json[RunObject]:
    """Read a run; with ``wait``, as soon as it is over or waits for somebody, or after so long."""
    state = await runs.read(call.services, call.run_keys, wait=wait_seconds(call))
    return Json(objects.run(state.run, state.open_step), _POLL_AFTER)


async def explain(call: Call[None]) -> Json[RunExplanation]:
    """Say in words why a run is where it is, what can be done, and where its time went.

    Findings come in the order in which they matter. Their `code` and that of `times` stay the same over
    versions, the words may change. That a submission was refused is known to the process that refused it,
    until it ends. Clew's own.
    """
    from clew.service.explaining.explain import explain as explained

    return Json(explanation(*await explained(call.services, call.run_keys)))


async def follow(call: Call[None]) -> RunStream:
    """Stream a run's events, from the one after position ``after`` on, whether it lives or is over."""
    with StreamPlace(call.services, call.project) as place:
        await runs.read(call.services, call.run_keys)
        return RunStream(call.services, call.run_keys, place, after=_after(call), joined=True)


def _after(call: Call[None]) -> int:
    """Return the position to go on from: the query's, or the later one that an EventSource has seen.

    An EventSource that connects again repeats its URL, with the ``after`` that it once began with.
    """
    asked, seen = call.query.get("after") or "0", call.header(b"last-event-id") or "0"
    return max(
        whole_number(asked, "after", least=0, most=LAST_POSITION),
        whole_number(seen, "Last-Event-ID", least=0, most=LAST_POSITION),
    )


async def update(call: Call[UpdateMetadata]) -> Json[RunObject]:
    """Change a run's metadata."""
    state = await runs.update(call.services, call.run_keys, call.body.metadata)
    return Json(objects.run(state.run, state.open_step))


async def list_(call: Call[None]) -> Json[ListObject[RunObject]]:
    """List a thread's runs."""
    page, open_step = await runs.page(call.services, call.project, call.path["thread_id"], page_request(call))
    return Json(objects.listed([objects.run(each, open_step) for each in page.items], page.has_more))
