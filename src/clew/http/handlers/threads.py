"""Threads: /threads."""

from clew.http.answers import Json
from clew.http.call import LATEST, Call, page_request, whole_number
from clew.http.idempotency import key_of
from clew.service import threads
from clew.wire import bodies, objects
from clew.wire.errors import invalid
from clew.wire.objects import Deleted, ListObject, ThreadObject
from clew.wire.requests import CreateThread, UpdateThread

_MOST_PAIRS = 16
_PREFIX, _SUFFIX = "metadata[", "]"
_SHOWN = 80
"""Characters of a name in the query that an error repeats."""


async def create(call: Call[CreateThread]) -> Json[ThreadObject]:
    """Create a thread, with the messages that the body brings."""
    new = bodies.new_thread(call.body, call.dialect)
    return Json(objects.thread(await threads.create(call.services, call.project, new, key_of(call))))


async def get(call: Call[None]) -> Json[ThreadObject]:
    """Read a thread."""
    return Json(objects.thread(await threads.read(call.services, call.project, call.path["thread_id"])))


async def update(call: Call[UpdateThread]) -> Json[ThreadObject]:
    """Change a thread's metadata or tool resources."""
    thread_id, fields = call.path["thread_id"], bodies.thread_fields(call.body)
    return Json(objects.thread(await threads.update(call.services, call.project, thread_id, fields)))


async def delete(call: Call[None]) -> Json[Deleted]:
    """Delete a thread with all that is in it. A run that is still active is cancelled first.

    With ``unchanged_since``, a thread in which anything has happened after that moment stays.
    """
    thread_id, asked = call.path["thread_id"], call.query.get("unchanged_since")
    since = None if asked is None else whole_number(asked, "unchanged_since", least=0, most=LATEST)
    await threads.delete(call.services, call.project, thread_id, unchanged_since=since)
    return Json(Deleted(thread_id, "thread.deleted"))


async def list_(call: Call[None]) -> Json[ListObject[ThreadObject]]:
    """List the project's threads; ``metadata[key]=value`` narrows it, also several times.

    Azure has this list; OpenAI's users asked for it since day one.
    """
    page = await threads.page(call.services, call.project, page_request(call), _metadata_filter(call))
    return Json(objects.listed([objects.thread(each) for each in page.items], page.has_more))


def _metadata_filter(call: Call[None]) -> dict[str, str]:
    """Return the pairs that ``metadata[key]=value`` in the query asks for.

    Raises:
        ApiError: something looks like such a pair and is none, or there are too many.
    """
    pairs: dict[str, str] = {}
    for name, value in call.query.multi_items():
        if not name.casefold().startswith("metadata"):
            continue
        key = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        if len(name) != len(_PREFIX) + len(key) + len(_SUFFIX):  # to list everything would be no answer
            message = "A filter by metadata is written 'metadata[key]=value', once for each key."
            raise invalid(f"Invalid '{name[:_SHOWN]}': {message}", param="metadata", code="invalid_value")
        if pairs.setdefault(key, value) != value:
            message = f"Invalid 'metadata': the key '{key[:_SHOWN]}' is given twice, with two values."
            raise invalid(message, param="metadata", code="invalid_value")
    if len(pairs) > _MOST_PAIRS:
        message = f"Invalid 'metadata': too many properties. Expected at most {_MOST_PAIRS}."
        raise invalid(message, param="metadata", code="object_above_max_properties")
    return pairs
