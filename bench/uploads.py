"""How fast a large file is taken in, against hashing and writing alone: ``python -m bench.uploads``."""

import os
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx2

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer

_MB = 256
_PIECE = os.urandom(1024 * 1024)


def _alone() -> float:
    """Return the MiB a second of hashing and writing, to the disk."""
    begun = time.perf_counter()
    digest = sha256()
    with tempfile.TemporaryFile() as file:
        for _ in range(_MB):
            digest.update(_PIECE)
            file.write(_PIECE)
        file.flush()
        os.fsync(file.fileno())
    return _MB / (time.perf_counter() - begun)


def _body() -> Iterator[bytes]:
    yield b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for _ in range(_MB):
        yield _PIECE
    yield b"\r\n--x--\r\n"


def _memory(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Measure once, and print."""
    with ScriptedModel() as model, RunningServer(model) as server, httpx2.Client(timeout=120) as http:
        headers = {
            "Authorization": f"Bearer {server.api_key}",
            "Content-Type": "multipart/form-data; boundary=x",
        }
        before = _memory(server.pid, "VmRSS")
        begun = time.perf_counter()
        answer = http.post(f"{server.url}/v1/files", content=_body(), headers=headers)
        speed = _MB / (time.perf_counter() - begun)
        answer.raise_for_status()
        peak = _memory(server.pid, "VmHWM")
    alone = _alone()
    print(f"{speed:.0f} MiB/s through the server, {alone:.0f} alone: {speed / alone:.2f}")
    print(f"memory {before:.0f} MiB before, {peak:.0f} at most")


if __name__ == "__main__":
    main()
