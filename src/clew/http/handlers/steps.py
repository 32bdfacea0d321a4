"""Run steps: /threads/{thread_id}/runs/{run_id}/steps."""

from clew.http.answers import Json
from clew.http.call import Call, includes, page_request
from clew.service import steps
from clew.wire import objects
from clew.wire.objects import ListObject, StepObject

REASONING = "step_details.reasoning"
CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


async def get(call: Call[None]) -> Json[StepObject]:
    """Read a run step."""
    found = await steps.read(call.services, call.run_keys, call.path["step_id"])
    return Json(objects.step(found, **_included(call)))


async def list_(call: Call[None]) -> Json[ListObject[StepObject]]:
    """List a run's steps."""
    page = await steps.page(call.services, call.run_keys, page_request(call))
    shown = _included(call)
    return Json(objects.listed([objects.step(each, **shown) for each in page.items], page.has_more))


def _included(call: Call[None]) -> dict[str, bool]:
    """Return what the query asks for that steps leave out otherwise."""
    return {"reasoning": includes(call, REASONING), "content": includes(call, CONTENT)}
