"""The loop of kills: clients write as fast as they can, and things die under them at any moment.

    python -m tests.durability.kills --kills 500
    python -m tests.durability.kills --kills 500 --many

The moments come after a number of acknowledgements that a seed chooses, never after a time. In the end
every run has ended, and the checker of histories holds what clients were told against what is there.
"""

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import httpx2

from clew.testing.scripted_model import ScriptedModel
from tests.durability.file_history import check_all_files, told_of
from tests.durability.file_load import FileClient
from tests.durability.history import check
from tests.durability.load import Client, answer
from tests.durability.remains import hastened, remains
from tests.durability.sites import Site, many_processes, one_process
from tests.support.database import miscounted_threads

_CLIENTS = 6
_FILE_CLIENTS = 3
_TIMEOUT = 60.0
_TELL_EVERY = 25


class Report(NamedTuple):
    """What happened. ``recoveries`` are seconds from a fault to the next acknowledgement."""

    faults: Counter[str]
    acknowledged: int
    runs: int
    cuts: int
    takeovers: int
    recoveries: list[float]
    files: str
    complaints: list[str]

    def __str__(self) -> str:
        hurt = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        worst = max(self.recoveries, default=0.0)
        usual = sorted(self.recoveries)[len(self.recoveries) // 2] if self.recoveries else 0.0
        return (
            f"{sum(self.faults.values())} faults ({hurt}): {self.acknowledged} acknowledged writes, "
            f"{self.runs} runs, {self.cuts} streams joined again, {self.takeovers} turns taken over; "
            f"{self.files}; "
            f"next acknowledgement after {usual:.2f} s (longest {worst:.2f} s); "
            f"lost or doubled: {len(self.complaints)}"
        )


class _Progress:
    """Counts acknowledgements, and waits for the next ones."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait_for_more(self, more: int, clients: list[Client]) -> None:
        """Return after so many acknowledgements more.

        Raises:
            AssertionError: they did not come, or a client has met something that it should not meet.
        """
        with self._changed:
            wanted = self._count + more

            def there() -> bool:
                return self._count >= wanted or any(client.error for client in clients)

            arrived = self._changed.wait_for(there, _TIMEOUT)
        for client in clients:
            if client.error is not None:
                raise client.error
        assert arrived, f"no {more} acknowledgements within {_TIMEOUT:g} s"


def hurt(site: Site, *, kills: int, seed: int, tell: Callable[[str], None] = lambda line: None) -> Report:
    """Let clients work, and hurt the site so many times; return what came of it.

    ``tell`` hears now and then how far it has got.
    """
    chance, progress = random.Random(f"moments/{seed}"), _Progress()
    kinds = [Client] * _CLIENTS + [FileClient] * _FILE_CLIENTS
    clients = [kind(number, site.key, site.urls, progress.add, seed) for number, kind in enumerate(kinds)]
    for client in clients:
        client.start()
    faults: Counter[str] = Counter()
    recoveries: list[float] = []
    names = sorted(site.faults)
    for number in range(kills):
        progress.wait_for_more(chance.randint(1, 60), clients)
        name = names[number % len(names)]
        begun = time.perf_counter()
        site.faults[name]()
        progress.wait_for_more(1, clients)
        recoveries.append(time.perf_counter() - begun)
        faults[name] += 1
        if (number + 1) % _TELL_EVERY == 0:
            acknowledged = sum(client.log.acknowledged for client in clients)
            tell(f"{number + 1} of {kills} faults, {acknowledged} acknowledged writes")
    _finish(site, clients)
    return _examine(site, clients, faults, recoveries)


def _finish(site: Site, clients: list[Client]) -> None:
    for client in clients:
        client.stop()
    with hastened(site.place, site.urls, site.key) as wait_done:
        for client in clients:
            client.wait_stopped(_TIMEOUT)
        wait_done()


def _examine(site: Site, clients: list[Client], faults: Counter[str], recoveries: list[float]) -> Report:
    complaints: list[str] = []
    files = [client.file_log for client in clients if isinstance(client, FileClient)]
    with httpx2.Client(timeout=30) as http:
        for client in clients:
            threads = {thread: site.final(http, thread) for thread in client.log.messages}
            complaints += check(client.log, {name: final for name, final in threads.items() if final})
        complaints += check_all_files(http, site.urls()[0], site.key, files)
    complaints += [f"{thread}: its row does not count right" for thread in miscounted_threads(site.place)]
    takeovers = site.takeovers()
    site.end()
    complaints += remains(site.place, site.blobs)
    return Report(
        faults,
        sum(client.log.acknowledged for client in clients),
        sum(len(client.log.runs) for client in clients),
        sum(client.cuts for client in clients),
        takeovers,
        recoveries,
        told_of(files),
        complaints,
    )


def main() -> None:
    """Run the loop from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--many", action="store_true", help="servers and workers on PostgreSQL and NATS")
    options = parser.parse_args()
    with ScriptedModel(default=answer, keep_requests=10) as model:
        if options.many:
            from tests.support.nats import running_nats
            from tests.support.postgres import running_postgres

            with (
                running_postgres() as postgres,
                running_nats() as nats,
                many_processes(model, postgres, nats, options.seed) as site,
            ):
                report = hurt(site, kills=options.kills, seed=options.seed, tell=_say)
        else:
            with one_process(model) as one:
                report = hurt(one, kills=options.kills, seed=options.seed, tell=_say)
    print(report)
    for complaint in report.complaints:
        print(f"  {complaint}")
    sys.exit(bool(report.complaints))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
