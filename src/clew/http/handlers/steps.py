"""Run steps: /threads/{thread_id}/runs/{run_id}/steps."""

from clew.http.answers import Json
from clew.http.call import Call, includes, page_request
from clew.service import steps
from clew.wire import objects
from clew.wire.objects import ListObject, StepObject

REASONING = "step_details.reasoning"


async def get(call: Call[None]) -> Json[StepObject]:
    """Read a run step."""
    found = await steps.read(call.services, call.run_keys, call.path["step_id"])
    return Json(objects.step(found, reasoning=includes(call, REASONING)))


async def list_(call: Call[None]) -> Json[ListObject[StepObject]]:
    """List a run's steps."""
    page = await steps.page(call.services, call.run_keys, page_request(call))
    shown = includes(call, REASONING)
    return Json(objects.listed([objects.step(each, reasoning=shown) for each in page.items], page.has_more))
