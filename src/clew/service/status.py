"""How a server is, for those who look after it."""

import asyncio
import time

from msgspec import Struct

from clew.model.catalogue import DEFAULT, ModelEntry
from clew.model.chat import ModelError
from clew.model.endpoint import shown_address
from clew.model.remote import RemoteModel
from clew.model.trial import Trial
from clew.network import network_for
from clew.process import Process
from clew.service.context import Services
from clew.store import census, workers
from clew.store.census import Census
from clew.store.statement import Transaction
from clew.store.workers import WorkerRow

_STORE_TIMEOUT = 5.0
_TRIAL_TIMEOUT = 30.0


class StoreStatus(Struct, frozen=True):
    """What the store says, and how long it took. ``trouble`` says why it says nothing, or takes nothing.

    ``of_other_embedders`` are vector stores whose vectors this server can't use.
    """

    ms: float
    census: Census | None
    workers: list[WorkerRow]
    of_other_embedders: int
    trouble: str | None


class EndpointStatus(Struct, frozen=True):
    """One model that is offered. ``reachable`` is None for one that is not asked over a network."""

    name: str
    address: str | None
    reachable: bool | None
    answers_in_ms: int | None = None
    problem: str | None = None


async def of_store(services: Services) -> StoreStatus:
    """Count what is in the store, if it answers within seconds."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(_STORE_TIMEOUT):
            counted, there, others = await services.db.fetch(_counted, services.searcher.embedder)
    except Exception as error:
        said = services.db.refusing() or f"the store does not answer: {error or type(error).__name__}"
        return StoreStatus(_ms(begun), None, [], 0, said)
    return StoreStatus(_ms(begun), counted, there, others, services.db.refusing())


async def _counted(tx: Transaction, embedder: str | None) -> tuple[Census, list[WorkerRow], int]:
    others = await census.of_other_embedders(tx, embedder)
    return await census.take(tx), await workers.all_(tx), others


async def of_models(services: Services, *, ask: bool) -> list[EndpointStatus]:
    """Return the models that are offered; ``ask`` asks each for one tiny answer, as a run would."""
    entries = services.models.entries.items()
    if not ask:
        return [_known(name, entry) for name, entry in entries]
    return list(await asyncio.gather(*(_asked(services.process, name, entry) for name, entry in entries)))


def _known(name: str, entry: ModelEntry) -> EndpointStatus:
    if not isinstance(entry.back_end, RemoteModel):
        return EndpointStatus(entry.name or name, None, None)
    address = shown_address(entry.back_end.endpoint.url)
    return EndpointStatus(name, address, not entry.back_end.reach.lost)


async def _asked(process: Process, name: str, entry: ModelEntry) -> EndpointStatus:
    if not isinstance(entry.back_end, RemoteModel):
        return _known(name, entry)
    endpoint = entry.back_end.endpoint
    address = shown_address(endpoint.url)
    if entry.name is None and name == DEFAULT:  # whatever programs ask for, and nobody knows what they will
        listed = await entry.back_end.models()
        return EndpointStatus(name, address, bool(listed) or not entry.back_end.reach.lost)
    trial = Trial(
        endpoint,
        entry.name or name,
        timeout=_TRIAL_TIMEOUT,
        clock=process.clock,
        network=network_for(endpoint.url),
    )
    begun = time.perf_counter()
    try:
        await trial.tiny()
    except ModelError as error:
        return EndpointStatus(name, address, False, problem=error.message)
    finally:
        await trial.aclose()
    return EndpointStatus(name, address, True, answers_in_ms=round(_ms(begun)))


def _ms(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1000, 1)
