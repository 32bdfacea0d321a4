"""Run steps: read."""

from clew.core.errors import NotFound
from clew.core.records import Step
from clew.service.context import Services
from clew.service.following import RunKeys
from clew.store import runs, steps
from clew.store.pages import Page, PageRequest


async def read(services: Services, keys: RunKeys, step_id: str) -> Step:
    """Return a step of a run.

    Raises:
        NotFound: there is none.
    """
    step = await services.db.fetch(steps.get, *keys, step_id)
    if step is None:
        raise NotFound("step", step_id)
    return step


async def page(services: Services, keys: RunKeys, wanted: PageRequest) -> Page:
    """Return one page of a run's steps.

    Raises:
        NotFound: there is no such run.
    """
    found = await services.db.fetch(steps.page, *keys, wanted)
    if not found.items and await services.db.fetch(runs.get, *keys) is None:
        raise NotFound("run", keys.run_id)
    return found
