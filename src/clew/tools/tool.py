"""What a kind of server-side tool says of itself, and what a call of it is given.

A kind is one file of this room: what it offers the model, how one call is performed, whether a call is safe
to repeat, how long it may take. To add one: its type in :mod:`clew.core.tools`, a file here, its name in
:mod:`clew.tools.toolbox`, the types of its calls in :mod:`clew.wire.calls`, its page in the documentation.
On the wire a call has a member named like the kind, with ``name``, ``arguments`` and ``output``.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from clew.clock import Clock
from clew.core.calls import error
from clew.core.records import Call, Outcome
from clew.core.states import CallResult
from clew.core.tools import FunctionDefinition

MOST_OUTPUT = 1024 * 1024
"""Bytes of an outcome, at most."""


class CallContext(Struct, frozen=True, kw_only=True):
    """What a call of a tool may use. ``key`` is the same if the call is made again after a crash."""

    clock: Clock
    project: str
    thread_id: str
    run_id: str
    key: str


class ServerTool(Protocol):
    """A kind of tool that the server runs."""

    @property
    def kind(self) -> str:
        """The kind's name: the ``type`` of its declarations and its calls."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether a call that may have begun before a crash is safe to make once more."""
        ...

    @property
    def deadline(self) -> int:
        """Milliseconds after which a call is ended; the model is told so."""
        ...

    def functions(self, tool: Any) -> Sequence[FunctionDefinition]:
        """Return what a declared tool of this kind offers the model. Pure: from its declaration alone."""
        ...

    async def perform(self, call: Call, context: CallContext) -> Outcome:
        """Run a call. What goes wrong and the model should know is an outcome; what is raised is logged.

        It may be cancelled at any await, must end within a second then, and may not compute on the event
        loop.

        Raises:
            WrongArguments: the model is told what is wrong with them.
        """
        ...


class WrongArguments(Exception):
    """A call's arguments are not what the function takes. The message tells the model what is wrong."""


def arguments_of(call: Call, kind: type[Any]) -> Any:
    """Return a call's arguments as a type; none at all count as an empty object.

    Raises:
        WrongArguments: they are not of that type.
    """
    try:
        return msgspec.json.decode(call.arguments.strip() or "{}", type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as wrong:
        raise WrongArguments(f"The arguments of {call.name} are wrong: {wrong}.") from None


def failed(message: str) -> Outcome:
    """Return the outcome of a call that ended with an error, which the model is told."""
    return Outcome(output=error(message), result=CallResult.FAILED)


def bounded(outcome: Outcome) -> Outcome:
    """Return an outcome of at most :data:`MOST_OUTPUT` bytes; a longer one becomes an error that says so."""
    size = len(outcome.output.encode(errors="surrogatepass"))
    if outcome.detail is not None:
        size += len(msgspec.json.encode(outcome.detail))
    if size <= MOST_OUTPUT:
        return outcome
    return failed(f"The output has {size} bytes, and at most {MOST_OUTPUT} can be kept.")
