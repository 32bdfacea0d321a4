"""Every SQL text of the store, for people who want to read it: ``python -m tests.docs.sql_pages``.

The statements are built in Python, once for both databases, so their texts exist at run time only. These
pages are made from them, and a test holds them to be up to date.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clew.store
from clew.core.states import LIVE, RunStatus
from clew.store import agents, messages, near, pages, run_lists, runs, steps, threads
from clew.store.pages import PageRequest
from clew.store.run_lists import RunFilter
from clew.store.statement import Mapper, Statement

FOLDER = Path(__file__).parents[2] / "docs" / "sql"
PAGES: dict[str, Callable[[Statement], str]] = {
    "sqlite.sql": lambda statement: statement.sqlite,
    "postgresql.sql": lambda statement: statement.postgres[0],
}


def declared() -> Iterator[tuple[str, str, Statement]]:
    """Yield every statement that a module of the store declares: module, name, statement."""
    for module in sorted(each.name for each in pkgutil.iter_modules(clew.store.__path__) if not each.ispkg):
        for name, value in vars(importlib.import_module(f"clew.store.{module}")).items():
            several = value if isinstance(value, list | tuple) else [value]
            for number, each in enumerate(several, 1):
                if isinstance(each, Statement):
                    yield module, name if each is value else f"{name}[{number}]", each


def built() -> Iterator[tuple[str, str, Statement]]:
    """Yield statements that are built when they are first asked for, one of each kind."""
    wanted = PageRequest(20, "desc", "msg_1", None)
    for name, mapper, tags, parents in (
        ("agents of a project", agents.AGENT, 0, ("project",)),
        ("threads of a project", threads._THREAD, 0, ("project",)),
        ("threads with two pairs of metadata", threads._THREAD, 2, ("project",)),
        ("messages of a thread", messages._MESSAGE, 0, ("project", "thread_id")),
        ("messages of a run", messages._MESSAGE, 0, ("project", "thread_id", "run_id")),
        ("runs of a thread", runs._RUN, 0, ("thread_id",)),
        ("steps of a run", steps._STEP, 0, ("project", "thread_id", "run_id")),
    ):
        yield "pages", f"{name}, behind a cursor", _page(mapper, parents, tags, wanted)
    on = near._OnTable(1, "halfvec", 384)
    for name, statement in (
        ("a new table", on.make[0]),
        ("windows of a file", on.insert),
        ("by the graph", on.searches["all"]),
        ("by the graph, filtered", on.searches["only"]),
        ("one by one, filtered", on.searches["exact only"]),
        ("cosines of chunks", on.cosines),
    ):
        yield "near", name, statement
    for name, wanted_runs in (
        ("all of a project", RunFilter()),
        ("live", RunFilter(frozenset(LIVE))),
        ("a mix", RunFilter(frozenset((RunStatus.COMPLETED,)), "asst_1", None, 1, 2)),
    ):
        shape = run_lists._shape(wanted_runs, PageRequest())
        yield "run_lists", name, run_lists._page_statement(shape)


def _page(mapper: Mapper[Any], parents: tuple[str, ...], tags: int, wanted: PageRequest) -> Statement:
    shape = pages._Shape(parents, tags, wanted.order, True, False, False)
    return pages._statement(mapper, shape)


def page(text: Callable[[Statement], str]) -> str:
    """Return one database's page."""
    lines = ["-- Every statement of the store, made by: python -m tests.docs.sql_pages", ""]
    room = ""
    for module, name, statement in (*declared(), *built()):
        if not text(statement):
            continue  # the other database alone is asked that
        if module != room:
            room = module
            lines += [f"-- ==== src/clew/store/{module}.py ====", ""]
        lines += [f"-- {name}", text(statement).replace(" \n", "\n").strip() + ";", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in PAGES.items():
        (FOLDER / file).write_text(page(text), encoding="utf-8")
