"""Ids: well-formed, different for every thread and every child process, derived ones always the same."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from clew.ids import RUN, RandomIds


def test_ids_are_well_formed_and_all_different() -> None:
    ids = RandomIds()
    made = [ids.new(RUN) for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(re.fullmatch(r"run_[0-9A-Za-z]{24}", each) for each in made)


def test_threads_get_different_ones() -> None:
    ids = RandomIds()

    def some(_: int) -> list[str]:
        return [ids.new("") for _ in range(2000)]

    with ThreadPoolExecutor(8) as threads:
        made = [each for found in threads.map(some, range(8)) for each in found]
    assert len(set(made)) == len(made) == 16_000


_FORKING = """
import os
from clew.ids import RandomIds
ids = RandomIds()
ids.new("")
child = os.fork()
if child:
    os.waitpid(child, 0)  # what they say does not come mixed
print(*(ids.new("") for _ in range(100)), flush=True)
"""


def test_a_child_process_does_not_use_its_parents() -> None:
    # In a process of its own: whoever forks one that has threads may wait for ever for a lock of theirs.
    done = subprocess.run([sys.executable, "-c", _FORKING], capture_output=True, text=True, check=True)
    ids = done.stdout.split()
    assert len(ids) == len(set(ids)) == 200


def test_derived_ids_follow_from_their_parts() -> None:
    ids = RandomIds()
    assert ids.derived("call_", "run_1", "2") == RandomIds().derived("call_", "run_1", "2")
    assert ids.derived("call_", "run_1", "2") != ids.derived("call_", "run_1", "3")
