"""Hostile files end as they should, soon, in bounded memory, and harm nothing else."""

import asyncio
import time
from pathlib import Path

import pytest

from clew.reading.reader import Reader
from tests.reading.hostile import CASES, SECONDS, Hostile, outcome, write

QUICK = [case for case in CASES if not case.slow]


@pytest.mark.parametrize("case", QUICK, ids=[case.name for case in QUICK])
def test_a_hostile_file_ends_as_it_should(case: Hostile, tmp_path: Path) -> None:
    path = write(case, tmp_path)
    begun = time.monotonic()
    assert asyncio.run(_outcome(path)) == case.outcome
    assert time.monotonic() - begun < SECONDS
    assert [each.name for each in tmp_path.iterdir()] == [case.name]


async def _outcome(path: Path) -> str:
    async with Reader() as reader:
        return await outcome(reader, path)


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    slip = next(case for case in CASES if case.name == "slip.docx")
    assert asyncio.run(_outcome(write(slip, tmp_path))) == "read"
    assert not Path("/tmp/clew-slipped").exists()
