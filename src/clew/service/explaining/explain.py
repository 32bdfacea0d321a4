"""Explains a run: reads what is known of it, and says what follows."""

from msgspec.structs import replace

from clew.core.errors import NotFound
from clew.core.records import Run
from clew.model.remote import RemoteModel
from clew.service.context import Services
from clew.service.explaining.findings import explained
from clew.service.explaining.situation import AskedEndpoint, Explanation, Situation, Workers
from clew.service.following import RunKeys
from clew.service.refused import Submission
from clew.store import explanations, messages, runs, steps
from clew.store import workers as worker_rows
from clew.store.statement import Transaction
from clew.store.workers import WorkerRow

_SILENT = 15_000
"""Milliseconds without a sign after which a worker is not counted as there: clocks may differ."""


async def explain(services: Services, keys: RunKeys) -> tuple[Run, Explanation]:
    """Return a run, and what is to be known of it.

    Raises:
        NotFound: there is no such run.
    """
    now = services.process.clock.now()
    situation, rows = await services.db.scan(_situation, keys, now, services.refusals.of(keys.run_id))
    workers, endpoints = _workers(services, situation.run, rows, now), _endpoints(services, situation.run)
    return situation.run, explained(
        replace(situation, workers=workers, endpoints=endpoints, share=services.shares.of(keys.project).runs)
    )


async def _situation(
    tx: Transaction, keys: RunKeys, now: int, refused: Submission | None
) -> tuple[Situation, list[WorkerRow]]:
    """Return what the rows say, of one moment."""
    run = await runs.get(tx, *keys)
    if run is None:
        raise NotFound("run", keys.run_id)
    around = await explanations.surroundings(tx, run)
    situation = Situation(
        now=now,
        run=run,
        steps=await steps.of_run(tx, run.id),
        messages=await messages.of_run(tx, run.id),
        takeovers=around.takeovers,
        ended_at=around.ended_at,
        line=around.line,
        refused=refused,
    )
    return situation, await worker_rows.all_(tx) if run.status.live else []


def _workers(services: Services, run: Run, rows: list[WorkerRow], now: int) -> Workers:
    """Return who is there to work. A process that is alone on its database has no row."""
    dispatch = services.dispatch
    here = dispatch.works_on(run.id)
    there = {row.id for row in rows if row.works and now - row.seen_at <= _SILENT}
    owner = None if run.worker is None else here or run.worker in there
    return Workers(
        alive=max(len(there), int(dispatch.works)), owner=owner, here=here, waiting=dispatch.waiting
    )


def _endpoints(services: Services, run: Run) -> list[AskedEndpoint]:
    chain = services.models.chain(run.config.model)
    return [
        AskedEndpoint(
            choice.endpoint,
            isinstance(choice.entry.back_end, RemoteModel) and choice.entry.back_end.reach.lost,
        )
        for choice in chain
    ]
