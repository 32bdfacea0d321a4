"""Wrong keys are counted by address and held back; right ones never are."""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import httpx2
import pytest

from clew.http import wrong_keys
from clew.http.wrong_keys import WrongKeys, network_of
from tests.support.api import Api
from tests.support.server import Server
from tests.support.wait import until


class Time:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_more_come_the_longer_they_wait_until_it_was_quiet() -> None:
    time = Time()
    keys = WrongKeys(time)
    waits = [keys.note("192.0.2.1") for _ in range(40)]
    assert waits[:10] == [0] * 10
    assert waits[10:15] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert set(waits[15:]) == {2.0}
    assert keys.note("192.0.2.2") == 0, "another address pays for it"
    time.now = 61
    assert keys.note("192.0.2.1") == 0
    assert keys.count == 42


def test_a_network_of_ipv6_is_one_address_and_addresses_without_end_are_forgotten() -> None:
    keys = WrongKeys(Time())
    waits = [keys.note(f"2001:db8:1:2::{number:x}") for number in range(12)]
    assert waits[-1] > 0
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    for number in range(20_000):
        keys.note(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(keys._tried) == wrong_keys._ADDRESSES


def test_a_right_key_is_not_held_back_by_the_wrong_ones_of_its_address(
    server: Server, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong ones are held for so long that all but the first ten are still held when the right one is."""
    monkeypatch.setattr(wrong_keys, "_FIRST", 3.0)
    monkeypatch.setattr(wrong_keys, "_LONGEST", 5.0)
    headers = {"api-key": "clew_wrong-key-0123456789"}

    def wrong() -> float:
        begun = perf_counter()
        assert httpx2.get(f"{server.url}/v1/threads", headers=headers, timeout=30).status_code == 401
        return perf_counter() - begun

    with ThreadPoolExecutor(20) as pool:
        trying = [pool.submit(wrong) for _ in range(20)]
        until(lambda: sum(each.done() for each in trying) == 10)
        begun = perf_counter()
        api.get("/threads")
        took = perf_counter() - begun
        waits = sorted(each.result() for each in trying)
    assert took < 2, f"a right key waited {took:.1f} s"
    assert waits[-1] >= 3
