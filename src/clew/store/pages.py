"""Pages of a list: keyset pagination by ``seq``, the same for every table.

``after`` and ``before`` are ids; an id that the list does not hold gives an empty page, which is what
paging clients take for the end (azure-ai-agents asks again until a page is empty).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, select

from clew.store.statement import Mapper, R, Statement, Transaction, constant, param


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


async def page(tx: Transaction, mapper: Mapper[R], wanted: PageRequest, **parents: str) -> Page:
    """Return one page of the rows whose columns equal ``parents``."""
    backwards = wanted.before is not None and wanted.after is None
    statement = _statement(
        mapper, tuple(parents), wanted.order, wanted.after is not None, wanted.before is not None, backwards
    )
    rows = await tx.all(
        statement, {**parents, "after": wanted.after, "before": wanted.before, "limit": wanted.limit + 1}
    )
    items = [mapper.read(row) for row in rows[: wanted.limit]]
    if backwards:
        items.reverse()
    return Page(items, len(rows) > wanted.limit)


@cache
def _statement(
    mapper: Mapper[Any], parents: tuple[str, ...], order: str, after: bool, before: bool, backwards: bool
) -> Statement:
    """Build a page's statement. Walking backwards finds the page next to ``before``."""
    table = mapper.table
    ascending = order == "asc"
    query: Select[Any] = select(*mapper.columns).where(*(table.c[name] == param(name) for name in parents))

    def position(cursor: str) -> Any:
        same_list = (table.c[name] == param(name) for name in parents)
        return select(table.c.seq).where(table.c.id == param(cursor), *same_list).scalar_subquery()

    if after:
        seq = position("after")
        query = query.where(table.c.seq > seq if ascending else table.c.seq < seq)
    if before:
        seq = position("before")
        query = query.where(table.c.seq < seq if ascending else table.c.seq > seq)
    walk_up = ascending != backwards
    query = (
        query.order_by(table.c.seq.asc() if walk_up else table.c.seq.desc())
        .limit(param("limit"))
        .offset(constant(0))
    )
    return Statement(query)
