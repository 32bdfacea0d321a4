"""Attacks on a running server, each with its bound: python -m tests.attacks.run [NAME ...]

Everything is bounded and on the loopback. While an attack lasts, somebody with nothing to do with it asks for
a thread every twenty milliseconds; how long they wait, and what memory the server takes, is what is held.
"""

import argparse
import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench.http1 import Connection, Refused
from bench.processes import KEY, STORES, Site, model, site
from clew.file_limit import raise_file_limit
from clew.http.endpoint import LONG_BODY_LIMIT
from tests.attacks.bodies import NASTY

SECONDS = 6.0
"""How long each attack lasts."""

LONGEST_P50, LONGEST_WAIT = 0.1, 1.5
"""Seconds that others may wait, usually and at the most, on two cores that the attackers share."""

MOST_MEMORY = 400
"""Megabytes that an attack may add to the server."""

_PAUSE = 0.02
_SOCKETS = 5_000


class Outcome(NamedTuple):
    """What others waited, in seconds, and the megabytes that the server took more than before."""

    waits: list[float]
    memory: float

    @property
    def holds(self) -> bool:
        """Whether the bounds held."""
        ordered = sorted(self.waits)
        usual = ordered[len(ordered) // 2]
        return usual <= LONGEST_P50 and ordered[-1] <= LONGEST_WAIT and self.memory <= MOST_MEMORY


Attack = Callable[[Site, float], Coroutine[Any, Any, None]]
"""Attacks a server until a time (of ``time.monotonic``)."""


async def bodies(running: Site, until: float) -> None:
    """Four senders of the nastiest bodies of the largest size, with a right key."""
    made = [make(LONG_BODY_LIMIT - 200) for make in NASTY.values()]

    async def send(first: int) -> None:
        number = first
        while time.monotonic() < until:
            with suppress(Refused, ConnectionError):
                connection = await Connection.open(running.port, KEY)
                await connection.call("POST", "/v1/assistants", made[number % len(made)])
                await connection.close()
            number += 1

    await asyncio.gather(*(send(number) for number in range(4)))


async def heads(running: Site, until: float) -> None:
    """A hundred requests whose headers never end."""
    await _pour(running, until, 100, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: " + b"a" * 8000 + b"\r\n")


async def slow_heads(running: Site, until: float) -> None:
    """A thousand requests of which a byte comes now and then."""
    await _pour(running, until, 1000, b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", b"a", pause=0.5)


async def _pour(
    running: Site, until: float, many: int, start: bytes, piece: bytes, pause: float = 0.0
) -> None:
    async def one() -> None:
        while time.monotonic() < until:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", running.port)
                writer.write(start)
                while time.monotonic() < until and not writer.is_closing():
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(one() for _ in range(many)))


async def idle(running: Site, until: float) -> None:
    """Thousands of sockets on which nothing is said."""
    with ExitStack() as stack:
        for number in range(min(_SOCKETS, raise_file_limit() - 500)):
            with suppress(OSError):
                stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=5))
            if number % 100 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(max(0.0, until - time.monotonic()))


async def slow_readers(running: Site, until: float) -> None:
    """A hundred readers of megabytes who take nothing."""
    connection = await Connection.open(running.port, KEY)
    thread = (await connection.json("POST", "/v1/threads"))["id"]
    message = json.dumps({"role": "user", "content": "x" * 250_000}).encode()
    for _ in range(16):
        await connection.call("POST", f"/v1/threads/{thread}/messages", message)
    await connection.close()
    head = f"Host: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    asked = f"GET /v1/threads/{thread}/messages?limit=100 HTTP/1.1\r\n{head}"
    with ExitStack() as stack:
        for _ in range(100):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", running.port))
            reader.sendall(asked.encode())
            await asyncio.sleep(0)
        await asyncio.sleep(max(0.0, until - time.monotonic()))


async def wrong_keys(running: Site, until: float) -> None:
    """Ten who guess keys as fast as they can."""

    async def guess() -> None:
        connection = await Connection.open(running.port, "clew_wrong")
        while time.monotonic() < until:
            with suppress(Refused):
                await connection.call("GET", "/v1/threads")
        await connection.close()

    await asyncio.gather(*(guess() for _ in range(10)))


ATTACKS: dict[str, Attack] = {
    "bodies": bodies,
    "heads": heads,
    "slow heads": slow_heads,
    "idle": idle,
    "slow readers": slow_readers,
    "wrong keys": wrong_keys,
}


async def _suffer(running: Site, attack: Attack) -> Outcome:
    """Attack, and look how it is for others meanwhile."""
    before = _memory(running)
    most = before
    other = await Connection.open(running.port, KEY)
    path = f"/v1/threads/{(await other.json('POST', '/v1/threads'))['id']}"
    attacking = asyncio.ensure_future(asyncio.to_thread(_in_a_loop, attack, running))
    waits = []
    while not attacking.done():
        begun = time.perf_counter()
        await other.call("GET", path)
        waits.append(time.perf_counter() - begun)
        most = max(most, _memory(running))
        await asyncio.sleep(_PAUSE)
    await attacking
    await other.close()
    return Outcome(waits, most - before)


def _in_a_loop(attack: Attack, running: Site) -> None:
    asyncio.run(attack(running, time.monotonic() + SECONDS))


def _memory(running: Site) -> float:
    """Return the megabytes that the server's process takes."""
    (pid,) = running.processes["server"]
    fields = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").split()
    return int(fields[fields.index("VmRSS:") + 1]) / 1024


def main() -> None:
    """Attack, and print what others waited."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("attack", nargs="*", choices=[*ATTACKS, []], help="by default all")
    chosen = parser.parse_args().attack or list(ATTACKS)
    raise_file_limit()
    failed = False
    with model() as (url, pid):
        for name in chosen:
            with site(STORES["full"], url, pid) as running:
                outcome = asyncio.run(_suffer(running, ATTACKS[name]))
            ordered = sorted(outcome.waits)
            p50, worst = ordered[len(ordered) // 2] * 1000, ordered[-1] * 1000
            verdict = "holds" if outcome.holds else "FAILS"
            print(
                f"{name:14} {verdict}: others waited {p50:.1f} ms (p50), {worst:.0f} ms at the most, in "
                f"{len(ordered)} requests; {outcome.memory:.0f} MB more",
                flush=True,
            )
            failed = failed or not outcome.holds
    print(f"bounds: {LONGEST_P50 * 1000:.0f} ms, {LONGEST_WAIT * 1000:.0f} ms, {MOST_MEMORY} MB")
    sys.exit(failed)


if __name__ == "__main__":
    main()
