"""Clew with its time measured by function: python -m bench.profiled serve ...

At its end, the main thread's profile is in the file ``profile`` of the data folder, for :mod:`pstats`, and
the writer thread's in ``profile-writer``.
"""

import cProfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from clew.cli.main import cli
from clew.settings import load
from clew.store.sqlite import SqliteDatabase

MAIN, WRITER = "profile", "profile-writer"


def _profiled(function: Callable[..., Any], path: Path) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        profile = cProfile.Profile()
        try:
            return profile.runcall(function, *args, **kwargs)
        finally:
            profile.dump_stats(path)

    return run


if __name__ == "__main__":
    folder = load().data_dir
    write_loop = _profiled(SqliteDatabase._write_loop, folder / WRITER)
    SqliteDatabase._write_loop = write_loop  # type: ignore[method-assign]
    _profiled(cli, folder / MAIN)()
