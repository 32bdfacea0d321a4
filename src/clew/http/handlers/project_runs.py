"""A project's runs: /runs and /events. Clew's own."""

from starlette.datastructures import QueryParams

from clew.core.states import RunStatus
from clew.http.answers import Json
from clew.http.call import LATEST, Call, page_request, whole_number
from clew.http.feed_stream import FeedStream
from clew.http.streams import StreamPlace
from clew.service import project_runs
from clew.service.project_runs import RunFilter
from clew.wire import objects
from clew.wire.explain import bad_choice
from clew.wire.project_runs import ProjectRuns, listed

LONGEST_FEED = 86_400
"""Seconds after which a feed can be told to end."""


async def list_(call: Call[None]) -> Json[ProjectRuns]:
    """List the project's runs, also those that wait in line; status, agent, thread and time narrow it.

    Each page looks at no more than 1,000 runs. Where few of them are wanted, it may be short or empty and
    still say `has_more`; `next` is the cursor to go on from.
    """
    found, waiting = await project_runs.page(call.services, call.project, _filter(call), page_request(call))
    return Json(listed([objects.run(each, waiting.get(each.id)) for each in found.items], found.next))


def _filter(call: Call[None]) -> RunFilter:
    """Return which runs the query asks for.

    Raises:
        ApiError: a status is unknown, or a time is not a whole number of seconds.
    """
    after, before = _moment(call, "created_after"), _moment(call, "created_before")
    return RunFilter(
        statuses=_statuses(call),
        assistant_id=call.query.get("assistant_id") or None,
        thread_id=call.query.get("thread_id") or None,
        since=None if after is None else (after + 1) * 1000,
        until=None if before is None else before * 1000,
    )


def _statuses(call: Call[None]) -> frozenset[RunStatus]:
    """Return the statuses that are asked for, each by itself or several with commas between them."""
    query = call.query
    given = query.getlist("status") if isinstance(query, QueryParams) else []
    names = [name for each in given for name in each.split(",") if name]
    known = [status.value for status in RunStatus]
    for name in names:
        if name not in known:
            raise bad_choice("status", name, known)
    return frozenset(map(RunStatus, names))


def _moment(call: Call[None], name: str) -> int | None:
    given = call.query.get(name)
    return whole_number(given, name, least=0, most=LATEST) if given else None


async def follow(call: Call[None]) -> FeedStream:
    """Stream what the project's runs become: first those that are live or wait in line, then every change.

    `run.changed` tells of one run; `ready` comes when all that were live have been told; `resync` says that
    changes may be missing, so that the list is to be asked. No event is kept: who comes back begins anew.
    """
    given = call.query.get("wait")
    seconds = whole_number(given, "wait", least=0, most=LONGEST_FEED) if given else None
    return FeedStream(call.services, call.project, StreamPlace(call.services, call.project), seconds)
