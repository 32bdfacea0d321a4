"""``clew stats``."""

from collections.abc import Sequence

import click

from clew.cli.lists import json_option
from clew.cli.moments import moment
from clew.cli.output import show
from clew.cli.problems import USAGE, Problem
from clew.cli.remote import Remote, on_server
from clew.clock import SystemClock
from clew.toolkit.performance.monitor import PerformanceMonitor
from clew.toolkit.performance.report import Report


@click.command(
    epilog="""\b
Examples:
  clew stats                               the last day
  clew stats --since 15m
  clew stats --since 2026-11-01 --until 2026-12-01 --json
  clew stats --thread thread_... --plot    from its runs and steps
  clew stats --csv > runs.csv              a line for each run
"""
)
@click.option(
    "--since", metavar="WHEN", help="an age such as 15m, 24h, 7d, or an ISO date and time.  [default: 24h]"
)
@click.option("--until", metavar="WHEN", help="the same.  [default: now]")
@click.option("--thread", "thread_ids", multiple=True, metavar="ID", help="only these threads, of any time")
@click.option("--csv", "as_csv", is_flag=True, help="a line for each run, read from the records")
@click.option("--plot", is_flag=True, help="with a histogram of the run times, read from the records")
@json_option
@on_server
def stats(
    remote: Remote,
    since: str | None,
    until: str | None,
    thread_ids: Sequence[str],
    as_csv: bool,
    plot: bool,
    as_json: bool,
) -> None:
    """Show what runs took: response times, tokens, tool calls, errors.

    A Clew server counts for itself, however many runs there are. With --thread, --csv or --plot each
    run is read, and times are whole seconds.
    """
    if as_csv and as_json:
        raise Problem("--csv and --json: give one of them", USAGE)
    if thread_ids and (since or until):
        raise Problem("--thread reads all of a thread's runs: leave --since and --until out", USAGE)
    now = SystemClock().now() // 1000
    begin = moment(since or "24h", "--since", now)
    end = now if until is None else moment(until, "--until", now)
    if not (thread_ids or as_csv or plot):
        _print(PerformanceMonitor.summary(remote.service, since=begin, until=end), as_json)
        return
    performance = PerformanceMonitor()
    performance.collect(remote.service, thread_ids or None)
    if not thread_ids:
        performance = performance.within(begin, end)
    if as_csv:
        click.echo(performance.to_csv(), nl=False)
    else:
        _print(performance.report(), as_json)


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        click.echo(report.to_json(), nl=False)
    else:
        show(report)
