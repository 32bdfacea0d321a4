"""``clew projects``: tenants, what each may take, and how long its threads are kept."""

from collections.abc import Callable
from typing import Any

import click
from msgspec.structs import asdict, replace

from clew.cli import output
from clew.cli.beside import checked_name, on_database, on_database_of
from clew.cli.output import print_table, when
from clew.cli.problems import FAILED, NOT_FOUND, USAGE, Problem
from clew.clock import SystemClock
from clew.core.projects import NO_LIMITS, Project, idle_before
from clew.store import files, keys, retention, store_files, threads
from clew.store import projects as rows
from clew.store.projects import Belongings
from clew.store.statement import Transaction

_AT_ONCE = 100
"""Threads that one transaction deletes: others wait for it."""

_LIMITS = {
    "runs": "runs at work at once; more wait, first come, first served",
    "streams": "streams open at once on one server; more are refused (429)",
    "long_polls": "long-polls held at once on one server; more are answered at once",
    "tokens_a_day": "tokens that its runs may use on one day (UTC)",
    "file_bytes": "bytes of all its files together; an upload beyond them is refused (400)",
    "keep_days": "days after which a thread in which nothing happens is deleted, within a day",
}
_NONE = "none"


class _LimitType(click.ParamType[Any]):
    """A whole number from 1 on, or none."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == _NONE:
            return 0
        if not str(value).isascii() or not str(value).isdigit() or not 0 < int(value) < 10**12:
            self.fail(f"{value!r} is no whole number from 1 on; none takes a limit away", param, ctx)
        return int(value)


def _limits(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, what in reversed(_LIMITS.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, type=_LimitType(), metavar="N|none", help=what)(command)
    return command


_name = click.argument("name", metavar="P", callback=checked_name)


@click.group(
    epilog="""\b
Examples:
  clew projects add shop --runs 50 --tokens-a-day 2000000
  clew projects set shop --keep-days 90 --dry-run    how many threads would go
  clew projects set shop --runs none
  clew projects delete shop --with-everything

\b
They work beside running servers, which know of it within a second or two. A project needs no row: its keys
are enough, and then it has no limits of its own.
""",
)
def projects() -> None:
    """Add, list, limit and delete projects."""


@projects.command()
@_name
@_limits
@on_database
def add(name: str, **options: Any) -> None:
    """Add a project, with what it may take."""
    given, flags = _apart(options)
    now = SystemClock().now()
    project = Project(name=name, created_at=now, limits=replace(NO_LIMITS, **given))
    if not on_database_of(flags, _add, project, now):
        raise Problem(f"{name} is there already: `clew projects set {name}` changes its limits", USAGE)
    output.say(f"{name} is there. `clew keys add --project {name} --name N` makes a key for it.")


async def _add(tx: Transaction, project: Project, now: int) -> bool:
    if await rows.get(tx, project.name) is not None:
        return False
    await rows.save(tx, project)
    await rows.look_through(tx, project, now)
    return True


@projects.command("list")
@on_database
def list_projects(**flags: Any) -> None:
    """List projects that have a row or a key, with their limits."""
    found = on_database_of(flags, _every)
    columns = ["project", "keys", *(name.replace("_", " ") for name in _LIMITS), "created"]
    print_table(columns, [_row(*each) for each in found])


async def _every(tx: Transaction) -> list[tuple[str, Project | None, int]]:
    known = {project.name: project for project in await rows.every(tx)}
    counts: dict[str, int] = {}
    for key in await keys.every(tx):
        counts[key.project] = counts.get(key.project, 0) + 1
    return [(name, known.get(name), counts.get(name, 0)) for name in sorted(known.keys() | counts.keys())]


def _row(name: str, project: Project | None, keys_: int) -> list[str]:
    limits = asdict(NO_LIMITS if project is None else project.limits)
    shown = [f"{limits[each]:,}" if limits[each] is not None else "-" for each in _LIMITS]
    return [name, str(keys_), *shown, "" if project is None else when(project.created_at // 1000)]


@projects.command("set")
@_name
@_limits
@click.option(
    "--dry-run", is_flag=True, help="with --keep-days: say how many threads would go, change nothing"
)
@on_database
def set_limits(name: str, dry_run: bool, **options: Any) -> None:
    """Change what a project may take, or how long its threads are kept. It needs no row before."""
    given, flags = _apart(options)
    now = SystemClock().now()
    if not given:
        raise Problem(
            f"say what to change: {', '.join(f'--{each}' for each in _LIMITS)}".replace("_", "-"), USAGE
        )
    if dry_run:
        days = given.get("keep_days")
        if days is None:
            raise Problem("--dry-run says which threads --keep-days would delete: give it a number", USAGE)
        count = _idle(flags, name, idle_before(days, now))
        threads_ = _counted(count, "thread")
        output.say(
            f"{threads_} of {name} would be deleted: nothing has happened there for {_counted(days, 'day')}."
        )
        return
    project = on_database_of(flags, _set, name, given, now)
    limits = rows.limits_text(project.limits)
    said = ", ".join(f"{each.replace('_', ' ')} {value:,}" for each, value in limits.items())
    output.say(f"{name}: {said or 'no limits'}")


async def _set(tx: Transaction, name: str, given: dict[str, int | None], now: int) -> Project:
    project = await rows.get(tx, name) or Project(name=name, created_at=now)
    project = replace(project, limits=replace(project.limits, **given))
    await rows.save(tx, project)
    if "keep_days" in given:
        await rows.look_through(tx, project, now)
    return project


def _idle(flags: dict[str, Any], project: str, before: int) -> int:
    count, after = 0, 0
    while True:
        page = on_database_of(flags, retention.idle, project, before, after)
        count += len(page.threads)
        if page.after is None:
            return count
        after = page.after


@projects.command()
@_name
@click.option("--with-everything", is_flag=True, help="with its keys, agents, threads, runs and webhooks")
@click.option("--dry-run", is_flag=True, help="say what would go, and change nothing")
@on_database
def delete(name: str, with_everything: bool, dry_run: bool, **flags: Any) -> None:
    """Delete a project: its row, and with --with-everything all that is its. It can be begun again."""
    its = on_database_of(flags, rows.belongings, name)
    has = _in_words(its)
    if dry_run:
        output.say(f"{name} has {has or 'nothing'}.")
        return
    if has and not with_everything:
        raise Problem(f"{name} has {has}: --with-everything deletes it all, --dry-run nothing", FAILED)
    if not has and on_database_of(flags, rows.get, name) is None:
        raise Problem(f"there is no project {name}: `clew projects list` shows those there are", NOT_FOUND)
    on_database_of(flags, rows.revoke_keys, name)
    deleted = 0
    while count := on_database_of(flags, _delete_some, name):
        deleted += count
        output.say(f"{deleted:,} of {_counted(its.threads, 'thread')} deleted")
    on_database_of(flags, _remove_rest, name, SystemClock().now())
    output.say(f"{name} is deleted{f', with {has}' if has else ''}.")


async def _delete_some(tx: Transaction, project: str) -> int:
    found = await rows.some_threads(tx, project, _AT_ONCE)
    for thread_id in found:
        await threads.remove(tx, project, thread_id)
    return len(found)


async def _remove_rest(tx: Transaction, project: str, now: int) -> None:
    await rows.remove_rest(tx, project)
    await store_files.remove_of_project(tx, project, now)
    await files.ask_for_sweep(tx, now)


def _in_words(its: Belongings) -> str:
    counts = (
        (its.agents, "agent"),
        (its.threads, "thread"),
        (its.messages, "message"),
        (its.webhooks, "webhook"),
        (its.files, "file"),
        (its.keys, "key"),
    )
    said = ", ".join(_counted(*each) for each in counts if each[0])
    if not its.live_runs:
        return said
    live = f"{_counted(its.live_runs, 'run')} {'is' if its.live_runs == 1 else 'are'} live"
    return f"{said} ({live})" if said else live


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _apart(options: dict[str, Any]) -> tuple[dict[str, int | None], dict[str, Any]]:
    """Return the limits that are given, None for those that are taken away, and the other options."""
    given = {name: options[name] or None for name in _LIMITS if options[name] is not None}
    return given, {name: value for name, value in options.items() if name not in _LIMITS}
