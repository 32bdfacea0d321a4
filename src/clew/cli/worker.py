"""``clew worker``."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from clew.cli import keys
from clew.cli.exposure import warn_about_network
from clew.cli.options import load_settings, setting
from clew.cli.problems import INTERRUPTED, USAGE, Problem
from clew.cli.serve import check_addresses, warn_about_model, without_password
from clew.settings import Settings

_log = logging.getLogger(__name__)


@click.command(
    epilog="""\b
Any number of workers share the runs of one database with any number of servers:
  export CLEW_DATABASE_URL=postgresql://clew@db/clew CLEW_BUS_URL=nats://bus:4222
  export CLEW_SECRET_KEY=...        the same for all
  clew serve --no-worker
  clew worker
"""
)
@setting("database_url", "--database")
@setting("bus_url", "--bus")
@setting("model_url", "--model-url")
@setting("data_dir", "--data-dir")
def worker(**flags: Any) -> None:
    """Work on the runs that servers accept. SIGTERM lets what is under way end, or hands it over."""
    settings = load_settings(**flags)
    if settings.bus_url is None:
        raise Problem("a worker needs a bus to be handed runs: set CLEW_BUS_URL to nats://host:4222", USAGE)
    check_addresses(settings)
    secret = keys.installation_secret(settings)

    from clew.blobs.open import WrongBlobs
    from clew.bus.bus import BusError
    from clew.store.database import StoreError
    from clew.telemetry.writer import logging_as

    with logging_as(settings):
        warn_about_model(settings)
        warn_about_network(settings)
        try:
            _run(settings, secret)
        except (StoreError, BusError) as error:
            raise Problem.of(error) from None
        except WrongBlobs as error:
            raise Problem(str(error), USAGE) from None


def _run(settings: Settings, secret: bytes) -> None:
    from clew.engine.assemble import assemble
    from clew.file_limit import raise_file_limit
    from clew.wire import webhooks

    raise_file_limit()
    assembly = assemble(settings, encode=webhooks.event, works=True, secret=secret)

    async def work() -> None:
        stop = asyncio.Event()
        on_signals(stop)
        await assembly.start()
        where = without_password(settings.database_url or "")
        if settings.log_format == "json":  # whoever reads it may read stdout too
            _log.info("Clew works on the runs of %s", where)
        else:
            click.echo(f"Clew works on the runs of {where}")
        await stop.wait()
        _log.info("ending: what is under way gets a moment, the rest is handed over")
        await assembly.stop(settings.drain_timeout)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


def on_signals(stop: asyncio.Event) -> None:
    """Have the first SIGINT or SIGTERM end the work in good order, and a second one end it at once."""
    loop = asyncio.get_running_loop()

    def end(*_: object) -> None:
        if stop.is_set():
            sys.exit(INTERRUPTED)
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
