"""Lists of the API as commands: their options, their pages, and how they are printed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from clew.cli import output
from clew.cli.output import print_json, print_table
from clew.toolkit.records import Json
from clew.toolkit.service import Service

_LONGEST = 100


class Wanted(NamedTuple):
    """Which part of a list is wanted, and how it is to be printed."""

    limit: int
    order: str
    after: str | None
    before: str | None
    everything: bool
    as_json: bool


class Column(NamedTuple):
    """A column: its head, and the text that an object has in it."""

    head: str
    text: Callable[[Json], str]


_OPTIONS = (
    click.option("--limit", type=click.IntRange(1, _LONGEST), default=20, show_default=True, help="how many"),
    click.option(
        "--order", type=click.Choice(["asc", "desc"]), default="desc", show_default=True, help="by age"
    ),
    click.option("--after", metavar="ID", help="what comes after this one, in that order"),
    click.option("--before", metavar="ID", help="what comes before this one, in that order"),
    click.option("--all", "everything", is_flag=True, help="all of them, page after page"),
)


def listing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of lists: its keyword arguments are a :class:`Wanted`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return json_option(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="print what the API answers")(command)


def print_list(
    service: Service,
    path: Sequence[str],
    columns: Sequence[Column],
    options: Json,
    only: Mapping[str, str | int | None] | None = None,
) -> None:
    """Read a list of the API and print it, as the options of :func:`listing` say.

    ``only`` is what narrows it: parameters of the query, of which those that are None are left out.
    """
    wanted = Wanted(**options)
    narrowed = {name: value for name, value in (only or {}).items() if value is not None}
    page = _page(service, path, wanted, narrowed)
    if wanted.as_json:
        print_json(page)
        return
    rows = [[column.text(item) for column in columns] for item in page["data"]]
    if rows:
        print_table([column.head for column in columns], rows)
    else:
        output.say("There are none.")
    if page.get("has_more"):
        output.say(f"There are more: --after {_following(page)}, or --all.")


def _following(page: Json) -> str:
    """Return the cursor behind a page; one of a list that looks at a part of what there is may be empty."""
    return str(page.get("next") or page["last_id"])


def _page(service: Service, path: Sequence[str], wanted: Wanted, only: Mapping[str, str | int]) -> Json:
    limit = _LONGEST if wanted.everything else wanted.limit
    query: dict[str, str | int] = {"limit": limit, "order": wanted.order, **only}
    if wanted.before is not None:
        query["before"] = wanted.before
    if wanted.after is not None:
        query["after"] = wanted.after
    page = service.request("GET", *path, query=query)
    while wanted.everything and page["has_more"]:
        following = service.request("GET", *path, query={**query, "after": _following(page)})
        first, last = page["first_id"] or following["first_id"], following["last_id"] or page["last_id"]
        both = page["data"] + following["data"]
        page = {**following, "first_id": first, "last_id": last, "data": both}
    return page
