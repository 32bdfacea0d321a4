"""The clock: what time it is, anywhere. Clew's own, from the lesson."""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from clew.core.records import Call, Outcome
from clew.core.tools import ClockTool, FunctionDefinition
from clew.tools.tool import CallContext, WrongArguments, arguments_of

_FUNCTION = FunctionDefinition(
    name="clew_clock",
    description="Tells the date and the time of day, now, in a time zone.",
    parameters={
        "type": "object",
        "properties": {
            "time_zone": {
                "type": "string",
                "description": "an IANA name, such as Europe/Lisbon; UTC if it is left out",
            }
        },
    },
)


class _Arguments(Struct):
    time_zone: Annotated[str, Meta(max_length=64)] | None = None


class Clock:
    """The kind ``clew_clock``."""

    kind = "clew_clock"
    repeatable = True
    deadline = 1_000

    def functions(self, tool: ClockTool) -> Sequence[FunctionDefinition]:
        return (_FUNCTION,)

    async def perform(self, call: Call, context: CallContext) -> Outcome:
        zone = _zone(arguments_of(call, _Arguments).time_zone or "UTC")
        moment = datetime.fromtimestamp(context.clock.now() / 1000, zone)
        return Outcome(output=moment.strftime("%A, %d %B %Y, %H:%M:%S %Z"))


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # unknown, or no name at all, such as "../x"
        raise WrongArguments(
            f"There is no time zone {name!r}. Give an IANA name, such as Asia/Tokyo."
        ) from None
