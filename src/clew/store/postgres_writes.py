"""Several writes as one statement of PostgreSQL: data-modifying WITH.

A statement costs PostgreSQL and us 55 microseconds of CPU before it does anything, and a transaction
around it twice as much again. So writes that belong together go in one statement (see decision 12)::

    WITH g0 AS (SELECT ... FROM threads ... FOR NO KEY UPDATE),
         g1 AS (UPDATE runs ... WHERE ... AND EXISTS (SELECT FROM g0) RETURNING 1),
         w0 AS (INSERT INTO messages (...) SELECT $1, ... FROM g1)
    SELECT g0.* FROM g0, g1

The rules are those of https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING:
all parts see the database as of the statement's start, and run in the order in which they need each other.
"""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Insert, Select, TextClause, Update, bindparam, insert, select, text
from sqlalchemy.sql import ClauseElement

from clew.store.statement import Statement, Write, constant

_Composed = tuple[str, tuple[tuple[int, str], ...]]
_PLACEHOLDER = re.compile(r"\$(\d+)")
_composed: dict[tuple[tuple[Statement, ...], tuple[Statement, ...]], _Composed] = {}


def composed(guards: Sequence[Write], then: Sequence[Write]) -> tuple[str, list[Any]]:
    """Return the text of one statement that does all these writes, and its parameters in order."""
    key = tuple(write.statement for write in guards), tuple(write.statement for write in then)
    made = _composed.get(key)
    if made is None:
        made = _composed[key] = _compose(*key)
    sql, places = made
    params = [write.params for write in (*guards, *then)]
    return sql, [params[number][name] for number, name in places]


def inserted_row(guards: Sequence[Write], then: Sequence[Write]) -> tuple[str, str] | None:
    """Return the table and the id of a row that they insert, if that it is there says all that they did."""
    if any(guard.statement.selects for guard in guards):
        return None
    for statement, params in then:
        if isinstance(statement.clause, Insert) and "id" in params:
            return statement.table, params["id"]
    return None


def _compose(guards: tuple[Statement, ...], then: tuple[Statement, ...]) -> _Composed:
    parts: list[str] = []
    places: list[tuple[int, str]] = []
    names = [f"g{number}" for number in range(len(guards))] + [f"w{number}" for number in range(len(then))]
    for number, statement in enumerate((*guards, *then)):
        guard = names[min(number, len(guards)) - 1] if guards and number else None
        clause = statement.clause if guard is None else _guarded(statement, guard)
        if number < len(guards) and isinstance(clause, Update):
            clause = clause.returning(constant(1))
        sql, params = Statement(clause, columns=statement.columns).postgres
        parts.append(_shifted(sql, len(places)))
        places += [(number, name) for name in params]
    selected = [name for name, guard in zip(names, guards, strict=False) if guard.selects]
    columns = ", ".join(f"{name}.*" for name in selected) or "1"
    final = f"SELECT {columns} FROM {', '.join(names[: len(guards)])}" if guards else parts.pop()  # noqa: S608
    named = ", ".join(f"{name} AS ({part})" for name, part in zip(names, parts, strict=False))
    return f"WITH {named} {final}" if named else final, tuple(places)


def _shifted(sql: str, by: int) -> str:
    """Return a text whose parameters are numbered from ``by + 1`` on. Texts hold no value of a user's."""
    return _PLACEHOLDER.sub(lambda match: f"${int(match[1]) + by}", sql)


def _guarded(statement: Statement, guard: str) -> ClauseElement:
    """Return a statement that does nothing unless the part ``guard`` has found its row."""
    clause = statement.clause
    if isinstance(clause, Update | Select):
        return clause.where(_exists(guard))
    assert isinstance(clause, Insert)
    assert statement.columns, "an insert names its columns"
    names, columns = list(statement.columns), clause.table.c
    source = clause.select
    if isinstance(source, Select):
        return insert(clause.table).from_select(names, source.where(_exists(guard)))
    values = [bindparam(name, type_=columns[name].type, required=True) for name in names]
    return insert(clause.table).from_select(names, select(*values).select_from(text(guard)))


def _exists(guard: str) -> TextClause:
    return text(f"EXISTS (SELECT FROM {guard})")
