"""``clew code-worker``."""

import asyncio
import contextlib
import logging
import tempfile
from pathlib import Path
from typing import Any

import click

from clew.cli.exposure import warn_about_network
from clew.cli.options import load_settings, setting
from clew.cli.problems import USAGE, Problem
from clew.cli.worker import loop_factory, on_signals
from clew.settings import NOT_FOR_CODE_WORKERS, Settings, foreign_secrets

_log = logging.getLogger(__name__)


@click.command(
    name="code-worker",
    epilog="""\b
Where servers and workers say CLEW_SANDBOX=remote, on other machines:
  export CLEW_BUS_URL=tls://bus:4222
  export CLEW_CODE_KEY=...          as `clew secrets code-key` prints it
  clew code-worker

\b
It is given nothing else: with a database's URL, the installation's secret or a model's key in its
environment it does not start. CLEW_SANDBOX says what code runs behind here: auto, bwrap, landlock, or outer
in a container that is a sandbox itself (gVisor, Kata), where it ends with its first session.
""",
)
@setting("bus_url", "--bus")
def code_worker(**flags: Any) -> None:
    """Run code of code_interpreter, for servers on a bus. SIGTERM ends it, and its sessions."""
    settings = load_settings(**flags)
    check(settings)

    from clew.bus.bus import BusError
    from clew.sandbox.sandbox import SandboxTrouble
    from clew.telemetry.writer import logging_as

    with logging_as(settings):
        warn_about_network(settings)
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(_work(settings))
        except BusError as error:
            raise Problem.of(error) from None
        except SandboxTrouble as trouble:
            raise Problem(trouble.message) from None


def check(settings: Settings) -> None:
    """Refuse to start with too little, or with too much.

    Raises:
        Problem: with what to change.
    """
    known = [f"CLEW_{name.upper()}" for name in NOT_FOR_CODE_WORKERS if getattr(settings, name)]
    if found := list(dict.fromkeys([*foreign_secrets(), *known])):
        raise Problem(f"a code worker must not have {', '.join(found)}: run it without", USAGE)
    if settings.bus_url is None:
        raise Problem("a code worker is asked over a bus: set CLEW_BUS_URL to nats://host:4222", USAGE)
    if settings.code_key is None:
        raise Problem("set CLEW_CODE_KEY to what `clew secrets code-key` prints beside a server", USAGE)
    if settings.sandbox in ("remote", "off"):
        raise Problem(
            f"CLEW_SANDBOX={settings.sandbox} is for servers: say what code runs behind here", USAGE
        )


async def _work(settings: Settings) -> None:
    from clew.bus.nats_access import BusAddress
    from clew.bus.nats_link import NatsLink
    from clew.process import system_process
    from clew.remote.driver import PREFIX
    from clew.remote.host import Host
    from clew.sandbox.choosing import chosen
    from clew.sandbox.outer import Outer
    from clew.sandbox.setup import program

    assert settings.bus_url is not None
    assert settings.code_key is not None
    python = settings.sandbox_python or program(settings.data_dir)
    driver = await chosen(
        settings.sandbox,
        None if python is None else str(python),
        settings.data_dir,
        {"outer": lambda python, _: Outer(python)},
    )
    address = BusAddress(settings.bus_url, settings.bus_ca, settings.bus_credentials)
    secret = settings.code_key.reveal().strip().encode()
    link = NatsLink(address, f"{settings.bus_prefix}.{PREFIX}", secret)
    with tempfile.TemporaryDirectory(prefix="clew-code-", ignore_cleanup_errors=True) as folder:
        host = Host(
            link,
            driver,
            process=system_process(),
            most=settings.sandbox_sessions,
            folder=Path(folder),
            once=driver.name == Outer.name,
        )
        await link.open(host.name)
        try:
            on_signals(host.over)
            await host.serve()
            said = f"Clew runs code behind {driver.name}, as {host.name}"
            _log.info(said) if settings.log_format == "json" else click.echo(said)
            await host.over.wait()
        finally:
            await host.close()
            with contextlib.suppress(Exception):
                await link.close()
