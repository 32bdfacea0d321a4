"""The clock: the injected one, in any time zone."""

import pytest

from clew.tools.clock import Clock
from clew.tools.tool import CallContext, WrongArguments
from tests.support import store
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

CONTEXT = CallContext(clock=ManualClock(1_800_000_000_000), project="p", thread_id="t", run_id="r", key="k")


async def _time(arguments: str) -> str:
    return (await Clock().perform(store.call(name="clew_clock", arguments=arguments), CONTEXT)).output


@pytest.mark.parametrize("arguments", ["", "{}", '{"time_zone": null}', '{"time_zone": "utc"}'])
async def test_the_time_is_utc_unless_a_zone_is_given(arguments: str) -> None:
    assert await _time(arguments) == "Friday, 15 January 2027, 08:00:00 UTC"


async def test_a_zone_has_its_own_time() -> None:
    assert await _time('{"time_zone": "Asia/Kathmandu"}') == "Friday, 15 January 2027, 13:45:00 +0545"


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "/etc/localtime", "a" * 64, "Europe"])
async def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(WrongArguments, match="time zone"):
        await _time(f'{{"time_zone": "{zone}"}}')


async def test_a_zone_is_bounded() -> None:
    with pytest.raises(WrongArguments, match="clew_clock"):
        await _time(f'{{"time_zone": "{"a" * 65}"}}')
