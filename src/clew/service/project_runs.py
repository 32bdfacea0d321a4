"""A project's runs: their list, and the feed of what they become."""

from collections.abc import Mapping, Sequence

from clew.bus.feed import FeedReader
from clew.core.records import Step
from clew.service.context import Services
from clew.store import run_lists, steps
from clew.store.pages import PageRequest
from clew.store.run_lists import RunFilter, RunPage
from clew.store.statement import Row, Transaction

__all__ = ["RunFilter", "RunPage", "live", "page", "subscribe"]


async def page(
    services: Services, project: str, wanted: RunFilter, part: PageRequest
) -> tuple[RunPage, Mapping[str, Step]]:
    """Return a page of the runs that are wanted, and the steps that they wait for, by the runs' ids."""
    read = services.db.scan if run_lists.walk_of(wanted).open else services.db.read
    return await read(_page, project, wanted, part)


async def _page(
    tx: Transaction, project: str, wanted: RunFilter, part: PageRequest
) -> tuple[RunPage, Mapping[str, Step]]:
    found = await run_lists.page(tx, project, wanted, part)
    return found, await steps.open_of_all(tx, found.items)


def subscribe(services: Services, project: str) -> FeedReader:
    """Begin to read a project's feed."""
    return services.events.feed.subscribe(project, services.process.clock.now)


async def live(services: Services, project: str) -> Sequence[Row]:
    """Return what the feed says of each run that is live or waits in line; see :func:`run_lists.live`."""
    return await services.db.scan(run_lists.live, project)
