"""Run steps: /threads/{thread_id}/runs/{run_id}/steps."""

from clew.http.call import Call, page_request
from clew.store import runs, steps
from clew.wire import objects
from clew.wire.errors import not_found
from clew.wire.objects import ListObject, StepObject


async def get(call: Call[None]) -> StepObject:
    """Read a run step."""
    step_id = call.path["step_id"]
    step = await call.services.db.fetch(
        steps.get, call.project, call.path["thread_id"], call.path["run_id"], step_id
    )
    if step is None:
        raise not_found("run step", step_id)
    return objects.step(step)


async def list_(call: Call[None]) -> ListObject[StepObject]:
    """List a run's steps."""
    db, thread_id, run_id = call.services.db, call.path["thread_id"], call.path["run_id"]
    page = await db.fetch(steps.page, call.project, thread_id, run_id, page_request(call))
    if not page.items and await db.fetch(runs.get, call.project, thread_id, run_id) is None:
        raise not_found("run", run_id)
    return objects.listed([objects.step(each) for each in page.items], page.has_more)
