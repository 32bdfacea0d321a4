"""Run steps: /threads/{thread_id}/runs/{run_id}/steps."""

from clew.http.answers import Json
from clew.http.call import Call, page_request
from clew.service import steps
from clew.wire import objects
from clew.wire.objects import ListObject, StepObject


async def get(call: Call[None]) -> Json[StepObject]:
    """Read a run step."""
    return Json(objects.step(await steps.read(call.services, call.run_keys, call.path["step_id"])))


async def list_(call: Call[None]) -> Json[ListObject[StepObject]]:
    """List a run's steps."""
    page = await steps.page(call.services, call.run_keys, page_request(call))
    return Json(objects.listed([objects.step(each) for each in page.items], page.has_more))
