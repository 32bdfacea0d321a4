"""Pages of a list: keyset pagination by ``seq``, the same for every table.

``after`` and ``before`` are ids; an id that the list does not hold gives an empty page, which is what
paging clients take for the end (azure-ai-agents asks again until a page is empty).
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, select

from clew.store.statement import Mapper, R, Row, Statement, Transaction, constant, param
from clew.store.tables import IS_SHOWN, messages, thread_tags, threads

LARGEST_PAGE = 4 * 1024 * 1024
"""Characters of a page's rows, about: one that has more ends early, and has more."""


class PageRequest(NamedTuple):
    """Which part of a list is wanted, as contract and clients name it."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


class Page(NamedTuple):
    """A part of a list, in the order that was asked for."""

    items: Sequence[Any]
    has_more: bool


async def page(
    tx: Transaction,
    mapper: Mapper[R],
    wanted: PageRequest,
    tags: Mapping[str, str] | None = None,
    **parents: str,
) -> Page:
    """Return one page of the rows whose columns equal ``parents``, and that have all of ``tags``."""
    tags = tags or {}
    backwards = wanted.before is not None and wanted.after is None
    shape = _Shape(
        tuple(parents),
        len(tags),
        wanted.order,
        wanted.after is not None,
        wanted.before is not None,
        backwards,
    )
    values: dict[str, Any] = {"after": wanted.after, "before": wanted.before, "limit": wanted.limit + 1}
    for number, (key, value) in enumerate(tags.items()):
        values |= {f"key_{number}": key, f"value_{number}": value}
    rows = await tx.all(_statement(mapper, shape), {**parents, **values})
    kept = _that_fit(rows[: wanted.limit])
    items = [mapper.read(row) for row in kept]
    if backwards:
        items.reverse()
    return Page(items, len(rows) > len(kept))


def _that_fit(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the first of a page's rows, as far as they are not too large together; the first in any case."""
    if len("".join([value for row in rows for value in row if value.__class__ is str])) <= LARGEST_PAGE:
        return rows
    size = 0
    for number, row in enumerate(rows):
        size += sum(len(value) for value in row if value.__class__ is str)
        if size > LARGEST_PAGE and number:
            return rows[:number]
    return rows


class _Shape(NamedTuple):
    """What makes two pages' statements differ."""

    parents: tuple[str, ...]
    tags: int
    order: str
    after: bool
    before: bool
    backwards: bool


@cache
def _statement(mapper: Mapper[Any], shape: _Shape) -> Statement:
    """Build a page's statement. Walking backwards finds the page next to ``before``."""
    table = mapper.table
    ascending = shape.order == "asc"
    query: Select[Any] = select(*mapper.columns).where(
        *(table.c[name] == param(name) for name in shape.parents)
    )

    if table is messages:
        query = query.where(table.c.held.is_(None))
    if table is threads:
        query = query.where(IS_SHOWN)

    def position(cursor: str) -> Any:
        same_list = (table.c[name] == param(name) for name in shape.parents)
        return select(table.c.seq).where(table.c.id == param(cursor), *same_list).scalar_subquery()

    if shape.after:
        seq = position("after")
        query = query.where(table.c.seq > seq if ascending else table.c.seq < seq)
    if shape.before:
        seq = position("before")
        query = query.where(table.c.seq < seq if ascending else table.c.seq > seq)
    for number in range(shape.tags):
        query = query.where(table.c.seq.in_(_tagged(number)))
    walk_up = ascending != shape.backwards
    query = query.order_by(table.c.seq.asc() if walk_up else table.c.seq.desc())
    return Statement(query.limit(param("limit")).offset(constant(0)))


def _tagged(number: int) -> Any:
    return select(thread_tags.c.thread_seq).where(
        thread_tags.c.project == param("project"),
        thread_tags.c.key == param(f"key_{number}"),
        thread_tags.c.value == param(f"value_{number}"),
    )
