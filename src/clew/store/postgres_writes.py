"""Several writes as one statement of PostgreSQL: data-modifying WITH.

A statement costs PostgreSQL and us 55 microseconds of CPU before it does anything, and a transaction
around it twice as much again. So writes that belong together go in one statement (see decision 12)::

    WITH g0 AS (UPDATE threads ... RETURNING ...),
         g1 AS (UPDATE runs ... WHERE ... AND EXISTS (SELECT FROM g0) RETURNING ...),
         w0 AS (INSERT INTO messages (...) SELECT $1, ... FROM g1)
    SELECT * FROM g0, g1

The rules are those of https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING:
all parts see the database as of the statement's start, and run in the order in which they need each other.
"""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Insert, Select, TextClause, Update, bindparam, insert, select, text
from sqlalchemy.sql import ClauseElement

from clew.store.statement import Statement, Write

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


def _compose(guards: tuple[Statement, ...], then: tuple[Statement, ...]) -> _Composed:
    parts: list[str] = []
    places: list[tuple[int, str]] = []
    names: list[str] = []
    for number, statement in enumerate((*guards, *then)):
        guard = f"g{min(number, len(guards)) - 1}" if guards and number else None
        sql, params = _guarded(statement, guard).postgres
        parts.append(_shifted(sql, len(places)))
        places += [(number, name) for name in params]
        names.append(f"g{number}" if number < len(guards) else f"w{number - len(guards)}")
    if len(parts) == 1:
        return parts[0], tuple(places)
    listed = ", ".join(names[: len(guards)])
    final = f"SELECT * FROM {listed}" if guards else parts.pop()  # noqa: S608 - names of our own
    named = ", ".join(f"{name} AS ({part})" for name, part in zip(names, parts, strict=False))
    return f"WITH {named} {final}", tuple(places)


def _shifted(sql: str, by: int) -> str:
    """Return a text whose parameters are numbered from ``by + 1`` on. Texts hold no value of a user's."""
    return _PLACEHOLDER.sub(lambda match: f"${int(match[1]) + by}", sql)


def _guarded(statement: Statement, guard: str | None) -> Statement:
    """Return a statement that does nothing unless the part ``guard`` has found its row."""
    if guard is None:
        return statement
    return Statement(_with_condition(statement, guard), columns=statement.columns)


def _with_condition(statement: Statement, guard: str) -> ClauseElement:
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
