"""Run steps: /threads/{thread_id}/runs/{run_id}/steps."""

from clew.http.call import Call, page_request
from clew.store import runs, steps
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction
from clew.wire import objects
from clew.wire.errors import not_found
from clew.wire.objects import ListObject, StepObject


async def get(call: Call[None]) -> StepObject:
    """Read a run step."""
    step_id = call.path["step_id"]
    step = await call.services.db.read(
        steps.get, call.project, call.path["thread_id"], call.path["run_id"], step_id
    )
    if step is None:
        raise not_found("run step", step_id)
    return objects.step(step)


async def list_(call: Call[None]) -> ListObject[StepObject]:
    """List a run's steps."""
    page = await call.services.db.read(
        _list, call.project, call.path["thread_id"], call.path["run_id"], page_request(call)
    )
    return objects.listed([objects.step(each) for each in page.items], page.has_more)


async def _list(tx: Transaction, project: str, thread_id: str, run_id: str, wanted: PageRequest) -> Page:
    if await runs.get(tx, project, thread_id, run_id) is None:
        raise not_found("run", run_id)
    return await steps.page(tx, project, thread_id, run_id, wanted)
