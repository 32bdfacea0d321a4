"""What the tests of the use cases share: a store of either kind, and nobody who works on runs."""

from collections.abc import AsyncIterator

import pytest

from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents
from clew.clock import SystemClock
from clew.process import Process
from clew.service.context import Services
from clew.tools.searcher import Searcher
from tests.support.blobs import NO_BLOBS
from tests.support.clock import ManualClock
from tests.support.database import Place
from tests.support.ids import CountingIds
from tests.support.models import unasked_models
from tests.support.store import opened


@pytest.fixture
def own_clock() -> ManualClock:
    """The clock of a test's use cases."""
    return ManualClock()


@pytest.fixture
async def services(place: Place, own_clock: ManualClock) -> AsyncIterator[Services]:
    """What the use cases stand on. Runs stay queued."""
    async with opened(place) as db:
        yield Services(
            db=db,
            dispatch=LocalDispatch("worker_1", 0),
            events=LocalEvents(),
            process=Process(own_clock, CountingIds()),
            models=unasked_models(),
            blobs=NO_BLOBS,
            searcher=Searcher(db, None, SystemClock()),
            run_expiry=600_000,
        )
