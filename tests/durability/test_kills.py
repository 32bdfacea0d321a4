"""Everything dies, again and again, while clients work: nothing is lost, nothing is doubled.

The longer loops: make chaos.
"""

from collections.abc import Callable

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.durability.kills import hurt
from tests.durability.load import answer
from tests.durability.sites import many_processes, one_process
from tests.support.nats import running_nats
from tests.support.postgres import running_postgres

pytestmark = pytest.mark.timeout(180)


def test_a_server_on_sqlite_is_killed_thirty_times(tell: Callable[[str], None]) -> None:
    with ScriptedModel(default=answer, keep_requests=10) as model, one_process(model) as site:
        report = hurt(site, kills=30, seed=11)
    tell(f"SQLite: {report}")
    assert report.complaints == []
    assert report.acknowledged > 500
    assert report.takeovers > 0


def test_servers_workers_database_and_bus_are_hurt_by_turns(tell: Callable[[str], None]) -> None:
    with (
        ScriptedModel(default=answer, keep_requests=10) as model,
        running_postgres() as postgres,
        running_nats() as nats,
        many_processes(model, postgres, nats, 12) as site,
    ):
        report = hurt(site, kills=24, seed=12)
    tell(f"PostgreSQL and NATS: {report}")
    assert report.complaints == []
    assert report.acknowledged > 500
    assert len(report.faults) == 8
