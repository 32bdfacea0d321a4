"""``clew prune``."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from clew.cli import output
from clew.cli.moments import moment
from clew.cli.output import print_table, when
from clew.cli.problems import USAGE, Problem
from clew.cli.remote import Remote, on_server
from clew.cli.taken_along import TakenAlong
from clew.cli.transfer import along_to, files_option, rendered
from clew.clock import SystemClock
from clew.toolkit.conversation.files import write_whole
from clew.toolkit.errors import NotFound, ServiceError
from clew.toolkit.records import Thread
from clew.toolkit.service import Service

_PAGE = 100
_CHANGED = 412


class _Idle(NamedTuple):
    """A thread in which nothing has happened since a moment (seconds since the epoch)."""

    thread: Thread
    last: int


@click.command(
    epilog="""\b
Examples:
  clew prune --older-than 90d --archive /backup/clew --dry-run
  clew prune --older-than 90d --archive /backup/clew       each thread a file, then deleted
  clew prune --older-than 2026-01-01 --no-archive
  clew import /backup/clew/2026-03/thread_....jsonl        and back

\b
A thread counts by what was last said, begun or ended in it. One that changes meanwhile stays. It can be
interrupted and started again at any time.
"""
)
@click.option(
    "--older-than", metavar="WHEN", required=True, help="an age such as 90d, or an ISO date and time"
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="write each thread there first, with its runs and steps, below the month of its creation",
)
@files_option
@click.option("--no-archive", is_flag=True, help="keep nothing of them")
@click.option("--dry-run", is_flag=True, help="only list what would go")
@on_server
def prune(
    remote: Remote,
    older_than: str,
    archive: Path | None,
    files: Path | None,
    no_archive: bool,
    dry_run: bool,
) -> None:
    """Delete threads in which nothing has happened for long, with all that is in them.

    Files and vector stores stay; a store that was made for a thread expires seven days after its last use.
    """
    if (archive is None) == (not no_archive):
        raise Problem("say where they are to be kept, --archive FOLDER, or --no-archive", USAGE)
    before = moment(older_than, "--older-than", SystemClock().now() // 1000)
    if dry_run:
        _list(_idle_threads(remote.service, before))
        return
    if files is not None and archive is None:
        raise Problem("--files goes with --archive FOLDER", USAGE)
    gone = 0
    with along_to(remote, files) as along:
        for idle in _idle_threads(remote.service, before):
            gone += _prune(remote, idle.thread, before, archive, along)
            if gone and gone % _PAGE == 0:
                output.say(f"{gone} threads, the last of {when(idle.thread.created_at)}")
    output.say(f"{gone} threads are deleted" + (f", and kept in {archive}." if archive else "."))


def _list(found: Iterator[_Idle]) -> None:
    rows = [(idle.thread.id, when(idle.thread.created_at), when(idle.last)) for idle in found]
    if rows:
        print_table(["id", "created", "last used"], rows)
    output.say(f"{len(rows)} threads would be deleted.")


def _idle_threads(service: Service, before: int) -> Iterator[_Idle]:
    """Yield the threads in which nothing has happened since ``before``, oldest first."""
    after: str | None = None
    while True:
        page = service.list_threads(limit=_PAGE, order="asc", after=after)
        for thread in page.data:
            if thread.created_at >= before:  # and so is every later one
                return
            with suppress(NotFound):  # it has just been deleted
                last = _last_used(service, thread)
                if last < before:
                    yield _Idle(thread, last)
        if not page.has_more:
            return
        after = page.last_id


def _last_used(service: Service, thread: Thread) -> int:
    moments = [thread.created_at]
    moments += [message.created_at for message in service.list_messages(thread.id, limit=1).data]
    for run in service.list_runs(thread.id, limit=1).data:
        moments += [run.created_at, run.ended_at or 0]
    return max(moments)


def _prune(
    remote: Remote, thread: Thread, before: int, archive: Path | None, along: TakenAlong | None
) -> bool:
    """Archive and delete a thread, unless it has changed; say whether it is gone."""
    kept = None
    if archive is not None:
        month = datetime.fromtimestamp(thread.created_at, UTC).strftime("%Y-%m")
        kept = archive / month / f"{Path(thread.id).name}.jsonl"
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, rendered(remote, thread.id, "jsonl", True, along))
    try:
        remote.service.request("DELETE", "threads", thread.id, query={"unchanged_since": before - 1})
    except ServiceError as error:
        if kept is not None:
            kept.unlink()
        if error.status == _CHANGED or isinstance(error, NotFound):
            return False
        raise
    return True
