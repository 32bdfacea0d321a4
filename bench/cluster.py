"""Several processes: how soon a killed worker's runs go on, and what workers add.

    python -m bench.cluster

Workers are killed in the middle of a word; the time is measured to the moment at which another worker asks
the model for that turn again. Throughput is measured twice: with a model that answers at once, where two
cores are the limit, and with one that takes its time, where the workers' places are.
"""

import argparse
import asyncio
import json
import statistics
import time
from contextlib import ExitStack

import uvloop

from bench import turns
from bench.processes import STORES, model, site
from clew.testing.scripted_model import ScriptedModel
from tests.support.cluster import cluster
from tests.support.nats import running_nats
from tests.support.postgres import running_postgres

_SLOW_WORDS, _PACE = 10, 0.05
_PLACES = 20


def takeovers(times: int) -> list[float]:
    """Return the seconds from the kill of a worker to its run's next model call, with default settings."""
    taken = []
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        nats = stack.enter_context(running_nats())
        scripted = stack.enter_context(ScriptedModel())
        url = postgres.new_database("takeover")
        together = stack.enter_context(cluster(url, nats.url, scripted.url))
        _, api = together.server("--no-worker")
        agent = api.agent()
        working = together.worker()
        for _ in range(times):
            held = scripted.hold("In the middle of a ")
            scripted.reply("whole sentence.")
            run = api.run(api.thread("Go on."), agent)
            held.wait_paused()
            asked = len(scripted.requests)
            following = together.worker()
            working.kill()
            begun = time.perf_counter()
            scripted.wait_for_requests(asked + 1, timeout=30)
            taken.append(time.perf_counter() - begun)
            run.wait("completed")
            working = following
    return taken


async def throughput(workers: int, clients: int, seconds: float, *, slow: bool) -> float:
    """Return the turns a second that so many workers do beside a server that only serves."""
    places = str(_PLACES) if slow else "1000"
    words, pace = (_SLOW_WORDS, _PACE) if slow else (5, 0.0)
    with (
        model(words, pace) as (url, pid),
        site(STORES["postgres"], url, pid, workers=workers, CLEW_MAX_ACTIVE_RUNS=places) as running,
    ):
        await turns.at_once(running, 8, 2.0)
        figures = await turns.at_once(running, clients, seconds)
    return next(figure.value for figure in figures if figure.name == "turns")


async def measure(times: int, seconds: float) -> dict[str, object]:
    """Measure everything."""
    taken = await asyncio.to_thread(takeovers, times)
    result: dict[str, object] = {
        "takeover, median (s)": round(statistics.median(taken), 2),
        "takeover, longest (s)": round(max(taken), 2),
        "takeovers": times,
    }
    for workers in (1, 2, 4):
        at_once = await throughput(workers, 64, seconds, slow=False)
        result[f"turns a second, {workers} workers, a model that answers at once"] = round(at_once)
        slowly = await throughput(workers, 160, seconds, slow=True)
        result[f"turns a second, {workers} workers with {_PLACES} places, 0.5 s an answer"] = round(slowly)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(options.kills, options.seconds)), indent=1))


if __name__ == "__main__":
    main()
