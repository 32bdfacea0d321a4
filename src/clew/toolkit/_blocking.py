"""One implementation, two faces: ``asend`` is a coroutine, ``send`` waits for it.

The waiting face runs the coroutine in an event loop of its own, in one thread for the whole process,
so that an asynchronous client used through several objects stays in one loop.
"""

import atexit
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_SLICE = 0.5
"""Seconds for which a thread waits before it looks whether it was interrupted."""

_lock = threading.Lock()
_portal: BlockingPortal | None = None
_thread: int | None = None


def blocking(function: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[S, P], T]:
    """Return the waiting face of the coroutine method ``function``, whose name begins with an ``a``."""
    name = function.__name__

    @wraps(function)
    def wait(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        method: Callable[..., Coroutine[Any, Any, T]] = getattr(self, name)  # so that subclasses count
        return run(method(*args, **kwargs))

    wait.__name__ = name.removeprefix("a")
    wait.__qualname__ = function.__qualname__.replace(name, wait.__name__)
    wait.__doc__ = f"{function.__doc__ or ''}\n\n        The waiting form of :meth:`{name}`."
    return wait


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` in the toolkit's own event loop and wait for it.

    An interruption (Ctrl-C) cancels it, waits until it has cleaned up, and is raised again.

    Raises:
        RuntimeError: called from inside that loop, where waiting would block for ever.
    """
    try:
        portal = _running_portal()
    except BaseException:
        coroutine.close()
        raise
    task = _Task(coroutine)
    try:
        return _awaited(portal.start_task_soon(task.work))
    except BaseException:
        task.leave(portal)
        raise


def _awaited(future: Future[T]) -> T:
    """Wait in slices: a signal that comes just before a wait begins is seen only after that wait."""
    while True:
        with contextlib.suppress(TimeoutError):
            return future.result(_SLICE)
        if future.done():  # then the time-out may have been its own
            return future.result()


class _Task(Generic[T]):
    """A coroutine in the toolkit's loop, which the thread that waits for it may leave at any moment."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._scope: anyio.CancelScope | None = None
        self._lock = threading.Lock()
        self._left = False
        self._ended = threading.Event()

    async def work(self) -> T:
        with self._lock:
            if not self._left:
                self._scope = anyio.CancelScope()
        try:
            if self._scope is not None:
                with self._scope:
                    return await self._coroutine
            self._coroutine.close()
            raise RuntimeError("the thread that waited for this was interrupted")
        finally:
            self._ended.set()

    def leave(self, portal: BlockingPortal) -> None:
        """Cancel the coroutine if it still runs, and wait until it has cleaned up."""
        with self._lock:
            self._left = True  # if it was never begun, it never will be
        if self._scope is not None and not self._ended.is_set():
            portal.start_task_soon(self._scope.cancel)
            self._ended.wait()


@contextlib.contextmanager
def iterate(source: AbstractAsyncContextManager[AsyncIterator[T]]) -> Iterator[Iterator[T]]:
    """Enter ``source`` in the toolkit's own loop and offer what it yields to a plain ``for``."""
    portal = _running_portal()
    with portal.wrap_async_context_manager(source) as items:
        yield _items(items)


def _items(items: AsyncIterator[T]) -> Iterator[T]:
    async def following() -> tuple[T, ...]:
        try:
            return (await anext(items),)
        except StopAsyncIteration:
            return ()

    while found := run(following()):
        yield found[0]


def _running_portal() -> BlockingPortal:
    global _portal, _thread
    with _lock:
        if _portal is None:
            opened = start_blocking_portal(name="clew-toolkit")
            _portal = opened.__enter__()
            _thread = _portal.call(threading.get_ident)
            atexit.register(opened.__exit__, None, None, None)
        if threading.get_ident() == _thread:
            raise RuntimeError("this thread runs the toolkit's event loop: await the a... form instead")
        return _portal
