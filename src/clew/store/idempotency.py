"""Answers that were given, so that a request sent again gets the same one and does nothing twice."""

from msgspec import Struct
from sqlalchemy import delete, insert, select

from clew.store.statement import Mapper, Statement, Transaction, param
from clew.store.tables import answers

KEPT_FOR = 24 * 3600 * 1000
"""Milliseconds for which an answer is kept."""


class Answer(Struct, frozen=True, kw_only=True):
    """An answer to a request with a key. ``fingerprint`` tells what was asked."""

    project: str
    key: str
    fingerprint: str
    created_at: int
    body: str


_ANSWER = Mapper(answers, Answer)

INSERT_ANSWER = Statement(insert(answers), columns=_ANSWER.names)
SELECT_ANSWER = Statement(
    select(*_ANSWER.columns).where(answers.c.project == param("project"), answers.c.key == param("key"))
)
DELETE_ANSWER = Statement(
    delete(answers).where(answers.c.project == param("project"), answers.c.key == param("key"))
)
DELETE_OLDER = Statement(delete(answers).where(answers.c.created_at < param("before")))


async def given(tx: Transaction, project: str, key: str) -> Answer | None:
    """Return the answer that was given under a key, or None."""
    row = await tx.one(SELECT_ANSWER, {"project": project, "key": key})
    return None if row is None else _ANSWER.read(row)


async def keep(tx: Transaction, answer: Answer) -> None:
    """Keep an answer, in the transaction of what it answers; it replaces an older one of that key."""
    await tx.run(DELETE_ANSWER, {"project": answer.project, "key": answer.key})
    await tx.run(INSERT_ANSWER, _ANSWER.params(answer))


async def forget(tx: Transaction, before: int) -> int:
    """Forget answers given before a time; return how many."""
    return await tx.run(DELETE_OLDER, {"before": before})
