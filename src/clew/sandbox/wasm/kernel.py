"""Runs cells inside Pyodide. It is not imported by Clew, but sent there as text."""

import ast
import builtins
import contextlib
import linecache
import os
import sys
import traceback
from types import ModuleType, TracebackType
from typing import TextIO, cast

_DATA = "/mnt/data"
_HINT = "There is Python's standard library here, and nothing can be installed."

_main = ModuleType("__main__")
_main.__dict__["__builtins__"] = builtins
sys.modules["__main__"] = _main
os.chdir(_DATA)
sys.path.insert(0, "")
sys.argv = [""]


def _line_by_line() -> None:
    # What was printed before a cell is killed is to be seen.
    for stream in (sys.stdout, sys.stderr):
        cast("TextIO", stream).reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[attr-defined]


def run_cell(code: str, number: int) -> bool:
    """Run a cell, show the value of its last expression, or what it raised; return whether it raised."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    try:
        _run(code, name)
    except SystemExit as error:
        if error.code:
            print(f"SystemExit: {error.code}", file=sys.stderr)
        return bool(error.code)
    except BaseException as error:
        _show(error, name)
        return True
    finally:
        _flush()
    return False


def _run(code: str, name: str) -> None:
    tree = ast.parse(code, name)
    shown = bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";")
    last = tree.body.pop() if shown else None
    exec(compile(tree, name, "exec"), _main.__dict__)  # noqa: S102 - what a kernel is for
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), name, "eval"), _main.__dict__)  # noqa: S307
        if value is not None:
            _main.__dict__["_"] = value
            print(repr(value))


def _show(error: BaseException, name: str) -> None:
    if isinstance(error, ModuleNotFoundError):  # Pyodide's own advice leads nowhere: nothing can be fetched
        error.msg = f"No module named {error.name!r}"
        error.add_note(_HINT)
    traceback.print_exception(type(error), error, _from_cell(error.__traceback__))


def _from_cell(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and not frames.tb_frame.f_code.co_filename.startswith("<cell "):
        frames = frames.tb_next
    return frames


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):  # the cell may have put anything there
            cast("TextIO", stream).flush()


_line_by_line()
if "random" in sys.modules:  # as it came with an image of memory, it is the same for all
    sys.modules["random"].seed()
