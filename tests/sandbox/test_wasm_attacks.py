"""What code in Pyodide tries to get out: see wasm_corpus.py, which runs apart, as somebody without rights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox.wasm_corpus import ATTEMPTS, OPEN
from tests.support.wasm import running_wasm
from tests.support.weights import weights_cache

_REPOSITORY = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="attacks need a mount namespace of their own")
def test_every_attempt_is_held() -> None:
    with running_wasm():  # with the image of memory that all sessions start from
        pass
    command = [sys.executable, "-m", "tests.sandbox.wasm_corpus", str(weights_cache())]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, timeout=110, check=False)
    if b"no namespace" in done.stderr:
        pytest.skip("no mount namespace can be made here")
    assert done.returncode == 0, done.stderr[-2000:].decode()
    told = json.loads(done.stdout)
    through = {name: how for name, how in told.items() if "THROUGH" in how}
    assert through.keys() == {f"thread {OPEN}", f"worker {OPEN}"}, through
    assert len(told) > 2 * len(ATTEMPTS)
