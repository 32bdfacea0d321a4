"""What a kernel says, when it isn't ours any more that speaks."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.sandbox.frames import MOST_PLOT, Nonsense, left_of, plain, reply
from clew.sandbox.jailed import Jailed
from clew.sandbox.sandbox import MOST_FILES

pytestmark = pytest.mark.anyio

_SAY = """
import os, struct
def say(head, body=b'', sizes=None):
    frame = struct.pack('!II', *(sizes or (len(head), len(body)))) + head + body
    while frame:
        frame = frame[os.write(3, frame):]
png = b'\\x89PNG\\r\\n\\x1a\\n'
"""
_FORGED = {
    "an answer to another request": "say(b'done\\n999\\n0\\n0')",
    "an answer to the one before": "say(b'done\\n1\\n0\\n0')",
    "an answer without its fields": "say(b'done\\n2')",
    "an answer with half a file": "say(b'done\\n2\\n0\\n0\\nname')",
    "a size that is none": "say(b'done\\n2\\n0\\n0\\nname\\n-1')",
    "a number of another alphabet": "say('done\\n\\u0662\\n0\\n0'.encode())",
    "a number without end": "say(b'done\\n' + b'9' * 5000 + b'\\n0\\n0')",
    "no text": "say(b'\\xff\\xfe')",
    "nothing": "say(b'')",
    "an unknown word": "say(b'hello\\n2')",
    "ready again": "say(b'ready\\n2')",
    "trouble": "say(b'trouble\\n2\\nwhy')",
    "a plot that is none": "say(b'plot\\n2', b'GIF89a')",
    "an immense head": "say(b'', sizes=(2**32 - 1, 0))",
    "an immense body": "say(b'', sizes=(0, 2**32 - 1))",
    "a large body": "say(b'done\\n2\\n0\\n0', bytes(300_000))",
    "plots without end": "while True: say(b'plot\\n2', png)",
    "noise": "os.write(3, os.urandom(100_000))",
}


@pytest.mark.parametrize("forged", _FORGED.values(), ids=_FORGED)
async def test_nonsense_ends_the_session(bwrap: Jailed, forged: str) -> None:
    session = await bwrap.start("forged")
    await session.run(_SAY)
    ran = await session.run(f"print('so far')\n{forged}\nimport time; time.sleep(60)", 20)

    assert ran.ended == "died"
    assert ran.logs.startswith("so far\n")
    assert len(ran.plots) <= 20
    assert ran.left == ()


async def test_a_forged_answer_is_bounded_as_ours_is(bwrap: Jailed) -> None:
    session = await bwrap.start("forged")
    await session.run(_SAY)
    told = "b''.join(b'\\n%d.txt\\n1' % n for n in range(2000))"
    told += " + b'\\n../x\\n1\\n/etc/shadow\\n1\\nbig\\n999999999999'"
    ran = await session.run(f"say(b'done\\n2\\n0\\n999999999999' + {told})", 20)

    assert ran.ended is None
    assert len(ran.left) == MOST_FILES
    assert all(plain(each.name) for each in ran.left)
    # The answer of our own kernel comes after it, to a request that is answered.
    assert (await session.run("1")).ended == "died"


async def _read(frame: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(frame)
    reader.feed_eof()
    said, body = await reply(reader)
    assert len(body) <= MOST_PLOT
    _, left, unseen = left_of(said)
    assert len(left) <= MOST_FILES
    assert unseen >= 0


_FIELDS = st.lists(st.text(max_size=8) | st.integers(-5, 2000).map(str), max_size=9)


@given(
    st.binary(max_size=64)
    | st.tuples(st.sampled_from(["done", "plot", "ready", "x"]), _FIELDS).map(
        lambda drawn: _frame("\n".join([drawn[0], *drawn[1]]).encode("utf-8", "replace"))
    )
)
def test_any_bytes_are_an_answer_or_refused(frame: bytes) -> None:
    try:
        asyncio.run(_read(frame))
    except (Nonsense, EOFError):
        return


def _frame(head: bytes) -> bytes:
    return struct.pack("!II", len(head), 0) + head
