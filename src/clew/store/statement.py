"""Statements: built once with SQLAlchemy Core, compiled once to text, run by the bare driver.

Measured on two cores, this keeps the speed of hand-written SQL (SQLAlchemy's own execution costs
about ten times as much a statement) and one set of queries for both databases.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, cast, get_args, get_type_hints

import msgspec
from sqlalchemy import BigInteger, Dialect, Insert, Select, Table, bindparam, func, literal_column
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
        self.clause = clause.inline() if isinstance(clause, Insert) else clause
        self.columns = columns

    @cached_property
    def sqlite(self) -> str:
        """The text that SQLite runs, with its parameters by name."""
        from sqlalchemy.dialects import sqlite

        class Compiler(sqlite.dialect.statement_compiler):  # type: ignore[name-defined, misc]
            def get_from_hint_text(self, table: Table, text: str) -> str:
                return text  # SQLAlchemy knows no hints for SQLite, so it would leave INDEXED BY out

        dialect = sqlite.dialect(paramstyle="named")
        dialect.statement_compiler = Compiler
        return str(self._compiled(dialect))

    @cached_property
    def postgres(self) -> tuple[str, tuple[str, ...]]:
        """The text that PostgreSQL runs, and the names of its parameters in order."""
        from sqlalchemy.dialects.postgresql import asyncpg

        dialect: Dialect = asyncpg.dialect(implicit_returning=False)  # type: ignore[no-untyped-call]
        compiled = self._compiled(dialect)
        return str(compiled), tuple(compiled.positiontup or ())

    @cached_property
    def selects(self) -> bool:
        """Whether it reads."""
        return isinstance(self.clause, Select)

    @cached_property
    def table(self) -> str:
        """The name of the table that it writes in."""
        return str(getattr(self.clause, "table").name)  # noqa: B009 - inserts, updates and deletes have one

    def _compiled(self, dialect: Dialect) -> SQLCompiler:
        given = None if isinstance(self.clause, Insert) and self.clause.select is not None else self.columns
        compiled = cast(SQLCompiler, self.clause.compile(dialect=dialect, column_keys=given))
        preset = [bind.key for bind in compiled.binds.values() if not bind.required]
        assert not preset, f"write the constants of {compiled} with constant()"
        return compiled

    def __repr__(self) -> str:
        return f"Statement({self.sqlite!r})"


class Both(Statement):
    """A statement written out for each database; parameters stand in the order of ``names``."""

    def __init__(
        self, table: str, sqlite: str, postgres: str, names: tuple[str, ...], *, selects: bool = False
    ) -> None:
        self.__dict__.update(sqlite=sqlite, postgres=(postgres, names), selects=selects, table=table)

    def __repr__(self) -> str:
        return f"Both({self.sqlite!r})"


class Write(NamedTuple):
    """A statement that writes, with its parameters."""

    statement: Statement
    params: Params


def batches(writes: Sequence[Write]) -> list[list[Write]]:
    """Return writes by what may be one :meth:`Transaction.write`: no two in one table, in their order."""
    made: list[list[Write]] = []
    tables: set[str] = set()
    for write in writes:
        if not made or write.statement.table in tables:
            made.append([])
            tables.clear()
        made[-1].append(write)
        tables.add(write.statement.table)
    return made


class Transaction(Protocol):
    """What store functions are given: one transaction, whatever the database."""

    async def hold(self, statement: Statement, params: Params) -> Row | None:
        """Lock the rows that a statement selects until the transaction ends; return the first, or None.

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

    async def write(
        self, guards: Sequence[Write], then: Sequence[Write] = (), *, last: bool = False
    ) -> Row | None:
        """Run ``guards`` one after another, and ``then`` the rest if each of them has found its row.

        PostgreSQL makes one statement of them, which saves it and us most of their cost. Therefore:

        * A guard is an update of one row, or a select that locks one.
        * The rest are inserts, or updates of rows that nothing else here changes. They don't see each
          other's rows, and of one table there is one insert at most: nothing says which comes first.
        * What a guard compares must stand in the row that it changes. Nothing else is sure to be as new.

        Args:
            last: nothing more will be written if this is. Where nothing has been written before, this
                then needs no transaction around it.

        Returns:
            What was selected, in one row, or None if a guard has found nothing. What guards before that
            one have changed stays changed: raise something if there were any.
        """
        ...

    async def begin(self) -> None:
        """Say that more will be written than what is written ``last``."""
        ...


R = TypeVar("R", bound=msgspec.Struct)


class Mapper(Generic[R]):
    """Turns records into the parameters of a table's statements, and rows into records."""

    def __init__(self, table: Table, record: type[R], *, apart: Sequence[str] = ()) -> None:
        """Prepare for a table; fields named ``apart`` are kept elsewhere, and begin with their defaults."""
        self.table = table
        self.record = record
        self.names = tuple(name for name in record.__struct_fields__ if name not in apart)
        self._apart = apart
        self.columns = [table.c[name] for name in self.names]
        hints = get_type_hints(record)
        self._objects = [
            (position, name, msgspec.json.Decoder(hints[name]))
            for position, name in enumerate(self.names)
            if isinstance(table.c[name].type, Object)
        ]
        self._enums = [
            (position, enum)
            for position, name in enumerate(self.names)
            if (enum := _enum_of(hints[name])) is not None
        ]

    def params(self, record: R) -> dict[str, Any]:
        """Return the record's fields by column name, objects encoded."""
        values = msgspec.structs.asdict(record)
        for name in self._apart:
            del values[name]
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
            if values[position] is not None:
                values[position] = enum(values[position])
        return self.record(**dict(zip(self.names, values, strict=True)))


_encode = msgspec.json.Encoder().encode


def _enum_of(hint: Any) -> Any:
    """Return the enumeration that a field holds members of, if it does; None may be among them."""
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    only = kinds[0] if len(kinds) == 1 else None
    return only if isinstance(only, type) and hasattr(only, "__members__") else None


def param(name: str) -> BindParameter[Any]:
    """Return a named parameter."""
    return bindparam(name, required=True)


def constant(value: str | int) -> ColumnClause[Any]:
    """Return a value of our own that stands in the statement's text. Never for anything a user gave."""
    return literal_column(str(value) if isinstance(value, int) else f"'{value}'")


def unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column that is never null, in a form for which no index is walked: another one fits better."""
    return func.coalesce(column, constant(0 if isinstance(column.type, BigInteger) else ""))


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
