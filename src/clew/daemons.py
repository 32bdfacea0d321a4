"""Blocking work beside the event loop that never holds up the process's end."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_daemon_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a daemon thread: unlike an executor's, it never holds up the exit.

    If this is cancelled the thread is left to itself: a thread can't be killed.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(lambda: function(*args, **kwargs))
        except BaseException as error:  # raised again where it is awaited
            _tell(loop, _fail, future, error)
        else:
            _tell(loop, _succeed, future, result)

    threading.Thread(target=work, name=f"clew {getattr(function, '__name__', '')}", daemon=True).start()
    return await future


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(function, *args)


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if future.done():
        return
    if isinstance(error, StopIteration) or not isinstance(error, Exception):
        # asyncio refuses to carry the one, and SystemExit would end the whole loop
        wrapped = RuntimeError(f"the function raised {type(error).__name__}")
        wrapped.__cause__ = error
        error = wrapped
    future.set_exception(error)
