"""Statements: built once with SQLAlchemy Core, compiled once to text, run by the bare driver.

Measured on two cores, this keeps the speed of hand-written SQL (SQLAlchemy's own execution costs
about ten times as much a statement) and one set of queries for both databases.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, get_type_hints

import msgspec
from sqlalchemy import BigInteger, Dialect, Table, bindparam, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter, ColumnClause, ColumnElement

from clew.store.tables import Object

Params: TypeAlias = Mapping[str, Any]
Row: TypeAlias = Sequence[Any]


class Statement:
    """One statement of the store, with named parameters, compiled for a database when that first runs it."""

    def __init__(self, clause: ClauseElement, *, columns: Sequence[str] | None = None) -> None:
        self._clause = clause
        self._columns = columns

    @cached_property
    def sqlite(self) -> str:
        """The text that SQLite runs, with its parameters by name."""
        from sqlalchemy.dialects import sqlite

        return str(self._compiled(sqlite.dialect(paramstyle="named")))

    @cached_property
    def postgres(self) -> tuple[str, tuple[str, ...]]:
        """The text that PostgreSQL runs, and the names of its parameters in order."""
        from sqlalchemy.dialects.postgresql import asyncpg

        dialect: Dialect = asyncpg.dialect(implicit_returning=False)  # type: ignore[no-untyped-call]
        compiled = self._compiled(dialect)
        return str(compiled), tuple(compiled.positiontup or ())

    def _compiled(self, dialect: Dialect) -> SQLCompiler:
        compiled = cast(SQLCompiler, self._clause.compile(dialect=dialect, column_keys=self._columns))
        preset = [bind.key for bind in compiled.binds.values() if not bind.required]
        assert not preset, f"write the constants of {compiled} with constant()"
        return compiled

    def __repr__(self) -> str:
        return f"Statement({self.sqlite!r})"


class Transaction(Protocol):
    """What store functions are given: one transaction, whatever the database."""

    async def hold(self, statement: Statement, params: Params) -> None:
        """Lock the rows that a statement selects until the transaction ends.

        Whoever reads before writing begins with this, and then reads what is true until its commit.
        SQLite has one writer at a time, which holds everything.
        """
        ...

    async def one(self, statement: Statement, params: Params) -> Row | None:
        """Return the first row, or None."""
        ...

    async def all(self, statement: Statement, params: Params) -> Sequence[Row]:
        """Return every row."""
        ...

    async def run(self, statement: Statement, params: Params) -> int:
        """Return how many rows were written."""
        ...


R = TypeVar("R", bound=msgspec.Struct)


class Mapper(Generic[R]):
    """Turns records into the parameters of a table's statements, and rows into records."""

    def __init__(self, table: Table, record: type[R]) -> None:
        self.table = table
        self.record = record
        self.names = record.__struct_fields__
        self.columns = [table.c[name] for name in self.names]
        hints = get_type_hints(record)
        self._objects = [
            (position, name, msgspec.json.Decoder(hints[name]))
            for position, name in enumerate(self.names)
            if isinstance(table.c[name].type, Object)
        ]
        self._enums = [
            (position, hints[name]) for position, name in enumerate(self.names) if _is_enum(hints[name])
        ]

    def params(self, record: R) -> dict[str, Any]:
        """Return the record's fields by column name, objects encoded."""
        values = msgspec.structs.asdict(record)
        for _, name, _ in self._objects:
            if values[name] is not None:
                values[name] = _encode(values[name]).decode()
        return values

    def read(self, row: Row) -> R:
        """Return the record of a row selected by :attr:`columns`."""
        values = list(row)
        for position, _, decoder in self._objects:
            if values[position] is not None:
                values[position] = decoder.decode(values[position])
        for position, enum in self._enums:
            values[position] = enum(values[position])
        return self.record(**dict(zip(self.names, values, strict=True)))


_encode = msgspec.json.Encoder().encode


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and hasattr(hint, "__members__")


def param(name: str) -> BindParameter[Any]:
    """Return a named parameter."""
    return bindparam(name, required=True)


def constant(value: str | int) -> ColumnClause[Any]:
    """Return a value of our own that stands in the statement's text. Never for anything a user gave."""
    return literal_column(str(value) if isinstance(value, int) else f"'{value}'")


class NextSeq(ColumnElement[int]):
    """The ``seq`` that a table's next row would be given."""

    inherit_cache = True
    type = BigInteger()

    def __init__(self, table: Table) -> None:
        self.table = table


@compiles(NextSeq, "sqlite")
def _next_rowid(element: NextSeq, compiler: SQLCompiler, **_: Any) -> str:
    return f"(SELECT max(seq) + 1 FROM {element.table.name})"  # noqa: S608 - a table of ours


@compiles(NextSeq, "postgresql")
def _next_of_sequence(element: NextSeq, compiler: SQLCompiler, **_: Any) -> str:
    return f"nextval('{element.table.name}_seq_seq')"
